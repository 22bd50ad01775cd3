package smtpd

import (
	"time"

	"posthaste/internal/config"
	"posthaste/internal/receive/smtpd/restrictions"
)

// Params are the main.cf parameters of the SMTP server.
type Params struct {
	Common config.Common
	Access restrictions.Params
	Limits Limits
	Anvil  AnvilParams

	Banner              string   `cf:"smtpd_banner" default:"$myhostname ESMTP $mail_name" doc:"Text after 220. RFC 5321 wants $myhostname first."`
	HeloRequired        bool     `cf:"smtpd_helo_required" default:"no" doc:"Require HELO or EHLO before MAIL."`
	DisableVRFY         bool     `cf:"disable_vrfy_command" default:"no" doc:"Refuse VRFY."`
	StrictEnvelopes     bool     `cf:"strict_rfc821_envelopes" default:"no" doc:"Want addresses in <> and in the syntax of RFC 5321."`
	StrictSMTPUTF8      bool     `cf:"strict_smtputf8" default:"no" doc:"Refuse UTF-8 addresses without the SMTPUTF8 parameter."`
	DiscardKeywords     []string `cf:"smtpd_discard_ehlo_keywords" default:"" doc:"EHLO keywords not announced, and not honoured; silent-discard: without a log line."`
	DiscardKeywordMaps  string   `cf:"smtpd_discard_ehlo_keyword_address_maps" default:"" doc:"The same by client address."`
	ForbiddenCommands   string   `cf:"smtpd_forbidden_commands" default:"CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}" doc:"Commands after which the connection is closed."`
	NoopCommands        []string `cf:"smtpd_noop_commands" default:"" doc:"Commands answered like NOOP."`
	ForbidBareLF        string   `cf:"smtpd_forbid_bare_newline" default:"normalize" doc:"What a line feed without carriage return means: normalize, reject, note, no."`
	ForbidBareLFExcept  string   `cf:"smtpd_forbid_bare_newline_exclusions" default:"$mynetworks" doc:"Clients to which smtpd_forbid_bare_newline does not apply (match list)."`
	ForbidBareLFCode    int      `cf:"smtpd_forbid_bare_newline_reject_code" default:"550" doc:"Reply code of smtpd_forbid_bare_newline = reject."`
	ForbidPipelining    bool     `cf:"smtpd_forbid_unauth_pipelining" default:"yes" doc:"Disconnect clients that send ahead where they must not."`
	PeernameLookup      bool     `cf:"smtpd_peername_lookup" default:"yes" doc:"Look up the name of the client."`
	LocalRewriteClients []string `cf:"local_header_rewrite_clients" default:"permit_inet_interfaces" doc:"Clients whose headers are completed with our domain."`
	QueueMinFree        int64    `cf:"queue_minfree" default:"0" unit:"bytes" doc:"Free space below which no mail is accepted; 0: 1.5 times message_size_limit."`
	VERPClients         string   `cf:"smtpd_authorized_verp_clients" default:"$authorized_verp_clients" doc:"Clients that may ask for a sender address per recipient with XVERP (match list)."`
	HistoryThreshold    int      `cf:"smtpd_history_flush_threshold" default:"100" doc:"Lines of a session's transcript beyond which it begins anew at EHLO, RSET and the end of a message."`
	ClientPortLogging   bool     `cf:"smtpd_client_port_logging" default:"no" doc:"Log the client's port too."`
}

// Limits are the parameters that change under stress.
type Limits struct {
	Timeout            time.Duration `cf:"smtpd_timeout" default:"${stress?{10}:{300}}s" unit:"s" doc:"Time limit for sending a reply and receiving a request."`
	HardErrors         int           `cf:"smtpd_hard_error_limit" default:"${stress?{1}:{20}}" doc:"Errors after which a session is ended."`
	JunkCommands       int           `cf:"smtpd_junk_command_limit" default:"${stress?{1}:{100}}" doc:"NOOP, VRFY, ETRN and RSET without delivery that are not counted as errors."`
	PerRequestDeadline bool          `cf:"smtpd_per_request_deadline" default:"${smtpd_per_record_deadline?{$smtpd_per_record_deadline}:{${stress?{yes}:{no}}}}" doc:"Let smtpd_timeout count for a whole request, not for each read."`
	MinDataRate        int           `cf:"smtpd_min_data_rate" default:"500" unit:"bytes/s" doc:"Rate by which content extends the per-request deadline."`
	SoftErrors         int           `cf:"smtpd_soft_error_limit" default:"10" doc:"Errors after which every reply is delayed."`
	ErrorSleep         time.Duration `cf:"smtpd_error_sleep_time" default:"1s" unit:"s" doc:"That delay."`
	Recipients         int           `cf:"smtpd_recipient_limit" default:"1000" doc:"Most recipients of a message."`
	RecipientOvershoot int           `cf:"smtpd_recipient_overshoot_limit" default:"1000" doc:"Recipients beyond the limit that are not counted as errors."`
}

// AnvilParams are the limits per client.
type AnvilParams struct {
	ConnectionCount int           `cf:"smtpd_client_connection_count_limit" default:"50" doc:"Most sessions of a client at a time; 0: no limit."`
	ConnectionRate  int           `cf:"smtpd_client_connection_rate_limit" default:"0" doc:"Most connections of a client per anvil_rate_time_unit."`
	MessageRate     int           `cf:"smtpd_client_message_rate_limit" default:"0" doc:"Most messages of a client per anvil_rate_time_unit."`
	RecipientRate   int           `cf:"smtpd_client_recipient_rate_limit" default:"0" doc:"Most recipients of a client per anvil_rate_time_unit."`
	Exceptions      string        `cf:"smtpd_client_event_limit_exceptions" default:"${smtpd_client_connection_limit_exceptions:$mynetworks}" doc:"Clients without these limits (match list)."`
	TimeUnit        time.Duration `cf:"anvil_rate_time_unit" default:"60s" unit:"s" doc:"Interval over which rates are counted."`
	IPv4Prefix      int           `cf:"smtpd_client_ipv4_prefix_length" default:"32" doc:"Bits of an IPv4 address that make one client."`
	IPv6Prefix      int           `cf:"smtpd_client_ipv6_prefix_length" default:"84" doc:"Bits of an IPv6 address that make one client."`
}
