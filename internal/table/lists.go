package table

import (
	"context"
	"net/netip"
)

// StringList is a match list of plain strings. Names compare without regard
// to case. The zero value matches nothing.
type StringList struct{ list matchList }

// NewStringList reads a list. title is the parameter's name, for errors. A
// file or table that cannot be opened is reported by Match.
func NewStringList(o Opener, title, list string) *StringList {
	return &StringList{newMatchList(o, title, list, false)}
}

// Match tells whether s is in the list. An error is a temporary failure.
func (l *StringList) Match(ctx context.Context, s string) (bool, error) {
	return l.list.match(ctx, func(ctx context.Context, i *matchItem) (bool, error) {
		return i.matchString(ctx, s)
	})
}

// Empty tells whether the list has no pattern.
func (l *StringList) Empty() bool { return len(l.list.items) == 0 }

// DomainList is a match list of domain names.
type DomainList struct{ list matchList }

// NewDomainList reads a list. parents is the parameter's answer in
// parent_domain_matches_subdomains: with it `example.com` matches all names
// below; without it only `.example.com` does.
func NewDomainList(o Opener, title, list string, parents bool) *DomainList {
	return &DomainList{newMatchList(o, title, list, parents)}
}

// Match tells whether the domain is in the list. An error is a temporary failure.
func (l *DomainList) Match(ctx context.Context, domain string) (bool, error) {
	return l.list.match(ctx, func(ctx context.Context, i *matchItem) (bool, error) {
		return i.matchDomain(ctx, domain, l.list.parents)
	})
}

// Empty tells whether the list has no pattern.
func (l *DomainList) Empty() bool { return len(l.list.items) == 0 }

// AddressList is a match list of host names, addresses and networks, such as
// mynetworks.
type AddressList struct{ list matchList }

// NewAddressList reads a list; parents as for NewDomainList.
func NewAddressList(o Opener, title, list string, parents bool) *AddressList {
	return &AddressList{newMatchList(o, title, list, parents)}
}

// Match tells whether a client is in the list, by its name or its address.
// Either may be empty: then it is not looked at. An error is a temporary failure.
func (l *AddressList) Match(ctx context.Context, name, address string) (bool, error) {
	var addr netip.Addr
	if address != "" {
		addr, _ = ParseAddress(address)
	}
	return l.list.match(ctx, func(ctx context.Context, i *matchItem) (bool, error) {
		if name != "" {
			if ok, err := i.matchDomain(ctx, name, l.list.parents); ok || err != nil {
				return ok, err
			}
		}
		if address == "" {
			return false, nil
		}
		return i.matchAddress(ctx, address, addr)
	})
}

// Empty tells whether the list has no pattern.
func (l *AddressList) Empty() bool { return len(l.list.items) == 0 }

// ParentMatches tells whether parameter param is named in the value of
// parent_domain_matches_subdomains.
func ParentMatches(o Opener, parameters, param string) bool {
	ok, err := NewStringList(o, "parent_domain_matches_subdomains", parameters).Match(context.Background(), param)
	return ok && err == nil
}
