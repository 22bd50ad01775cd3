package dns

import (
	"bufio"
	"bytes"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// hostsRecheck is how often the hosts file is looked at for changes.
const hostsRecheck = 5 * time.Second

// Hosts is the hosts file, the part of the system's "native" name service
// that is not DNS. It is safe for concurrent use. A nil *Hosts knows no name.
type Hosts struct {
	path string

	mu      sync.Mutex
	checked time.Time
	stamp   time.Time // modification time of what was read
	size    int64
	names   map[string][]netip.Addr
}

// NewHosts uses the file at path, usually /etc/hosts. It need not exist.
func NewHosts(path string) *Hosts { return &Hosts{path: path} }

// Lookup returns the addresses of a name, in the order of the file.
func (h *Hosts) Lookup(name string) []netip.Addr {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refresh()
	return h.names[strings.ToLower(strings.TrimSuffix(name, "."))]
}

func (h *Hosts) refresh() {
	now := time.Now()
	if now.Sub(h.checked) < hostsRecheck {
		return
	}
	h.checked = now
	st, err := os.Stat(h.path)
	if err != nil {
		h.names, h.stamp = nil, time.Time{}
		return
	}
	if st.ModTime().Equal(h.stamp) && st.Size() == h.size {
		return
	}
	if data, err := os.ReadFile(h.path); err == nil {
		h.names, h.stamp, h.size = parseHosts(data), st.ModTime(), st.Size()
	}
}

// parseHosts reads hosts(5) text; lines that are not understood do not count.
func parseHosts(data []byte) map[string][]netip.Addr {
	names := map[string][]netip.Addr{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(words[0])
		if err != nil {
			continue
		}
		for _, name := range words[1:] {
			name = strings.ToLower(name)
			names[name] = append(names[name], addr)
		}
	}
	return names
}
