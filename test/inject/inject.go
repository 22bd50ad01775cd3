// Package inject sends the messages of a ledger by SMTP and notes in it what it
// was told about each, and what a sink took, for tests that count. It touches
// nothing but the connection, the books, and the sendmail command.
package inject

import (
	"fmt"
	"strings"
	"time"

	"posthaste/test/ledger"
	"posthaste/test/peer"
)

// Client is one SMTP connection.
type Client struct{ *peer.Client }

// Open connects and says hello; nil: it did not work. limit is for connecting,
// and for each write and each reply after that.
func Open(addr string, limit time.Duration) *Client {
	p, err := peer.Connect(addr, limit)
	if err != nil {
		return nil
	}
	c := &Client{p}
	reply, err := c.Reply()
	if err == nil && reply[0] == '2' {
		reply, err = c.ask("EHLO injector.example.test\r\n")
	}
	if err != nil || reply[0] != '2' {
		c.Close()
		return nil
	}
	return c
}

func (c *Client) ask(command string) (string, error) {
	if _, err := c.Write([]byte(command)); err != nil {
		return "", err
	}
	return c.Reply()
}

// Quit ends a connection, in order if that is still possible.
func (c *Client) Quit() {
	c.ask("QUIT\r\n")
	c.Close()
}

// Send sends a message and notes what it is told. false: the connection is of
// no more use, or somebody refused something.
func (c *Client) Send(l *ledger.Ledger, m ledger.Message) bool {
	reply, err := c.ask("MAIL FROM:<" + m.Sender + ">\r\n")
	accepted := 0
	for _, r := range m.Recipients {
		if err != nil || reply[0] != '2' {
			break
		}
		var answer string
		if answer, err = c.ask("RCPT TO:<" + r + ">\r\n"); err == nil && answer[0] == '2' {
			accepted++
		} else if err == nil {
			l.Refused(m.ID, r, answer)
		}
	}
	if err == nil && accepted > 0 {
		reply, err = c.ask("DATA\r\n")
	}
	switch {
	case err != nil:
		l.Lost(m.ID, ledger.Envelope)
		return false
	case accepted == 0 && reply[0] == '2':
		return false // each recipient was told
	case !strings.HasPrefix(reply, "354"):
		l.Refused(m.ID, "", reply)
		return false
	}
	return c.content(l, m)
}

// content sends the text in two parts, the final dot last, so that a broken
// connection is known to have come before it or after it.
func (c *Client) content(l *ledger.Ledger, m ledger.Message) bool {
	body, dot := m.Data[:len(m.Data)-3], m.Data[len(m.Data)-3:]
	if _, err := c.Write(body); err != nil {
		l.Lost(m.ID, ledger.Data)
		return false
	}
	reply, err := c.ask(string(dot))
	switch {
	case err != nil:
		l.Lost(m.ID, ledger.AfterDot)
		return false
	case reply[0] == '2':
		l.Acked(m.ID, reply)
		return true
	}
	l.Refused(m.ID, "", reply)
	return false
}

// Arrived books what a sink takes, for each of its recipients: book is the method
// Delivered of a ledger, or the like. A sink calls it before it says 250.
func Arrived(book func(ledger.Delivery), t peer.Transaction) {
	for _, r := range t.Recipients {
		book(ledger.Delivery{Recipient: r, Sender: t.Sender, Envelope: true, Text: t.Text,
			Where: fmt.Sprintf("sink session %d", t.Session), Begin: t.Begin, At: time.Now()})
	}
}
