package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// fallbackDomain is mydomain when the host name has no domain.
const fallbackDomain = "localdomain"

// computed returns the default of the parameters that depend on the machine.
func (s *Snapshot) computed(name string) (value string, ok bool, err error) {
	switch name {
	case "myhostname":
		value, err = s.defaultHostname()
	case "mydomain":
		value, err = s.defaultDomain()
	case "mynetworks":
		value, err = s.defaultNetworks()
	case "process_id":
		value = strconv.Itoa(os.Getpid())
	case "process_name":
		value = filepath.Base(os.Args[0])
	default:
		return "", false, nil
	}
	return value, err == nil, err
}

// lookupWithout is Lookup while a default is being computed: the hidden names,
// unless set, are empty. So `mydomain = $myhostname`, with the host name to be
// made from mydomain, is an empty domain, as in Postfix, and not a loop. The
// lists of hidden names grow from mynetworks over mydomain to myhostname,
// which is why the recursion ends.
func (s *Snapshot) lookupWithout(name string, hidden ...string) (string, error) {
	scope := func(name string) (string, bool, error) {
		if slices.Contains(hidden, name) && !s.IsSet(name) {
			return "", false, nil
		}
		return s.raw(name)
	}
	raw, _, err := scope(name)
	if err != nil {
		return "", err
	}
	value, err := expand(raw, scope)
	if err != nil {
		return "", s.fault(name, fmt.Sprintf("parameter %s: %v", name, err))
	}
	return value, nil
}

// defaultHostname is the machine's name; a name without a dot gets mydomain
// when that is set, else localdomain.
func (s *Snapshot) defaultHostname() (string, error) {
	name, err := s.host.Name()
	if err != nil {
		return "", fmt.Errorf("cannot find the name of this machine: %w; set myhostname", err)
	}
	name = strings.TrimSuffix(name, ".")
	if strings.Contains(name, ".") {
		return name, nil
	}
	domain := fallbackDomain
	if s.IsSet("mydomain") {
		if domain, err = s.lookupWithout("mydomain", "myhostname", "mydomain", "mynetworks"); err != nil {
			return "", err
		}
	}
	return name + "." + domain, nil
}

// defaultDomain is myhostname without its first label.
func (s *Snapshot) defaultDomain() (string, error) {
	name, err := s.lookupWithout("myhostname", "mydomain", "mynetworks")
	if err != nil {
		return "", err
	}
	if _, domain, ok := strings.Cut(name, "."); ok {
		return domain, nil
	}
	return fallbackDomain, nil
}

// defaultNetworks makes mynetworks from the addresses mail is received on, as
// mynetworks_style says: host, subnet or class.
func (s *Snapshot) defaultNetworks() (string, error) {
	style, err := s.lookupWithout("mynetworks_style", "mynetworks")
	if err != nil {
		return "", err
	}
	if style != "host" && style != "subnet" && style != "class" {
		return "", s.fault("mynetworks_style", fmt.Sprintf("unknown mynetworks mask style value \"%s\" in \"%s\"", style, style))
	}
	own, err := s.OwnNetworks()
	if err != nil {
		return "", err
	}
	var out []string
	for _, p := range own {
		addr := p.Addr()
		switch {
		case style == "host":
			p = netip.PrefixFrom(addr, addr.BitLen())
		case style == "class" && addr.Is4():
			p = netip.PrefixFrom(addr, classBits(addr))
		}
		text := p.Masked().String()
		if addr.Is6() {
			text = fmt.Sprintf("[%s]/%d", p.Masked().Addr(), p.Bits())
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return strings.Join(out, " "), nil
}

// classBits is the mask of an address's class A, B or C network; class D and
// above have no networks.
func classBits(addr netip.Addr) int {
	switch first := addr.As4()[0]; {
	case first < 128:
		return 8
	case first < 192:
		return 16
	case first < 224:
		return 24
	}
	return 32
}

// OwnNetworks returns the addresses that inet_interfaces and inet_protocols
// select, each with the mask of its interface; IPv4 first. An address given
// there that no interface has stands alone, with a full mask.
func (s *Snapshot) OwnNetworks() ([]netip.Prefix, error) {
	text, err := s.lookupWithout("inet_interfaces", "mynetworks")
	if err != nil {
		return nil, err
	}
	protocols, err := s.lookupWithout("inet_protocols", "mynetworks")
	if err != nil {
		return nil, err
	}
	local, err := s.host.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("cannot list the network interfaces: %w; set mynetworks", err)
	}
	wanted := SplitList(protocols)
	four, six := slices.Contains(wanted, "ipv4"), slices.Contains(wanted, "ipv6")
	if slices.Contains(wanted, "all") || !four && !six {
		four, six = true, true
	}
	var out []netip.Prefix
	for _, item := range SplitList(text) {
		chosen, err := s.choose(item, local)
		if err != nil {
			return nil, err
		}
		for _, p := range chosen {
			if (p.Addr().Is4() && four || p.Addr().Is6() && six) && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b netip.Prefix) int { return a.Addr().BitLen() - b.Addr().BitLen() })
	return out, nil
}

// choose returns the addresses one element of inet_interfaces stands for.
func (s *Snapshot) choose(item string, local []netip.Prefix) ([]netip.Prefix, error) {
	switch item {
	case "all":
		return local, nil
	case "loopback-only":
		return slices.DeleteFunc(slices.Clone(local), func(p netip.Prefix) bool { return !p.Addr().IsLoopback() }), nil
	}
	var addrs []netip.Addr
	if addr, err := netip.ParseAddr(strings.Trim(item, "[]")); err == nil {
		addrs = []netip.Addr{addr}
	} else if addrs, err = s.host.Resolve(item); err != nil {
		return nil, s.fault("inet_interfaces", fmt.Sprintf("parameter inet_interfaces: host not found: %s", excerpt(item)))
	}
	var out []netip.Prefix
	for _, addr := range addrs {
		addr = addr.Unmap().WithZone("")
		p := netip.PrefixFrom(addr, addr.BitLen())
		for _, l := range local {
			if l.Addr() == addr {
				p = l
				break
			}
		}
		out = append(out, p)
	}
	return out, nil
}
