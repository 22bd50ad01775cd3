package run

import (
	"context"
	"errors"
	"net/netip"

	"posthaste/internal/protocol/dns"
)

// The files that say how names are looked up; in a chroot, those below it.
const (
	resolvConf = "/etc/resolv.conf"
	hostsFile  = "/etc/hosts"
)

// names looks up the names of clients for smtpd.
type names struct {
	dns   dns.Resolver
	hosts *dns.Hosts
}

func newNames() (*names, error) {
	resolver, err := dns.NewSystem(resolvConf)
	if err != nil {
		return nil, err
	}
	return &names{resolver, dns.NewHosts(hostsFile)}, nil
}

// lookupError tells smtpd whether a name does not exist.
type lookupError struct{ error }

// NotFound tells whether the lookup worked and found nothing.
func (e lookupError) NotFound() bool {
	var d *dns.Error
	return errors.As(e.error, &d) && d.Missing()
}

func (e lookupError) Unwrap() error { return e.error }

// Reverse returns the names of an address.
func (n *names) Reverse(ctx context.Context, addr netip.Addr) ([]string, error) {
	a, err := n.dns.Lookup(ctx, dns.ReverseName(addr), dns.TypePTR, dns.Options{})
	if err != nil {
		return nil, lookupError{err}
	}
	var out []string
	for _, r := range a.Records {
		if r.Type == dns.TypePTR {
			out = append(out, r.Host)
		}
	}
	return out, nil
}

// Addresses returns the addresses of a name: those of the hosts file, else
// those of the DNS.
func (n *names) Addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	if known := n.hosts.Lookup(name); len(known) > 0 {
		return known, nil
	}
	var out []netip.Addr
	var failed error
	for _, t := range []dns.Type{dns.TypeA, dns.TypeAAAA} {
		a, err := n.dns.Lookup(ctx, name, t, dns.Options{})
		if err != nil {
			var d *dns.Error
			if failed == nil || errors.As(err, &d) && !d.Missing() {
				failed = err // a temporary failure says more than "not found"
			}
			continue
		}
		for _, r := range a.Records {
			if r.Addr.IsValid() {
				out = append(out, r.Addr)
			}
		}
	}
	if len(out) == 0 {
		return nil, lookupError{failed}
	}
	return out, nil
}
