// Package peer holds the other end of mail for tests: an SMTP server that
// answers as a test tells it and remembers what it was sent, and a client that
// plays a written dialogue.
package peer

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// Sink is an SMTP or LMTP server on a loopback port.
type Sink struct {
	Port     int
	listener net.Listener

	mu       sync.Mutex
	judge    func(verb string, t Transaction) string
	replies  map[string][]string // by verb, "." is the final dot: next replies, the last one stays
	keywords []string
	messages []string
	changed  chan struct{}
	sessions int
	limit    int // connections at a time; 0: any number
	open     int
}

// Transaction is what a client of the sink has sent since its MAIL command.
type Transaction struct {
	Session    int       // number of the connection, from 1
	Begin      time.Time // of the MAIL command
	Sender     string    // without angle brackets
	Recipients []string  // accepted ones; at RCPT with the one asked about, last
	Text       string    // at the final dot: without dot-stuffing, with LF line ends
}

// NewSink starts a sink that accepts everything. The keywords are what EHLO
// announces.
func NewSink(keywords ...string) (*Sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if len(keywords) == 0 {
		keywords = []string{"PIPELINING", "8BITMIME", "SIZE 50000000", "DSN", "ENHANCEDSTATUSCODES", "SMTPUTF8"}
	}
	s := &Sink{Port: l.Addr().(*net.TCPAddr).Port, listener: l, replies: map[string][]string{},
		keywords: keywords, changed: make(chan struct{})}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s, nil
}

// Close stops the sink.
func (s *Sink) Close() { s.listener.Close() }

// Reply sets the replies to a verb (CONNECT, EHLO, MAIL, RCPT, DATA, "." for
// the end of data, QUIT …): one after the other, the last for ever. "close"
// closes the connection instead; an empty list is the normal reply.
func (s *Sink) Reply(verb string, replies ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[strings.ToUpper(verb)] = replies
}

// Keywords sets what EHLO announces.
func (s *Sink) Keywords(keywords ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keywords = keywords
}

// Judge lets f answer RCPT and "." (the end of data) instead of Reply. f is
// called before the reply is sent, from many sessions at a time; "" is the
// normal reply, "close" closes the connection. The sink then keeps no messages.
func (s *Sink) Judge(f func(verb string, t Transaction) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judge = f
}

// Limit makes the sink greet connections beyond n at a time with 421; 0: none.
func (s *Sink) Limit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = n
}

// Messages are what arrived: the envelope commands, an empty line, the text
// without dot-stuffing, with LF line ends.
func (s *Sink) Messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.messages...)
}

// Sessions is how many connections there were.
func (s *Sink) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

// Wait waits until n messages have arrived.
func (s *Sink) Wait(n int, limit time.Duration) error {
	timeout := time.After(limit)
	for {
		s.mu.Lock()
		have, changed := len(s.messages), s.changed
		s.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-timeout:
			return fmt.Errorf("%d of %d messages arrived within %v", have, n, limit)
		}
	}
}

// judged is the reply to a verb that may depend on the transaction.
func (c *conversation) judged(verb, normal string) string {
	c.s.mu.Lock()
	judge := c.s.judge
	c.s.mu.Unlock()
	if judge == nil {
		return c.s.answer(verb, normal)
	}
	if reply := judge(verb, c.t); reply != "" {
		return reply
	}
	return normal
}

// answer is the next reply to a verb.
func (s *Sink) answer(verb, normal string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.replies[verb]
	if len(r) == 0 {
		return normal
	}
	if len(r) > 1 {
		s.replies[verb] = r[1:]
	}
	if r[0] == "" {
		return normal
	}
	return r[0]
}

func (s *Sink) hello() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := append([]string{"sink.example.test"}, s.keywords...)
	for i := range lines[:len(lines)-1] {
		lines[i] = "250-" + lines[i]
	}
	lines[len(lines)-1] = "250 " + lines[len(lines)-1]
	return strings.Join(lines, "\r\n")
}

// conversation is one connection.
type conversation struct {
	s        *Sink
	r        *bufio.Reader
	conn     net.Conn
	envelope []string
	t        Transaction
	lmtp     bool
}

