package main

import (
	"bytes"
	"fmt"
	"time"
)

// message is what the load consists of: the same text with a number in it.
type message struct {
	name string
	body []byte
}

func newMessage(name string, size int) message {
	line := bytes.Repeat([]byte("x"), 62)
	line = append(line, '\r', '\n')
	return message{name: name, body: bytes.Repeat(line, max(1, size/len(line)))}
}

// limit is how long a load may take.
const limit = 5 * time.Minute

// load is messages being sent over a number of sessions at a time.
type load struct {
	*loop
	port     int
	message  message
	messages int
	rcpt     func(number int) string
	keep     bool // one connection for all messages of a session

	next      int // number of the next message
	open      int // sessions that have not ended
	latencies []time.Duration
	failed    error
	out       []byte
}

// send sends messages and returns the time from the final dot to the 250 of
// each. Every message has a connection of its own unless keep is set.
func send(port int, m message, rcpt func(number int) string, sessions, messages int, keep bool) ([]time.Duration, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	s := &load{loop: l, port: port, message: m, messages: messages, rcpt: rcpt, keep: keep}
	for range min(sessions, messages) {
		s.open++
		s.begin()
	}
	end := time.Now().Add(limit)
	err = l.run(func() bool { return s.open == 0 || s.failed != nil || time.Now().After(end) })
	if s.failed == nil && s.open > 0 {
		s.failed = fmt.Errorf("%d sessions had not ended after %v", s.open, limit)
	}
	if s.failed != nil {
		return s.latencies, s.failed
	}
	return s.latencies, err
}

// step is what a session waits for the reply to.
type step int

const (
	greeting step = iota
	hello
	addresses // MAIL, RCPT and DATA are sent at once, as mail servers do
	text
	bye
)

// session is one connection.
type session struct {
	*load
	number  int // of the message
	step    step
	replies int // to addresses
	partial []byte
	dot     time.Time
}

// begin opens a connection for the next message, if there is one.
func (s *load) begin() {
	if s.next >= s.messages {
		s.open--
		return
	}
	s.next++
	c := &session{load: s, number: s.next}
	if _, err := s.connect(s.port, c.read); err != nil {
		s.failed = err
	}
}

// read takes the lines that have come.
func (c *session) read(s *stream, data []byte) bool {
	if data == nil {
		if c.step != bye {
			c.failed = fmt.Errorf("connection lost at step %d", c.step)
		}
		return false
	}
	c.partial = append(c.partial, data...)
	for {
		end := bytes.IndexByte(c.partial, '\n')
		if end < 0 {
			return true
		}
		line := c.partial[:end+1]
		if len(line) < 6 || line[0] != '2' && line[0] != '3' {
			c.failed = fmt.Errorf("at step %d the server said %q", c.step, line)
			return false
		}
		if line[3] == ' ' && !c.reply(s) {
			return false
		}
		c.partial = c.partial[:copy(c.partial, c.partial[end+1:])]
	}
}

// reply goes on after a reply; false ends the connection.
func (c *session) reply(s *stream) bool {
	switch c.step {
	case greeting:
		c.step = hello
		c.write(s, []byte("EHLO client.example.test\r\n"))
	case hello:
		c.envelope(s)
	case addresses:
		if c.replies++; c.replies == 3 {
			c.content(s)
		}
	case text:
		c.latencies = append(c.latencies, time.Since(c.dot))
		if c.keep && c.next < c.messages {
			c.next++
			c.number = c.next
			c.envelope(s)
			break
		}
		c.step = bye
		c.write(s, []byte("QUIT\r\n"))
	case bye:
		c.begin()
		return false
	}
	return true
}

func (c *session) envelope(s *stream) {
	c.step, c.replies = addresses, 0
	c.out = fmt.Appendf(c.out[:0], "MAIL FROM:<load@client.example.test>\r\nRCPT TO:<%s>\r\nDATA\r\n", c.rcpt(c.number))
	c.write(s, c.out)
}

func (c *session) content(s *stream) {
	m := c.message
	c.out = fmt.Appendf(c.out[:0], "Subject: load\r\nMessage-ID: <%s.%d@client.example.test>\r\nX-Load-Id: %s.%d\r\n\r\n",
		m.name, c.number, m.name, c.number)
	c.out = append(c.out, m.body...)
	c.out = append(c.out, ".\r\n"...)
	c.step = text
	c.write(s, c.out)
	c.dot = time.Now()
}
