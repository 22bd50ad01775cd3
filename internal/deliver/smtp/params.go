package smtp

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"posthaste/internal/config"
)

// Params are the main.cf parameters of the SMTP client. The LMTP client has the
// same under the prefix lmtp_: bind them with Snapshot.BindAs(&p, "smtp_", "lmtp_").
type Params struct {
	Common config.Common

	Lookup
	Connect
	Protocol
	Content
	Cache
	Timeouts
}

// Lookup are the parameters about finding servers.
type Lookup struct {
	DisableDNS         bool     `cf:"disable_dns_lookups" default:"no" doc:"Look no mail exchangers up, and addresses by the native name service only."`
	DNSSupport         string   `cf:"smtp_dns_support_level" default:"" doc:"disabled, enabled or dnssec; empty: as disable_dns_lookups says."`
	DNSOptions         []string `cf:"smtp_dns_resolver_options" default:"" doc:"res_defnames and res_dnsrch: use the search list of resolv.conf."`
	HostLookup         []string `cf:"smtp_host_lookup" default:"dns" doc:"How addresses are looked up: dns, native or both."`
	IgnoreMXError      bool     `cf:"ignore_mx_lookup_error" default:"no" doc:"When a mail exchanger lookup fails, use the domain's own address."`
	DeferNoMXAddress   bool     `cf:"smtp_defer_if_no_mx_address_found" default:"no" doc:"Defer mail when no mail exchanger has an address, instead of returning it."`
	MXAddressLimit     int      `cf:"smtp_mx_address_limit" default:"5" min:"0" doc:"Most addresses tried for one message; 0: no limit."`
	MXSessionLimit     int      `cf:"smtp_mx_session_limit" default:"2" min:"0" doc:"Most sessions for one message that get beyond the handshake; 0: no limit."`
	AddressPreference  string   `cf:"smtp_address_preference" default:"any" doc:"Which address family is tried first: ipv4, ipv6 or any."`
	BalanceProtocols   bool     `cf:"smtp_balance_inet_protocols" default:"yes" doc:"Let both address families into the limit of smtp_mx_address_limit."`
	RandomizeAddresses bool     `cf:"smtp_randomize_addresses" default:"yes" doc:"Shuffle addresses of equal preference."`
	FallbackRelay      []string `cf:"smtp_fallback_relay" default:"$fallback_relay" doc:"Destinations to try when all others cannot be found or reached."`
	TCPPort            string   `cf:"smtp_tcp_port" default:"smtp" doc:"Port or service name when the destination has none."`
}

// Connect are the parameters about our end of the connection.
type Connect struct {
	BindAddress        string `cf:"smtp_bind_address" default:"" doc:"Local address of IPv4 connections."`
	BindAddress6       string `cf:"smtp_bind_address6" default:"" doc:"Local address of IPv6 connections."`
	BindAddressEnforce bool   `cf:"smtp_bind_address_enforce" default:"no" doc:"Defer mail when the local address cannot be used."`
}

// Protocol are the parameters about the dialogue.
type Protocol struct {
	HeloName         string   `cf:"smtp_helo_name" default:"$myhostname" doc:"Name sent with EHLO and HELO."`
	AlwaysEHLO       bool     `cf:"smtp_always_send_ehlo" default:"yes" doc:"Send EHLO whatever the greeting says."`
	NeverEHLO        bool     `cf:"smtp_never_send_ehlo" default:"no" doc:"Never send EHLO."`
	Skip5xxGreeting  bool     `cf:"smtp_skip_5xx_greeting" default:"yes" doc:"Take a 5XX greeting for a temporary failure of this server."`
	SkipQuitResponse bool     `cf:"smtp_skip_quit_response" default:"yes" doc:"Do not wait for the reply to QUIT."`
	DiscardEHLO      []string `cf:"smtp_discard_ehlo_keywords" default:"" doc:"EHLO keywords of servers to ignore."`
	DiscardEHLOMaps  string   `cf:"smtp_discard_ehlo_keyword_address_maps" default:"" doc:"Tables from server address to EHLO keywords to ignore."`
	SendXForward     bool     `cf:"smtp_send_xforward_command" default:"no" doc:"Tell a server that offers XFORWARD about the original client."`
	VerifyTarget     string   `cf:"smtp_address_verify_target" default:"rcpt" doc:"How far address probes go: rcpt or data."`
	AssumeFinal      bool     `cf:"lmtp_assume_final" default:"no" doc:"Report delivery, not relaying, when an LMTP server has no DSN."`
}

// Content are the parameters about the message.
type Content struct {
	LineLengthLimit int  `cf:"smtp_line_length_limit" default:"998" min:"0" unit:"bytes" doc:"Longer lines are broken by a line end and a space; 0: no limit."`
	NoConversion    bool `cf:"disable_mime_output_conversion" default:"no" doc:"Never convert 8-bit mail for a server without 8BITMIME."`
}

