package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	sender = "s@injector.example.test"
	alice  = "alice@sink.example.test"
	bob    = "bob@sink.example.test"
)

func arrival(m Message, to string, at time.Time) Delivery {
	return Delivery{Recipient: to, Sender: m.Sender, Envelope: true, Text: "Received: by test\n" + m.Text(),
		Where: "test", Begin: at.Add(-time.Millisecond), At: at}
}

// TestEveryFaultIsReported feeds the ledger one message of each kind: it must
// find each fault, and nothing else.
func TestEveryFaultIsReported(t *testing.T) {
	kill := time.Now()
	calm := kill.Add(-time.Hour) // nothing is killed then
	for _, c := range []struct {
		name string
		do   func(l *Ledger, m Message)
		want Counters
	}{
		{"good", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 2.0.0 Ok: queued as Q1")
			l.Delivered(arrival(m, alice, calm))
			l.Final("Q1", alice)
		}, Counters{}},
		{"lost", func(l *Ledger, m Message) { l.Acked(m.ID, "250 2.0.0 Ok: queued as Q1"); l.Final("Q1", alice) }, Counters{Loss: 1}},
		{"refused and delivered", func(l *Ledger, m Message) {
			l.Refused(m.ID, "", "451 4.3.0 x")
			l.Delivered(arrival(m, alice, calm))
		}, Counters{Phantom: 1}},
		{"broken off before the dot and delivered", func(l *Ledger, m Message) {
			l.Lost(m.ID, Data)
			l.Delivered(arrival(m, alice, calm))
		}, Counters{Phantom: 1}},
		{"unknown", func(l *Ledger, m Message) { l.Lost(m.ID, AfterDot) }, Counters{}},
		{"unknown and delivered", func(l *Ledger, m Message) {
			l.Lost(m.ID, AfterDot)
			l.Delivered(arrival(m, alice, calm))
		}, Counters{}},
		{"twice", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			l.Delivered(arrival(m, alice, calm))
			l.Delivered(arrival(m, alice, calm.Add(time.Minute)))
			l.Final("Q1", alice)
		}, Counters{Dup: 1, DupUnexplained: 1}},
		{"twice, on its way at a kill", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			l.Delivered(arrival(m, alice, kill))
			l.Delivered(arrival(m, alice, kill.Add(time.Minute)))
			l.Final("Q1", alice)
			l.Final("Q1", alice)
		}, Counters{Dup: 1}},
		{"twice, the one on its way at a kill noted late", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			l.Delivered(arrival(m, alice, kill.Add(10*time.Second)))
			late := arrival(m, alice, kill.Add(20*time.Second))
			late.Begin = kill
			l.Delivered(late)
			l.Final("Q1", alice)
		}, Counters{Dup: 1}},
		{"begun after the kill and twice", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			l.Delivered(arrival(m, alice, kill.Add(10*time.Second)))
			l.Delivered(arrival(m, alice, kill.Add(time.Minute)))
			l.Final("Q1", alice)
		}, Counters{Dup: 1, DupUnexplained: 1}},
		{"twice, dropped just before the kill", func(l *Ledger, m Message) {
			l.Dropped(m.ID)
			l.close(m.ID, func(_ string, p *pair) { p.outcome = acked })
			l.messages[m.ID].sent, l.messages[m.ID].pairs[alice].told = kill.Add(-time.Second), kill
			l.Delivered(arrival(m, alice, kill.Add(10*time.Second)))
			l.Delivered(arrival(m, alice, kill.Add(10*time.Second)))
			l.byQueue["Q1"] = l.messages[m.ID]
			l.Final("Q1", alice)
		}, Counters{Dup: 1}},
		{"twice, dropped long before the kill", func(l *Ledger, m Message) {
			l.Dropped(m.ID)
			l.close(m.ID, func(_ string, p *pair) { p.outcome = acked })
			l.messages[m.ID].sent, l.messages[m.ID].pairs[alice].told = calm, calm
			l.Delivered(arrival(m, alice, kill.Add(10*time.Second)))
			l.Delivered(arrival(m, alice, kill.Add(10*time.Second)))
			l.byQueue["Q1"] = l.messages[m.ID]
			l.Final("Q1", alice)
		}, Counters{Dup: 1, DupUnexplained: 1}},
		{"a byte changed", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			d := arrival(m, alice, calm)
			d.Text = d.Text[:len(d.Text)-2] + "!\n"
			l.Delivered(d)
			l.Final("Q1", alice)
		}, Counters{Garbled: 1}},
		{"cut short", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			d := arrival(m, alice, calm)
			d.Text = d.Text[:strings.LastIndex(strings.TrimRight(d.Text, "\n"), "\n")+1]
			l.Delivered(d)
			l.Final("Q1", alice)
		}, Counters{Garbled: 1}},
		{"mixed with another", func(l *Ledger, m Message) {
			other := l.Send(sender, 700, alice)
			l.Refused(other.ID, "", "451 4.3.0 x")
			l.Acked(m.ID, "250 Ok: queued as Q1")
			d := arrival(m, alice, calm)
			_, body, _ := strings.Cut(other.Text(), "\n\n")
			head, _, _ := strings.Cut(d.Text, "\n\n")
			d.Text = head + "\n\n" + body
			l.Delivered(d)
			l.Final("Q1", alice)
		}, Counters{Garbled: 1}},
		{"from nowhere", func(l *Ledger, m Message) {
			l.Refused(m.ID, "", "451 4.3.0 x")
			l.Delivered(Delivery{Recipient: alice, Text: "X-Test-Id: other.7\n\nx\n"})
		}, Counters{Garbled: 1}},
		{"wrong sender", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			d := arrival(m, alice, calm)
			d.Sender = alice
			l.Delivered(d)
			l.Final("Q1", alice)
		}, Counters{Garbled: 1}},
		{"to somebody else", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			l.Delivered(arrival(m, alice, calm))
			l.Delivered(arrival(m, bob, calm))
			l.Final("Q1", alice)
		}, Counters{Misrouted: 1}},
		{"came back", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			l.Delivered(Delivery{Recipient: sender, Text: "Content-Type: multipart/report; x=y\n\n<" + alice + ">\n\n" + m.Text()})
			l.Final("Q1", alice)
		}, Counters{FalseBounce: 1}},
		{"in the queue for ever", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			l.Queued("N\x10"+strings.ReplaceAll(m.Text(), "\n", "N$"), false) // records, with lengths that look like text
		}, Counters{Stuck: 1}},
		{"corrupt", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			l.Queued("N\x10"+m.Text(), true)
		}, Counters{Corrupt: 1}},
		{"not logged", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			l.Delivered(arrival(m, alice, calm))
		}, Counters{LogMissing: 1}},
		{"logged twice", func(l *Ledger, m Message) {
			l.Acked(m.ID, "250 Ok: queued as Q1")
			l.Delivered(arrival(m, alice, calm))
			l.Final("Q1", alice)
			l.Final("Q1", alice)
		}, Counters{LogExtra: 1}},
	} {
		l := New("t")
		l.Fault("x", kill, kill.Add(100*time.Millisecond))
		c.do(l, l.Send(sender, 600, alice))
		got := l.Count(true, time.Second)
		if got.Bad() != (len(got.Findings) > 0) {
			t.Errorf("%s: bad is %v, findings %q", c.name, got.Bad(), got.Findings)
		}
		if d := cmp.Diff(c.want, got, onlyFaults); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

// onlyFaults leaves out the counters that say how much there was.
var onlyFaults = cmpopts.IgnoreFields(Counters{}, "Messages", "Recipients", "Acked", "Refused", "Unknown", "UnknownIn",
	"Delivered", "ConnLost", "Refusals", "DupAt", "Findings")

// The books at a cut know nothing of what came later, and not how a message
// ended that was in hand.
func TestBooksAtACut(t *testing.T) {
	l := New("t")
	old, inHand, undone := l.Send(sender, 600, alice), l.Send(sender, 600, alice), l.Send(sender, 600, alice)
	l.Acked(old.ID, "250 2.0.0 Ok: queued as Q1")
	l.Delivered(arrival(old, alice, time.Now()))
	l.Acked(undone.ID, "250 2.0.0 Ok: queued as Q2")
	from := time.Now()
	l.Acked(inHand.ID, "250 2.0.0 Ok: queued as Q3")
	to := time.Now()
	l.Delivered(arrival(undone, alice, to.Add(time.Millisecond)))
	time.Sleep(time.Millisecond) // the clock must tick
	l.Acked(l.Send(sender, 600, alice).ID, "250 2.0.0 Ok: queued as Q4")
	then := l.AsOf(from, to)
	c := then.Count(false, time.Second)
	if c.Messages != 3 || c.Acked != 2 || c.Unknown != 1 || c.Delivered != 1 || c.Loss != 1 {
		t.Errorf("%+v", c)
	}
	then.Delivered(arrival(old, alice, to.Add(time.Second)))
	then.Delivered(arrival(undone, alice, to.Add(time.Second)))
	if c := then.Count(false, time.Second); c.Bad() || c.Dup != 1 {
		t.Errorf("repeated after the cut: %+v", c)
	}
	again := then.AsOf(to.Add(time.Minute), to.Add(time.Minute))
	again.Delivered(arrival(undone, alice, to.Add(2*time.Minute)))
	if c := again.Count(false, time.Second); c.DupUnexplained != 1 {
		t.Errorf("repeated after a second cut, and delivered long before it: %+v", c)
	}
	if c := l.Count(false, time.Second); c.Messages != 4 || c.Loss != 2 || c.Delivered != 2 {
		t.Errorf("the books themselves have changed: %+v", c)
	}
}

// Each recipient of a message is judged by itself.
func TestRecipientsAreApart(t *testing.T) {
	l := New("t")
	m := l.Send(sender, 600, alice, bob)
	l.Refused(m.ID, bob, "550 x")
	l.Acked(m.ID, "250 2.0.0 Ok: queued as Q1")
	l.Delivered(arrival(m, bob, time.Now()))
	c := l.Count(false, time.Second)
	if c.Acked != 1 || c.Refused != 1 || c.Loss != 1 || c.Phantom != 1 {
		t.Errorf("%+v", c)
	}
}

func TestMailboxAndQueueAreRead(t *testing.T) {
	dir := t.TempDir()
	l := New("t")
	write := func(path, text string, mode os.FileMode) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	inbox, misfiled := l.Send(sender, 600, alice), l.Send(sender, 600, alice)
	waiting, partial := l.Send(sender, 600, alice), l.Send(sender, 600, alice)
	for _, m := range []Message{inbox, misfiled, waiting, partial} {
		l.Acked(m.ID, "250 Ok: queued as "+m.ID)
	}
	write("box/new/1", "Delivered-To: "+alice+"\n"+inbox.Text(), 0o600)
	write("box/cur/2:2,S", "Delivered-To: "+bob+"\n"+misfiled.Text(), 0o600)
	write("box/tmp/3", "Delivered-To: "+alice+"\n", 0o600)
	write("q/deferred/A/AB", waiting.Text(), 0o700)
	write("q/incoming/CD", partial.Text(), 0o600) // was never complete
	left, err := l.ReadMaildir(filepath.Join(dir, "box"), alice)
	if err != nil || left != 1 {
		t.Errorf("%d in tmp, %v", left, err)
	}
	if n, err := Waiting(filepath.Join(dir, "q")); n != 1 || err != nil {
		t.Errorf("%d waiting, %v", n, err)
	}
	if err := l.ReadQueue(filepath.Join(dir, "q")); err != nil {
		t.Error(err)
	}
	c := l.Count(false, time.Second)
	if c.Delivered != 1 || c.Misrouted != 1 || c.Stuck != 1 || c.Loss != 2 {
		t.Errorf("%+v", c)
	}
}

func TestMessagesAreValid(t *testing.T) {
	m := New("t").Send(sender, 60000, alice)
	if len(m.Data) < 60000 || !bytes.HasSuffix(m.Data, []byte("\r\n.\r\n")) {
		t.Errorf("%d bytes", len(m.Data))
	}
	if bytes.Contains(m.Data, []byte("\n.t")) || !bytes.Contains(m.Data, []byte("\n..t")) {
		t.Error("dots are not doubled")
	}
	for line := range bytes.Lines(m.Data) {
		if len(line) > 998 || !bytes.HasSuffix(line, []byte("\r\n")) {
			t.Errorf("bad line %q", line)
		}
	}
}

// A message that is taken up while the queue is counted is counted, in whichever
// directory it is seen.
func TestWaitingCountsWhatMoves(t *testing.T) {
	spool := t.TempDir()
	for _, queue := range []string{"active", "deferred"} {
		if err := os.Mkdir(filepath.Join(spool, queue), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	waiting, taken := filepath.Join(spool, "deferred", "ID"), filepath.Join(spool, "active", "ID")
	for n := range 300 {
		if err := os.WriteFile(waiting, nil, 0o700); err != nil {
			t.Fatal(err)
		}
		moved := make(chan error)
		go func() {
			for range n % 100 { // at another moment each time
				os.Lstat(spool)
			}
			moved <- os.Rename(waiting, taken)
		}()
		count, err := Waiting(spool)
		if err := errors.Join(err, <-moved, os.Remove(taken)); err != nil || count == 0 {
			t.Fatalf("%d messages counted, %v", count, err)
		}
	}
}
