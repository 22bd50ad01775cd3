package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"posthaste/test/peer"
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

// session sends messages until the shared counter reaches the limit: one
// connection for each, or one for all.
func session(addr string, m message, next *atomic.Int64, limit int64, keep bool) (took []time.Duration, err error) {
	var c *client
	for {
		n := next.Add(1)
		if n > limit {
			break
		}
		if c == nil {
			if c, err = dial(addr); err != nil {
				return took, err
			}
		}
		d, err := c.send(m, n)
		if err != nil {
			c.Close()
			return took, err
		}
		took = append(took, d)
		if !keep {
			c.quit()
			c = nil
		}
	}
	if c != nil {
		c.quit()
	}
	return took, nil
}

// client is one SMTP connection.
type client struct {
	*peer.Client
	out []byte
}

func dial(addr string) (*client, error) {
	conn, err := peer.Connect(addr, 2*time.Minute)
	if err != nil {
		return nil, err
	}
	c := &client{Client: conn}
	if err := c.expect("220"); err != nil {
		return nil, err
	}
	return c, c.command("EHLO client.example.test\r\n", "250")
}

func (c *client) command(text, want string) error {
	if _, err := c.Write([]byte(text)); err != nil {
		return err
	}
	return c.expect(want)
}

// expect reads one reply.
func (c *client) expect(want string) error {
	reply, err := c.Reply()
	if err == nil && !strings.HasPrefix(reply, want) {
		err = fmt.Errorf("expected %s, got %q", want, reply)
	}
	return err
}

// send sends one message, pipelined as a mail server does, and returns the
// time from the final dot to its reply.
func (c *client) send(m message, n int64) (time.Duration, error) {
	envelope := "MAIL FROM:<load@client.example.test>\r\nRCPT TO:<rcpt@sink.example.test>\r\nDATA\r\n"
	if _, err := c.Write([]byte(envelope)); err != nil {
		return 0, err
	}
	for _, want := range []string{"250", "250", "354"} {
		if err := c.expect(want); err != nil {
			return 0, err
		}
	}
	c.out = fmt.Appendf(c.out[:0], "Subject: load\r\nMessage-ID: <%s.%d@client.example.test>\r\nX-Load-Id: %s.%d\r\n\r\n", m.name, n, m.name, n)
	c.out = append(c.out, m.body...)
	c.out = append(c.out, ".\r\n"...)
	if _, err := c.Write(c.out); err != nil {
		return 0, err
	}
	start := time.Now()
	if err := c.expect("250"); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

func (c *client) quit() {
	c.command("QUIT\r\n", "221")
	c.Close()
}
