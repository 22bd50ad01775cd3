package master

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/internal/config"
	"posthaste/internal/showq"
	"posthaste/internal/system/spec"
)

// address is a listening socket as it is asked for: the key by which one
// generation takes over the sockets of another.
type address struct {
	network string // tcp4, tcp6, unix, unix-dgram, fifo, pass
	name    string // host:port, or a path below the queue directory
}

// addresses says where a row listens.
func addresses(row config.Service, p *Params, snap *config.Snapshot) ([]address, error) {
	if row.Type != "inet" {
		dir := "public/"
		if row.Private {
			dir = "private/"
		}
		out := []address{{row.Type, dir + row.Name}}
		if row.Command == "showq" && row.Type == "unix" {
			out = append(out, address{row.Type, dir + row.Name + showq.ClientsSuffix})
		}
		return out, nil
	}
	host, service := row.Host()
	port, err := p.port(service, func(name string) (int, error) {
		return net.DefaultResolver.LookupPort(context.Background(), "tcp", name)
	})
	if err != nil {
		return nil, fmt.Errorf("%s, line %d: unknown service name %q", row.File, row.Line, service)
	}
	hosts, err := rowHosts(host, p, snap)
	if err != nil {
		return nil, fmt.Errorf("%s, line %d: %w", row.File, row.Line, err)
	}
	var out []address
	for _, h := range hosts {
		network := "tcp4"
		if h.Is6() {
			network = "tcp6"
		}
		out = append(out, address{network, net.JoinHostPort(h.String(), strconv.Itoa(port))})
	}
	return out, nil
}

// protocols tells which Internet protocols inet_protocols allows.
func protocols(p *Params) (four, six bool) {
	has := func(s string) bool { return slices.Contains(p.Common.InetProtocols, s) }
	if has("all") || !has("ipv4") && !has("ipv6") {
		return true, ipv6Works()
	}
	return has("ipv4"), has("ipv6")
}

// ipv6Works tells whether the kernel has IPv6 at all.
func ipv6Works() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// rowHosts returns the addresses that a row's host part stands for.
func rowHosts(host string, p *Params, snap *config.Snapshot) ([]netip.Addr, error) {
	four, six := protocols(p)
	var all []netip.Addr
	switch {
	case host == "" && slices.Equal(p.Common.InetInterfaces, []string{"all"}):
		all = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	case host == "":
		own, err := snap.OwnNetworks()
		if err != nil {
			return nil, err
		}
		for _, prefix := range own {
			all = append(all, prefix.Addr())
		}
	default:
		if a, err := netip.ParseAddr(host); err == nil {
			all = []netip.Addr{a}
			break
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return nil, fmt.Errorf("host not found: %s", host)
		}
		for _, a := range found {
			all = append(all, a.Unmap())
		}
	}
	var out []netip.Addr
	for _, a := range all {
		if (a.Is4() && four || a.Is6() && six) && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no address to listen on: check inet_interfaces and inet_protocols")
	}
	return out, nil
}

// bindTime is how long bind waits for an address that another process is just
// giving up: children of a master that was killed.
const bindTime = 3 * time.Second

// bind makes a listening socket and returns its descriptor, close-on-exec and
// non-blocking. Descriptors stay plain numbers in master: os.File would change
// their blocking mode, which all processes that listen on it share.
func bind(a address, o owner) (fd int, err error) {
	for end := time.Now().Add(bindTime); ; {
		fd, err = bindOnce(a, o)
		if err == nil || !isInUse(err) || time.Now().After(end) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return -1, bindError(a, err)
	}
	return fd, nil
}

// bindError words a failure as Postfix's master does: people search the log for it.
func bindError(a address, err error) error {
	what := a.name
	if host, port, e := net.SplitHostPort(a.name); e == nil && strings.HasPrefix(a.network, "tcp") {
		what = host + " port " + port
	}
	if errno, ok := errnoOf(err); ok {
		text := errno.Error()
		return fmt.Errorf("bind %s: %s", what, strings.ToUpper(text[:1])+text[1:])
	}
	return fmt.Errorf("bind %s: %w", what, err)
}

func bindOnce(a address, o owner) (int, error) {
	switch a.network {
	case "tcp4", "tcp6":
		l, err := net.Listen(a.network, a.name)
		if err != nil {
			return -1, err
		}
		defer l.Close()
		return duplicate(l.(syscall.Conn))
	case "fifo":
		return bindFifo(a.name, o)
	}
	if err := os.Remove(a.name); err != nil && !os.IsNotExist(err) {
		return -1, err
	}
	var c syscall.Conn
	if a.network == "unix-dgram" {
		u, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: a.name, Net: "unixgram"})
		if err != nil {
			return -1, err
		}
		defer u.Close()
		c = u
	} else {
		u, err := net.ListenUnix("unix", &net.UnixAddr{Name: a.name, Net: "unix"})
		if err != nil {
			return -1, err
		}
		u.SetUnlinkOnClose(false)
		defer u.Close()
		c = u
	}
	if err := own(a.name, 0o666, o); err != nil {
		return -1, err
	}
	return duplicate(c)
}

// own gives a socket its mode and owner; its directory decides who reaches it.
func own(path string, mode os.FileMode, o owner) error {
	if o.root {
		if err := os.Lchown(path, o.uid, o.gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}

func bindFifo(path string, o owner) (int, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return -1, err
	}
	if err := unix.Mkfifo(path, 0o622); err != nil {
		return -1, err
	}
	if err := own(path, 0o622, o); err != nil {
		return -1, err
	}
	// Open for writing too, so that a reader never sees an end of file.
	return unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

// duplicate copies the descriptor of c.
func duplicate(c syscall.Conn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	failed := raw.Control(func(n uintptr) {
		fd, err = unix.FcntlInt(n, unix.F_DUPFD_CLOEXEC, spec.FirstListener)
	})
	if failed != nil {
		return -1, failed
	}
	return fd, err
}

func isInUse(err error) bool {
	e, ok := errnoOf(err)
	return ok && e == unix.EADDRINUSE
}
