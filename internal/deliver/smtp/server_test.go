package smtp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/protocol/dns"
	"posthaste/internal/queue/record"
)

// server is a mail server for tests. Its replies are scripted by command verb
// (GREETING and DOT included; LMTP makes it an LMTP server): each list is used up from the front, and its
// last entry is repeated. An entry is sent as it is; DROP closes the
// connection, and HANG waits until the client does.
type server struct {
	addr    netip.AddrPort
	ln      net.Listener
	lmtp    bool
	scripts map[string][]string

	mu       sync.Mutex
	sessions int
	log      []string // commands, without line ends
	messages []string // content as it came over the wire, without the final dot
}

// serve runs a server on the given address, or on a free loopback port.
func serve(t testing.TB, listen string, scripts map[string][]string) *server {
	t.Helper()
	network := "tcp"
	if listen == "" {
		listen = "127.0.0.1:0"
	} else if strings.HasPrefix(listen, "/") {
		network = "unix"
	}
	ln, err := net.Listen(network, listen)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{ln: ln, scripts: map[string][]string{
		"GREETING": {"220 mx.test ESMTP\r\n"},
		"EHLO":     {"250-mx.test\r\n250-PIPELINING\r\n250-SIZE 100000\r\n250-8BITMIME\r\n250 DSN\r\n"},
		"MAIL":     {"250 2.1.0 Ok\r\n"}, "RCPT": {"250 2.1.5 Ok\r\n"}, "DATA": {"354 go on\r\n"},
		"DOT": {"250 2.0.0 Ok: queued as 12345\r\n"}, "RSET": {"250 2.0.0 Ok\r\n"}, "QUIT": {"221 2.0.0 Bye\r\n"},
	}}
	for verb, script := range scripts {
		s.scripts[verb] = slices.Clone(script)
	}
	s.scripts["LHLO"] = s.scripts["EHLO"]
	s.lmtp = scripts["LMTP"] != nil
	if network == "tcp" {
		s.addr = netip.MustParseAddrPort(ln.Addr().String())
	}
	var open sync.WaitGroup
	open.Go(func() { s.accept(&open) })
	t.Cleanup(func() { ln.Close(); open.Wait() })
	return s
}

func (s *server) accept(open *sync.WaitGroup) {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		open.Go(func() { s.session(conn) })
	}
}

// next is the next scripted reply for a verb.
func (s *server) next(verb string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	script := s.scripts[verb]
	if len(script) == 0 {
		return "502 5.5.2 unknown command " + verb + "\r\n"
	}
	if len(script) > 1 {
		s.scripts[verb] = script[1:]
	}
	return script[0]
}

func (s *server) say(conn net.Conn, verb string) (string, bool) {
	reply := s.next(verb)
	switch reply {
	case "DROP":
		conn.Close()
		return reply, false
	case "HANG":
		io.Copy(io.Discard, conn)
		return reply, false
	}
	_, err := conn.Write([]byte(reply))
	return reply, err == nil
}

func (s *server) session(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	s.mu.Lock()
	s.sessions++
	s.mu.Unlock()
	in := bufio.NewReader(conn)
	if _, ok := s.say(conn, "GREETING"); !ok {
		return
	}
	accepted := 0
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		verb, _, _ := strings.Cut(line, " ")
		s.mu.Lock()
		s.log = append(s.log, line)
		s.mu.Unlock()
		reply, ok := s.say(conn, verb)
		if !ok || verb == "QUIT" {
			return
		}
		switch {
		case verb == "MAIL" || verb == "RSET":
			accepted = 0
		case verb == "RCPT" && reply[0] == '2':
			accepted++
		case verb == "DATA" && reply[0] == '3':
			if !s.data(conn, in, accepted) {
				return
			}
		}
	}
}

// data reads content and answers it: once, or for LMTP once per recipient.
func (s *server) data(conn net.Conn, in *bufio.Reader, accepted int) bool {
	var text strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		text.WriteString(line)
	}
	s.mu.Lock()
	s.messages = append(s.messages, text.String())
	s.mu.Unlock()
	if !s.lmtp {
		accepted = 1
	}
	for range accepted {
		if _, ok := s.say(conn, "DOT"); !ok {
			return false
		}
	}
	return true
}

