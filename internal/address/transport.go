package address

import (
	"context"
	"strings"
)

// transport lets transport_maps override a route, in the order of
// transport(5): the whole address, without extension, the domain, its parents
// as .parent, and `*`. Tables of patterns see the whole address only.
func (r *Resolver) transport(ctx context.Context, route *Route, domain string) error {
	value, found, err := r.findTransport(ctx, route, domain)
	if err != nil {
		return err
	}
	if found {
		route.override(value, domain)
	}
	return nil
}

func (r *Resolver) findTransport(ctx context.Context, route *Route, domain string) (string, bool, error) {
	var found Result
	ok, err := r.finder.full(ctx, r.transports, route.Recipient, &found)
	if ok || err != nil {
		return found.Value, ok, err
	}
	if bare, extension := r.finder.Delimiter.splitAddress(route.Recipient); extension != "" {
		if ok, err = partial(ctx, r.transports, bare, &found); ok || err != nil {
			return found.Value, ok, err
		}
	}
	name := domain
	for name != "" {
		value, ok, err := r.transports.LookupPartial(ctx, name)
		if ok || err != nil {
			return value, ok, wrap(err)
		}
		dot := strings.IndexByte(name[1:], '.')
		if dot < 0 || domain[0] == '[' {
			break
		}
		name = name[1+dot:]
		if r.transportParents {
			name = name[1:]
		}
	}
	value, ok, err := r.transports.LookupPartial(ctx, "*")
	return value, ok, wrap(err)
}

// override applies a value of transport_maps. `:` changes nothing,
// `:nexthop` keeps the transport, and `transport:` resets the next hop to the
// recipient domain.
func (r *Route) override(value, domain string) {
	transport, nexthop, _ := strings.Cut(value, ":")
	transport, nexthop = strings.TrimSpace(transport), strings.TrimSpace(nexthop)
	if transport != "" {
		r.Transport = transport
		r.Nexthop = domain
		if transport == "error" || transport == "retry" {
			r.Nexthop = "Address is undeliverable"
		}
	}
	if nexthop != "" {
		r.Nexthop = nexthop
	}
}