// Cache are the parameters about connections kept for later messages.
type Cache struct {
	CacheOnDemand     bool          `cf:"smtp_connection_cache_on_demand" default:"yes" doc:"Keep connections while mail to the same destination is frequent."`
	CacheDestinations string        `cf:"smtp_connection_cache_destinations" default:"" doc:"Destinations whose connections are always kept (match list)."`
	CacheTimeLimit    time.Duration `cf:"smtp_connection_cache_time_limit" default:"2s" unit:"s" doc:"How long an unused connection is kept."`
	ReuseTimeLimit    time.Duration `cf:"smtp_connection_reuse_time_limit" default:"300s" unit:"s" doc:"How long one connection is used."`
	ReuseCountLimit   int           `cf:"smtp_connection_reuse_count_limit" default:"0" min:"0" doc:"How often one connection is used; 0: no limit."`
}

// Timeouts are the time limits of a session.
type Timeouts struct {
	ConnectTimeout  time.Duration `cf:"smtp_connect_timeout" default:"30s" unit:"s" doc:"Time limit for a TCP connection; 0: the system's."`
	HeloTimeout     time.Duration `cf:"smtp_helo_timeout" default:"300s" unit:"s" doc:"Time limit for the greeting, EHLO and HELO."`
	XForwardTimeout time.Duration `cf:"smtp_xforward_timeout" default:"300s" unit:"s" doc:"Time limit for XFORWARD."`
	MailTimeout     time.Duration `cf:"smtp_mail_timeout" default:"300s" unit:"s" doc:"Time limit for MAIL FROM."`
	RcptTimeout     time.Duration `cf:"smtp_rcpt_timeout" default:"300s" unit:"s" doc:"Time limit for RCPT TO."`
	DataInitTimeout time.Duration `cf:"smtp_data_init_timeout" default:"120s" unit:"s" doc:"Time limit for DATA."`
	DataXferTimeout time.Duration `cf:"smtp_data_xfer_timeout" default:"180s" unit:"s" doc:"Time limit for sending a buffer of content."`
	DataDoneTimeout time.Duration `cf:"smtp_data_done_timeout" default:"600s" unit:"s" doc:"Time limit for the end of the content."`
	RsetTimeout     time.Duration `cf:"smtp_rset_timeout" default:"20s" unit:"s" doc:"Time limit for RSET."`
	QuitTimeout     time.Duration `cf:"smtp_quit_timeout" default:"300s" unit:"s" doc:"Time limit for QUIT."`
}

// settings are what is derived from Params once.
type settings struct {
	lookupMX     bool
	useDNS       bool
	useNative    bool
	dnssec       bool
	search       bool
	bind4, bind6 netip.Addr
	discard      features
}

// settingsOf checks the values that have their own little language.
func settingsOf(p *Params, interfaces []netip.Addr) (settings, error) {
	var s settings
	if err := s.dns(p); err != nil {
		return s, err
	}
	switch p.AddressPreference {
	case "any", "ipv4", "ipv6":
	default:
		return s, fmt.Errorf("bad smtp_address_preference value: %s", p.AddressPreference)
	}
	if p.VerifyTarget != "rcpt" && p.VerifyTarget != "data" {
		return s, fmt.Errorf("bad protocol stage: %q", "smtp_address_verify_target = "+p.VerifyTarget)
	}
	var err error
	if s.bind4, err = bindAddress("smtp_bind_address", p.BindAddress, interfaces, netip.Addr.Is4); err != nil {
		return s, err
	}
	if s.bind6, err = bindAddress("smtp_bind_address6", p.BindAddress6, interfaces, netip.Addr.Is6); err != nil {
		return s, err
	}
	s.discard = discardMask(p.DiscardEHLO)
	return s, nil
}

func (s *settings) dns(p *Params) error {
	switch p.DNSSupport {
	case "":
		s.lookupMX = !p.DisableDNS
	case "disabled":
	case "enabled":
		s.lookupMX = true
	case "dnssec":
		s.lookupMX, s.dnssec = true, true
	default:
		return fmt.Errorf("bad smtp_dns_support_level value: %s", p.DNSSupport)
	}
	for _, method := range p.HostLookup {
		switch method {
		case "dns":
			s.useDNS = true
		case "native":
			s.useNative = true
		default:
			return fmt.Errorf("bad smtp_host_lookup value: %s", method)
		}
	}
	if !s.lookupMX {
		s.useDNS, s.useNative = false, true
	}
	for _, option := range p.DNSOptions {
		switch option {
		case "res_defnames", "res_dnsrch":
			s.search = true
		default:
			return fmt.Errorf("bad smtp_dns_resolver_options value: %s", option)
		}
	}
	return nil
}

// bindAddress is the configured local address, or the only address of its
// family in inet_interfaces unless that is a loopback address: a site with one
// virtual interface sends from where it listens.
func bindAddress(param, value string, interfaces []netip.Addr, family func(netip.Addr) bool) (netip.Addr, error) {
	if value != "" {
		addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(value, "["), "]"))
		if err != nil || !family(addr) {
			return netip.Addr{}, fmt.Errorf("bad %s parameter: %s", param, value)
		}
		return addr, nil
	}
	var only netip.Addr
	for _, addr := range interfaces {
		if family(addr) {
			if only.IsValid() {
				return netip.Addr{}, nil
			}
			only = addr
		}
	}
	if only.IsValid() && only.IsLoopback() {
		return netip.Addr{}, nil
	}
	return only, nil
}