// said returns what was received so far.
func (s *server) said() (commands, messages []string, sessions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log), slices.Clone(s.messages), s.sessions
}

// memory is a queue file in memory.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if end := int(off) + len(p); end > len(m.b) {
		m.b = append(m.b, make([]byte, end-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// content makes message content of lines.
func content(t testing.TB, lines ...string) record.Content {
	t.Helper()
	var m memory
	w := record.NewWriter(&m)
	w.Envelope(&mail.Envelope{Sender: "s@a.test", Arrival: time.Now()})
	w.Recipient(mail.Recipient{Address: "r@b.test"})
	w.BeginContent()
	for _, line := range lines {
		w.Line([]byte(line))
	}
	w.BeginExtracted()
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	info, err := record.Read(&m, 100)
	if err != nil {
		t.Fatal(err)
	}
	return info.Content
}

// journal collects log lines.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Info(format string, args ...any) { j.add(fmt.Sprintf(format, args...)) }

func (j *journal) Warning(format string, args ...any) {
	j.add("warning: " + fmt.Sprintf(format, args...))
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

// params are the defaults, with short time limits.
func params() Params {
	var p Params
	p.Common.MyHostname, p.HeloName = "client.test", "client.test"
	p.HostLookup, p.AddressPreference, p.VerifyTarget, p.TCPPort = []string{"dns"}, "any", "rcpt", "smtp"
	p.MXAddressLimit, p.MXSessionLimit, p.LineLengthLimit = 5, 2, 998
	p.BalanceProtocols, p.RandomizeAddresses, p.AlwaysEHLO, p.Skip5xxGreeting, p.SkipQuitResponse = true, true, true, true, true
	p.CacheOnDemand, p.CacheTimeLimit, p.ReuseTimeLimit = true, 2*time.Second, 300*time.Second
	for _, limit := range []*time.Duration{&p.ConnectTimeout, &p.HeloTimeout, &p.XForwardTimeout, &p.MailTimeout, &p.RcptTimeout,
		&p.DataInitTimeout, &p.DataXferTimeout, &p.DataDoneTimeout, &p.RsetTimeout, &p.QuitTimeout} {
		*limit = 10 * time.Second
	}
	return p
}

// setup is an agent under test, and what its deliveries gave.
type setup struct {
	*Agent
	log *journal
}

func newSetup(t testing.TB, p Params, r dns.Resolver, lmtp bool) *setup {
	t.Helper()
	log := &journal{}
	a, err := newAgent(p, Deps{Log: log, Resolver: r}, lmtp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return &setup{a, log}
}

// request is a message to the given recipients.
func request(t testing.TB, nexthop string, rcpts ...mail.Address) deliver.Request {
	t.Helper()
	r := deliver.Request{ID: "4XYZ", Service: "smtp", Nexthop: nexthop, Size: 21,
		Envelope: mail.Envelope{Sender: "s@a.test", Encoding: mail.Encoding7Bit}, Content: content(t, "Subject: x", "", "text")}
	for _, rcpt := range rcpts {
		r.Recipients = append(r.Recipients, mail.Recipient{Address: rcpt})
	}
	return r
}

// results delivers and renders what became of each recipient, one line each:
// "sent 2.0.0 relay=… (reason)", with SITE before it for a SiteError.
func (s *setup) results(t testing.TB, r deliver.Request) string {
	t.Helper()
	lines := make([]string, len(r.Recipients))
	err := s.Deliver(t.Context(), r, func(i mail.RecipientIndex, st mail.Status) {
		if lines[i] != "" {
			t.Errorf("two results for recipient %d", i)
		}
		lines[i] = render(st)
	})
	var site *deliver.SiteError
	for i := range lines {
		if lines[i] != "" {
			continue
		}
		switch e := err.(type) {
		case nil:
			lines[i] = "no result"
		case *deliver.SiteError:
			site = e
			lines[i] = "SITE " + render(e.Status)
		default:
			lines[i] = "LOCAL " + err.Error()
		}
	}
	if err != nil && site == nil && !strings.Contains(strings.Join(lines, ""), "LOCAL") {
		t.Errorf("error %v although all recipients have results", err)
	}
	return strings.Join(lines, "\n")
}

func render(st mail.Status) string {
	return fmt.Sprintf("%s %s (%s)", st.Action.LogName(), st.Code, st.Reason)
}
