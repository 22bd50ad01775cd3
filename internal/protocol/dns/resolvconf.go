package dns

import (
	"bufio"
	"bytes"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// Config says which name servers to ask, and how. The zero value asks the
// server on this machine.
type Config struct {
	Servers  []netip.AddrPort
	Search   []string
	Ndots    int           // names with at least this many dots are tried as they are first
	Timeout  time.Duration // for one try of one server
	Attempts int           // rounds over all servers
	Rotate   bool          // begin with another server each time
	UseTCP   bool          // options use-vc
	TrustAD  bool          // options trust-ad: believe the servers' AD bit
}

// The bounds of resolv.conf(5).
const (
	maxServers = 3
	maxTimeout = 30 * time.Second
)

// withDefaults fills what is not set with what resolv.conf(5) says.
func (c Config) withDefaults() Config {
	if len(c.Servers) == 0 {
		c.Servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	}
	if c.Ndots == 0 {
		c.Ndots = 1
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Attempts == 0 {
		c.Attempts = 2
	}
	return c
}

// ReadConfig reads a file in the format of resolv.conf(5). A missing file
// gives the default configuration, as with the system's resolver.
func ReadConfig(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		if os.IsNotExist(err) {
			return Config{}.withDefaults(), nil
		}
		return Config{}, err
	}
	return ParseConfig(bytes.NewReader(data))
}

// ParseConfig reads resolv.conf(5) text. Lines it does not know are passed over.
func ParseConfig(r io.Reader) (Config, error) {
	var c Config
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || strings.IndexByte("#;", words[0][0]) >= 0 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if addr, err := netip.ParseAddr(words[1]); err == nil && len(c.Servers) < maxServers {
				c.Servers = append(c.Servers, netip.AddrPortFrom(addr, 53))
			}
		case "domain":
			c.Search = searchList(words[1:2])
		case "search":
			c.Search = searchList(words[1:])
		case "options":
			for _, option := range words[1:] {
				c.option(option)
			}
		}
	}
	return c.withDefaults(), lines.Err()
}

func searchList(names []string) (list []string) {
	for _, name := range names {
		if name = strings.TrimSuffix(name, "."); ValidName(name) {
			list = append(list, name)
		}
	}
	return list
}

func (c *Config) option(option string) {
	name, value, _ := strings.Cut(option, ":")
	n, err := strconv.Atoi(value)
	ok := err == nil && n > 0
	switch {
	case name == "ndots" && ok:
		c.Ndots = min(n, 15)
	case name == "timeout" && ok:
		c.Timeout = min(time.Duration(n)*time.Second, maxTimeout)
	case name == "attempts" && ok:
		c.Attempts = min(n, 5)
	case name == "rotate":
		c.Rotate = true
	case name == "use-vc":
		c.UseTCP = true
	case name == "trust-ad":
		c.TrustAD = true
	}
}