func (s *Sink) serve(conn net.Conn) {
	defer conn.Close()
	s.mu.Lock()
	s.sessions++
	n := s.sessions
	s.open++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	}()
	if s.crowded() {
		fmt.Fprint(conn, "421 4.7.0 too many connections\r\n")
		return
	}
	c := &conversation{s: s, r: bufio.NewReader(conn), conn: conn, t: Transaction{Session: n}}
	if !c.say("CONNECT", "220 sink.example.test ESMTP") {
		return
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return
		}
		if !c.command(strings.TrimRight(line, "\r\n")) {
			return
		}
	}
}

// crowded tells whether there are too many connections. One that a client has closed
// may still be at its end.
func (s *Sink) crowded() bool {
	for range 10 {
		s.mu.Lock()
		over := s.limit > 0 && s.open > s.limit
		s.mu.Unlock()
		if !over {
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// say sends a reply; false ends the connection.
func (c *conversation) say(verb, normal string) bool {
	text := c.s.answer(verb, normal)
	if text == "close" {
		return false
	}
	fmt.Fprintf(c.conn, "%s\r\n", text)
	return !strings.HasPrefix(text, "421")
}

func (c *conversation) command(line string) bool {
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	switch verb {
	case "EHLO", "LHLO":
		c.lmtp = verb == "LHLO"
		return c.say("EHLO", c.s.hello())
	case "MAIL", "RSET":
		c.envelope = nil
		c.t = Transaction{Session: c.t.Session, Begin: time.Now(), Sender: path(line)}
	case "RCPT":
		return c.recipient(line)
	case "DATA":
		return c.data()
	case "QUIT":
		c.say("QUIT", "221 2.0.0 Bye")
		return false
	}
	if verb == "MAIL" {
		reply := c.s.answer(verb, "250 2.1.0 Ok")
		if reply[0] == '2' {
			c.envelope = append(c.envelope, line)
		}
		return c.send(reply)
	}
	return c.say(verb, "250 2.0.0 Ok")
}

// path is the address in a MAIL or RCPT command.
func path(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	address, _, _ := strings.Cut(rest, ">")
	return address
}

// send sends a reply to MAIL, RCPT or the end of data; false ends the
// connection.
func (c *conversation) send(reply string) bool {
	if reply == "close" {
		return false
	}
	fmt.Fprintf(c.conn, "%s\r\n", reply)
	return true
}

func (c *conversation) recipient(line string) bool {
	accepted := len(c.t.Recipients)
	c.t.Recipients = append(c.t.Recipients, path(line))
	normal := "250 2.1.0 Ok"
	if len(c.envelope) == 0 {
		normal = "503 5.5.1 need MAIL command"
	}
	reply := c.judged("RCPT", normal)
	if reply[0] == '2' {
		c.envelope = append(c.envelope, line)
	} else {
		c.t.Recipients = c.t.Recipients[:accepted]
	}
	return c.send(reply)
}

func (c *conversation) data() bool {
	normal := "354 go on"
	if len(c.envelope) < 2 {
		normal = "554 5.5.1 no valid recipients"
	}
	reply := c.s.answer("DATA", normal)
	if reply == "close" {
		return false
	}
	fmt.Fprintf(c.conn, "%s\r\n", reply)
	if !strings.HasPrefix(reply, "354") {
		return true
	}
	var text strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		text.WriteString(strings.TrimSuffix(strings.TrimPrefix(line, "."), "\r\n") + "\n")
	}
	replies := 1
	if c.lmtp {
		replies = len(c.t.Recipients)
	}
	c.t.Text = text.String()
	for range replies {
		reply := c.judged(".", "250 2.0.0 Ok: queued as SINK")
		if reply[0] == '2' {
			c.s.add(strings.Join(c.envelope, "\n") + "\n\n" + c.t.Text)
		}
		if !c.send(reply) {
			return false
		}
	}
	return true
}

func (s *Sink) add(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.judge != nil {
		return
	}
	s.messages = append(s.messages, message)
	close(s.changed)
	s.changed = make(chan struct{})
}
