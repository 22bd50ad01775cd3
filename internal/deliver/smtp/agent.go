package smtp

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/protocol/dns"
	"posthaste/internal/table"
)

// Logger takes the lines of the operator's log that are not delivery results.
// A nil *maillog.Logger will do.
type Logger interface {
	Info(format string, args ...any)
	Warning(format string, args ...any)
}

// Deps are what the client needs from outside.
type Deps struct {
	Log        Logger // nil discards
	Resolver   dns.Resolver
	Hosts      *dns.Hosts   // for "native" lookups; may be nil
	Tables     table.Opener // may be nil when no parameter names a table
	Interfaces []netip.Addr // the addresses of inet_interfaces
	Proxies    []netip.Addr // the addresses of proxy_interfaces
	// Transcript takes sessions in which a server broke the protocol; nil: the
	// postmaster does not want to be told (notify_classes).
	Transcript func(ctx context.Context, t Transcript) error
	Relayhost  string // the relayhost parameter: its faults never return mail
}

// Agent delivers by SMTP or LMTP. It implements deliver.Agent; Close ends it.
type Agent struct {
	params    Params
	deps      Deps
	lmtp      bool
	settings  settings
	own       map[netip.Addr]bool
	fallback  []hop
	families  []dns.Type
	discardBy *table.Maps
	keepFor   *table.StringList
	cache     *cache
}

var _ deliver.Agent = (*Agent)(nil)

// New makes an SMTP client. The error names the parameter that is wrong.
func New(p Params, d Deps) (*Agent, error) { return newAgent(p, d, false) }

// NewLMTP makes an LMTP client; p was bound with BindAs.
func NewLMTP(p Params, d Deps) (*Agent, error) { return newAgent(p, d, true) }

func newAgent(p Params, d Deps, lmtp bool) (*Agent, error) {
	if d.Log == nil {
		d.Log = (*maillog.Logger)(nil)
	}
	a := &Agent{params: p, deps: d, lmtp: lmtp, own: map[netip.Addr]bool{}, cache: newCache(p.CacheTimeLimit)}
	var err error
	if a.settings, err = settingsOf(&p, d.Interfaces); err != nil {
		return nil, err
	}
	if a.families, err = familiesOf(p.Common.InetProtocols); err != nil {
		return nil, err
	}
	for _, list := range [][]netip.Addr{d.Interfaces, d.Proxies} {
		for _, addr := range list {
			a.own[addr.Unmap()] = true
		}
	}
	for _, text := range p.FallbackRelay {
		h, err := parseHop(text, lmtp, p.TCPPort)
		if err != nil {
			return nil, fmt.Errorf("smtp_fallback_relay: %w", err)
		}
		a.fallback = append(a.fallback, h)
	}
	if p.DiscardEHLOMaps != "" {
		a.discardBy = table.NewMaps(d.Tables, "smtp_discard_ehlo_keyword_address_maps", p.DiscardEHLOMaps)
	}
	if p.CacheDestinations != "" {
		a.keepFor = table.NewStringList(d.Tables, "smtp_connection_cache_destinations", p.CacheDestinations)
	}
	return a, nil
}

// familiesOf is the address record types that inet_protocols allows.
func familiesOf(protocols []string) ([]dns.Type, error) {
	v4, v6 := len(protocols) == 0, len(protocols) == 0
	for _, name := range protocols {
		switch name {
		case "all":
			v4, v6 = true, true
		case "ipv4":
			v4 = true
		case "ipv6":
			v6 = true
		default:
			return nil, fmt.Errorf("bad inet_protocols value: %s", name)
		}
	}
	var types []dns.Type
	if v4 {
		types = append(types, dns.TypeA)
	}
	if v6 {
		types = append(types, dns.TypeAAAA)
	}
	return types, nil
}

// Deliver implements deliver.Agent.
func (a *Agent) Deliver(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	d := &delivery{agent: a, ctx: ctx, req: &r, done: done, started: time.Now()}
	d.rcpts = make([]recipient, len(r.Recipients))
	d.left = len(r.Recipients)
	return d.run()
}

// Close closes the connections that are kept. Deliveries under way end as
// usual, and nothing is kept any more.
func (a *Agent) Close() error {
	for _, s := range a.cache.drain() {
		s.quit()
	}
	return nil
}
