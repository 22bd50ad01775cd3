package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"posthaste/test/harness"
	"posthaste/test/inject"
	"posthaste/test/ledger"
	"posthaste/test/order/check"
	"posthaste/test/peer"
)

// sink is the other end of outgoing mail: it books what it takes and names it in
// its reply. Recipients named later… are refused once, failing… always.
type sink struct {
	*peer.Sink
	ledger *ledger.Ledger

	mu    sync.Mutex
	asked map[string]bool
}

func newSink(l *ledger.Ledger) (*sink, error) {
	p, err := peer.NewSink()
	if err != nil {
		return nil, err
	}
	s := &sink{Sink: p, ledger: l, asked: map[string]bool{}}
	p.Judge(s.judge)
	return s, nil
}

func (s *sink) judge(verb string, t peer.Transaction) string {
	if verb != "." {
		return s.refusal(t.Recipients[len(t.Recipients)-1])
	}
	inject.Arrived(s.ledger.Delivered, t)
	return check.Taken(check.TestOf(t.Text), t.Recipients)
}

func (s *sink) refusal(rcpt string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.HasPrefix(rcpt, "failing"):
		return "550 5.1.1 nobody of that name"
	case strings.HasPrefix(rcpt, "later") && !s.asked[rcpt]:
		s.asked[rcpt] = true
		return "451 4.3.0 not now"
	}
	return ""
}

// traffic is messages of all kinds, and what the checker is told of them.
type traffic struct {
	site   *site
	ledger *ledger.Ledger
	mail   map[string]check.Mail
	mu     sync.Mutex
	failed error
}

const sender = "sender@" + sinkDomain

// compose makes a message that everybody knows of. The ledger counts where mail
// for an alias arrives.
func (t *traffic) compose(size int, rcpts ...string) ledger.Message {
	arrive := slices.Clone(rcpts)
	for i, r := range arrive {
		if to, ok := aliases()[r]; ok {
			arrive[i] = to
		}
	}
	m := t.ledger.Send(sender, size, arrive...)
	m.Recipients = rcpts
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mail[m.ID] = check.Mail{Sender: sender, Recipients: rcpts}
	return m
}

// kinds are the messages of one round: sizes that go through the journal whole
// and in pieces, or are synced by themselves; recipients here, there, in both
// places, behind an alias, and such that are refused for a time or for good.
func kinds(n int) (list []struct {
	size  int
	rcpts []string
}) {
	add := func(size int, rcpts ...string) {
		list = append(list, struct {
			size  int
			rcpts []string
		}{size, rcpts})
	}
	local, remote := box(n%boxes)+"@"+boxDomain, fmt.Sprintf("user%d@%s", n, sinkDomain)
	add(700, local)
	add(700, remote)
	add(4000, local, remote, box((n+1)%boxes)+"@"+boxDomain)
	add(30_000, remote, fmt.Sprintf("second%d@%s", n, sinkDomain))
	add(1000, local, fmt.Sprintf("later%d@%s", n, sinkDomain))
	add(1000, local, fmt.Sprintf("failing%d@%s", n, sinkDomain))
	add(900, fmt.Sprintf("fwd%d@%s", n%boxes, aliasDomain))
	if n%3 == 0 {
		add(200_000, local, remote)
		add(1_500_000, remote)
	}
	return list
}

// smtp sends rounds of messages over several connections at a time.
func (t *traffic) smtp(sessions, rounds int) error {
	var wg sync.WaitGroup
	for s := range sessions {
		wg.Go(func() {
			for n := range rounds {
				if err := t.round(s*rounds + n); err != nil {
					t.mu.Lock()
					t.failed = errors.Join(t.failed, err)
					t.mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return t.failed
}

// round sends one of each kind over a connection, or over another one where a
// message was refused.
func (t *traffic) round(n int) error {
	var c *inject.Client
	for _, k := range kinds(n) {
		if c == nil {
			if c = inject.Open(t.site.Addr(), 30*time.Second); c == nil {
				return errors.New("no connection")
			}
		}
		if !c.Send(t.ledger, t.compose(k.size, k.rcpts...)) {
			c.Quit()
			c = nil
		}
	}
	if c != nil {
		c.Quit()
	}
	return nil
}

// sendmail submits messages by the command, one after the other.
func (t *traffic) sendmail(count int) error {
	for n := range count {
		m := t.compose(800, fmt.Sprintf("cmd%d@%s", n, sinkDomain), box(n%boxes)+"@"+boxDomain)
		input := filepath.Join(t.site.Dir, m.ID)
		if err := os.WriteFile(input, plain(m.Data), 0o644); err != nil {
			return err
		}
		status, err := t.site.command(input, "sendmail", append([]string{"-i", "-f", m.Sender}, m.Recipients...)...)
		if err != nil {
			return err
		}
		if status == 0 {
			t.ledger.Acked(m.ID, "")
		} else {
			t.ledger.Refused(m.ID, "", fmt.Sprintf("451 status %d", status))
		}
	}
	return nil
}

// aliases are those of mainCF.
func aliases() map[string]string {
	m := map[string]string{}
	for n := range boxes {
		m[fmt.Sprintf("fwd%d@%s", n, aliasDomain)] = box(n) + "@" + boxDomain
	}
	return m
}

// plain takes SMTP's clothes off: CR, dot-stuffing, the final dot.
func plain(data []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(bytes.TrimSuffix(data, []byte(".\r\n"))) {
		b.Write(bytes.TrimPrefix(bytes.TrimSuffix(line, []byte("\r\n")), []byte(".")))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// drain waits until the queue is empty.
func (t *traffic) drain(limit time.Duration) error {
	return harness.Until(limit, func() error {
		n, err := ledger.Waiting(t.site.Spool)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d messages are left in the queue\n%s", n, tail(t.site.LogText()))
		}
		return err
	})
}

// tail is the end of a log.
func tail(text string) string { return text[max(0, len(text)-3000):] }
