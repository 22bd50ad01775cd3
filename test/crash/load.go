package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"posthaste/test/ledger"
	"posthaste/test/peer"
)

// load is a number of SMTP clients that send without end.
type load struct {
	addr   string
	ledger *ledger.Ledger
	quit   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
}

const (
	replyLimit = 30 * time.Second
	pause      = 20 * time.Millisecond // of a client between two messages
	// The most messages that a client sends over one connection.
	maxPerConnection = 4
)

func startLoad(addr string, l *ledger.Ledger, sessions int, seed uint64) *load {
	load := &load{addr: addr, ledger: l, quit: make(chan struct{})}
	for n := range sessions {
		random := rand.New(rand.NewPCG(seed, uint64(100+n)))
		load.wg.Go(func() {
			for !load.sleep(pause) {
				load.connection(random)
			}
		})
	}
	return load
}

// stop ends the clients after the message they are at.
func (l *load) stop() {
	l.once.Do(func() { close(l.quit) })
	l.wg.Wait()
}

// sleep reports whether the load is to end.
func (l *load) sleep(d time.Duration) bool {
	select {
	case <-l.quit:
		return true
	case <-time.After(d):
		return false
	}
}

// connection sends some messages over one connection.
func (l *load) connection(random *rand.Rand) {
	var c *client
	for n := 1 + random.IntN(maxPerConnection); n > 0; n-- {
		if c == nil {
			if c = open(l.addr, replyLimit); c == nil {
				return
			}
			defer c.quit()
		}
		sender, size, recipients := choose(random)
		if !c.send(l.ledger, l.ledger.Send(sender, size, recipients...)) || l.sleep(pause) {
			break
		}
	}
}

// choose makes up a message: a null sender now and then, 0.5 to 60 kB, some
// with several recipients of both kinds.
func choose(random *rand.Rand) (sender string, size int, recipients []string) {
	if random.IntN(20) > 0 {
		sender = fmt.Sprintf("sender%d@injector.example.test", random.IntN(5))
	}
	size = 500 << random.IntN(8) // most are small
	size = min(size+random.IntN(size), 60000)
	count := 1
	if random.IntN(3) == 0 {
		count = 2 + random.IntN(4)
	}
	first := random.IntN(boxes)
	for n := range count {
		if random.IntN(3) == 0 {
			recipients = append(recipients, box((first+n)%boxes)+"@"+boxDomain)
		} else {
			recipients = append(recipients, fmt.Sprintf("user%d@%s", (first+n)%boxes, sinkDomain))
		}
	}
	return sender, size, recipients
}

// client is one SMTP connection.
type client struct{ *peer.Client }

// open connects and says hello; nil: it did not work.
func open(addr string, limit time.Duration) *client {
	p, err := peer.Connect(addr, limit)
	if err != nil {
		return nil
	}
	c := &client{p}
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

func (c *client) ask(command string) (string, error) {
	if _, err := c.Write([]byte(command)); err != nil {
		return "", err
	}
	return c.Reply()
}

// quit ends a connection, in order if that is still possible.
func (c *client) quit() {
	c.ask("QUIT\r\n")
	c.Close()
}

// send sends a message and notes what it is told. false: the connection is of
// no more use, or somebody refused something.
func (c *client) send(l *ledger.Ledger, m ledger.Message) bool {
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
	case !strings.HasPrefix(reply, "354"):
		l.Refused(m.ID, "", reply)
		return false
	}
	return c.content(l, m)
}

// content sends the text in two parts, the final dot last, so that a broken
// connection is known to have come before it or after it.
func (c *client) content(l *ledger.Ledger, m ledger.Message) bool {
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
