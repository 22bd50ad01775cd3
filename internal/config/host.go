package config

import (
	"context"
	"net"
	"net/netip"
	"os"
	"time"
)

// Host is what the configuration asks the machine. Tests give their own.
type Host struct {
	Name       func() (string, error)                  // the machine's host name
	Interfaces func() ([]netip.Prefix, error)          // addresses of the interfaces, with their masks
	Resolve    func(name string) ([]netip.Addr, error) // addresses of a host named in inet_interfaces
	ReadFile   func(path string) ([]byte, error)       // for `myorigin = /file`
}

// SystemHost asks the operating system.
func SystemHost() Host {
	return Host{
		Name:       os.Hostname,
		Interfaces: interfaces,
		Resolve:    resolve,
		ReadFile:   readFile,
	}
}

// interfaces lists the addresses of the machine. Zones of link-local
// addresses are dropped: mynetworks has no notation for them.
func interfaces() ([]netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		ip = ip.Unmap()
		ones, bits := n.Mask.Size()
		if bits == 128 && ip.Is4() {
			ones -= 96
		}
		if p := netip.PrefixFrom(ip, ones); p.IsValid() {
			out = append(out, p)
		}
	}
	return out, nil
}

// resolveTime bounds the name lookups for inet_interfaces at the start.
const resolveTime = 10 * time.Second

func resolve(name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTime)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
}
