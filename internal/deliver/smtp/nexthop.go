package smtp

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"posthaste/internal/protocol/dns"
)

// hop is one destination of a next-hop list.
type hop struct {
	text    string // as it was written
	host    string // domain, host or address; without brackets
	service string // port number or service name
	port    uint16
	lookup  bool   // mail exchangers are looked up
	path    string // unix-domain socket; then nothing else is set
}

// smtpPort is the port where mail loops are looked for.
const smtpPort = 25

// parseHops reads a list of destinations separated by comma or white space
// (Postfix 3.5). port is the default service.
func parseHops(list string, lmtp bool, port string) ([]hop, error) {
	if lmtp && strings.HasPrefix(list, "unix:") {
		// A path may hold commas; Postfix does not split it either.
		h, err := parseHop(list, lmtp, port)
		if err != nil {
			return nil, err
		}
		return []hop{h}, nil
	}
	var hops []hop
	for _, text := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		h, err := parseHop(text, lmtp, port)
		if err != nil {
			return nil, err
		}
		hops = append(hops, h)
	}
	if len(hops) == 0 {
		return nil, errors.New("null destination: \"" + list + "\"")
	}
	return hops, nil
}

// parseHop reads one destination: domain, domain:port, [host], [host]:port,
// where host may be an address, and for LMTP inet:host:port and unix:path.
func parseHop(text string, lmtp bool, port string) (hop, error) {
	h := hop{text: text, service: port}
	rest := text
	if lmtp {
		if path, ok := strings.CutPrefix(rest, "unix:"); ok {
			if path == "" || strings.IndexByte(path, 0) >= 0 {
				return hop{}, errors.New("null destination: \"" + text + "\"")
			}
			return hop{text: text, path: path}, nil
		}
		rest = strings.TrimPrefix(rest, "inet:")
	}
	bracketed := strings.HasPrefix(rest, "[")
	if err := h.split(rest, bracketed); err != nil {
		return hop{}, errors.New(err.Error() + " in server description: " + text)
	}
	n, ok := lookupPort(h.service)
	if !ok {
		return hop{}, errors.New("unknown service: " + h.service + "/tcp")
	}
	h.port = n
	_, err := netip.ParseAddr(h.host)
	h.lookup = !bracketed && !lmtp && err != nil
	return h, nil
}

// split cuts host and service apart and checks the host.
func (h *hop) split(rest string, bracketed bool) error {
	service := ""
	switch {
	case bracketed:
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return errors.New("missing \"]\"")
		}
		h.host, service = rest[1:end], rest[end+1:]
		if service != "" && service[0] != ':' {
			return errors.New("garbage after \"]\"")
		}
	case strings.Count(rest, ":") > 1 && isAddress(rest):
		h.host = rest // a bare IPv6 address
	default:
		i := strings.IndexByte(rest, ':')
		if i < 0 {
			i = len(rest)
		}
		h.host, service = rest[:i], rest[i:]
	}
	if service = strings.TrimPrefix(service, ":"); service != "" {
		h.service = service
	}
	if len(h.host) > 5 && strings.EqualFold(h.host[:5], "ipv6:") {
		h.host = h.host[5:]
	}
	ascii, ok := dns.ToASCII(strings.TrimSuffix(h.host, "."))
	if !ok || !dns.ValidName(ascii) && !isAddress(h.host) {
		return errors.New("valid hostname or network address required")
	}
	return nil
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// knownPorts spares the services file, which a chroot jail may not have
// (Postfix known_tcp_ports).
var knownPorts = map[string]uint16{"smtp": 25, "lmtp": 24, "submission": 587, "smtps": 465, "submissions": 465}

func lookupPort(service string) (uint16, bool) {
	if n, err := strconv.ParseUint(service, 10, 16); err == nil {
		return uint16(n), n > 0
	}
	if n, ok := knownPorts[service]; ok {
		return n, true
	}
	for i := 0; i < len(service); i++ { // nothing but a plain word goes to the file
		if c := service[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return 0, false
		}
	}
	n, err := net.LookupPort("tcp", service)
	return uint16(n), err == nil && n > 0
}

// name is the destination as administrators list it: without brackets and
// port.
func (h *hop) name() string {
	if h.path != "" {
		return h.path
	}
	return h.host
}

// key tells destinations apart whose connections must not be mixed up.
func (h *hop) key() string {
	if h.path != "" {
		return "unix:" + h.path
	}
	key := strings.ToLower(h.host) + "/" + strconv.Itoa(int(h.port))
	if !h.lookup {
		key = "[]" + key
	}
	return key
}
