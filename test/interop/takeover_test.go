package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posthaste/test/harness"
	"posthaste/test/inject"
	"posthaste/test/ledger"
	"posthaste/test/peer"
)

// takeoverMain holds mail to hold@…, and does not try by itself again what it
// deferred.
const takeoverMain = `smtpd_recipient_restrictions = check_recipient_access inline:{{hold@sink.example.test = HOLD}}, permit_mynetworks, reject
minimal_backoff_time = 1h
maximal_backoff_time = 2h
queue_run_delay = 1h
`

// takeover is a queue directory that passes from one system to another.
type takeover struct {
	books *ledger.Ledger
	sink  *peer.Sink
	pairs int
}

// TestTakeover fills a queue with one system, stops it, and starts the other on
// the same directory with the same main.cf.
func TestTakeover(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]harness.System{{harness.Postfix, harness.Ours}, {harness.Ours, harness.Postfix}} {
		t.Run(fmt.Sprintf("from %s to %s", pair[0], pair[1]), func(t *testing.T) {
			t.Parallel()
			sink, values := newSink(t)
			w := &takeover{books: ledger.New("takeover." + string(pair[0])), sink: sink}
			// what belongs to the real Postfix is where a site has it
			before := lay(t, harness.Config{System: pair[0], Values: values,
				Main: boxes("box") + takeoverMain + "command_directory = /usr/sbin\n"})
			after, err := before.As(pair[1])
			if errors.Is(err, harness.ErrUnavailable) {
				t.Skip("SKIPPED: ", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			w.fill(t, before)
			w.drain(t, after)
			w.giveBack(t, before)
			w.count(t, before)
		})
	}
}

// fill leaves mail in all queues of a system that then is stopped.
func (w *takeover) fill(t *testing.T, i *harness.Instance) {
	t.Helper()
	w.accept(false)
	mustStart(t, i)
	c := inject.Open(i.Addr(), patience)
	if c == nil {
		t.Fatal("no connection")
	}
	send := func(size int, names ...string) {
		t.Helper()
		for n := range names {
			if !strings.Contains(names[n], "@") {
				names[n] += "@" + sinkDomain
			}
		}
		w.pairs += len(names)
		if !c.Send(w.books, w.books.Send("sender@injector.example.test", size, names...)) {
			t.Fatalf("a message to %v was refused", names)
		}
	}
	for range 10 {
		send(700, "later")
	}
	send(100_000, "later") // too large for a journal
	send(3000, "now", "later", "later2")
	send(3000, "later", "box@"+boxDomain)
	send(900, "now")
	send(900, "hold")
	send(70_000, "hold", "later")
	c.Quit()
	const deferred, held, done = 13, 2, 3
	waitFor := func(what string, want int, count func() int) {
		t.Helper()
		err := harness.Until(patience, func() error {
			if got := count(); got != want {
				return fmt.Errorf("%s: %d instead of %d", what, got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	waitFor("deferred", deferred, func() int { return files(i, "deferred/*/*") })
	waitFor("held", held, func() int { return files(i, "hold/*") })
	waitFor("delivered", done, func() int { return strings.Count(i.LogText(), "status=sent") })
	waitFor("incoming and active", 0, func() int { return files(i, "incoming/*") + files(i, "active/*") })
	if err := i.Halt(); err != nil {
		t.Fatal(err)
	}
	// marks and removals (.notes) may be left: the queue files have them, too
	if left := files(i, "journal/*") - files(i, "journal/*.notes"); left != 0 {
		t.Errorf("%d files with messages are in the journal after the stop", left)
	}
	w.drop(t, i)
}

// drop hands mail to a system that is stopped.
func (w *takeover) drop(t *testing.T, i *harness.Instance) {
	t.Helper()
	for n := range 3 {
		m := w.books.Send("local@injector.example.test", 1000<<(4*n), "later@"+sinkDomain, fmt.Sprintf("drop%d@%s", n, sinkDomain))
		w.pairs += 2
		output(t, i.Command(t.Context(), "sendmail", append([]string{"-i", "-f", m.Sender}, m.Recipients...)...), plain(m))
		w.books.Acked(m.ID, "")
	}
	if got := files(i, "maildrop/*"); got != 3 {
		t.Fatalf("%d messages in maildrop", got)
	}
}

// drain lets the other system deliver all there is but what is held, then that.
func (w *takeover) drain(t *testing.T, i *harness.Instance) {
	t.Helper()
	w.accept(true)
	mustStart(t, i)
	flush(t, i, 2)
	if got := files(i, "hold/*"); got != 2 {
		t.Errorf("%d messages are held instead of 2", got)
	}
	if l := must(t, i, "postqueue", "-p"); strings.Count(l, "! ") != 2 {
		t.Errorf("listing of what is held:\n%s", l)
	}
	if strings.Contains(i.LogText(), ": to=<hold@") {
		t.Error("what is held was delivered")
	}
	must(t, i, "postsuper", "-H", "ALL")
	flush(t, i, 0)
	if err := i.Halt(); err != nil {
		t.Fatal(err)
	}
	if left := files(i, "defer/*/*") + files(i, "bounce/*/*") + files(i, "trace/*/*"); left != 0 {
		t.Errorf("%d logs of messages are left that are gone", left)
	}
}

// giveBack starts the first system again: what it once noted of messages that
// are gone must not trouble it.
func (w *takeover) giveBack(t *testing.T, i *harness.Instance) {
	t.Helper()
	mustStart(t, i)
	c := inject.Open(i.Addr(), patience)
	if c == nil {
		t.Fatal("no connection")
	}
	w.pairs += 2
	if m := w.books.Send("sender@injector.example.test", 500, "later@"+sinkDomain, "box@"+boxDomain); !c.Send(w.books, m) {
		t.Fatal("a message was refused")
	}
	c.Quit()
	flush(t, i, 0)
	if err := i.Halt(); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{" fatal: ", " panic: ", " error: "} {
		if strings.Contains(i.LogText(), word) {
			t.Errorf("%sin the log", word)
		}
	}
}

// count compares what was accepted with what arrived.
func (w *takeover) count(t *testing.T, i *harness.Instance) {
	t.Helper()
	if _, err := w.books.ReadMaildir(filepath.Join(i.Dir, "mail/box"), "box@"+boxDomain); err != nil {
		t.Fatal(err)
	}
	if err := w.books.ReadQueue(i.Spool); err != nil {
		t.Fatal(err)
	}
	c := w.books.Count(false, 0)
	if c.Bad() || c.Dup != 0 || c.Delivered != w.pairs || c.Acked != w.pairs {
		t.Errorf("of %d recipients %d were accepted and %d have it: %+v", w.pairs, c.Acked, c.Delivered, c)
	}
}

// accept lets the sink take mail: all, or none to recipients later….
func (w *takeover) accept(all bool) {
	w.sink.Judge(func(verb string, tr peer.Transaction) string {
		switch {
		case verb == "." && len(tr.Recipients) > 0:
			for _, r := range tr.Recipients {
				w.books.Delivered(ledger.Delivery{Recipient: r, Sender: tr.Sender, Envelope: true, Text: tr.Text,
					Where: fmt.Sprintf("session %d", tr.Session), Begin: tr.Begin, At: time.Now()})
			}
		case verb == "RCPT" && !all && strings.HasPrefix(tr.Recipients[len(tr.Recipients)-1], "later"):
			return "450 4.2.0 later"
		}
		return ""
	})
}

// flush asks for all deferred mail until only so many messages are left.
func flush(t *testing.T, i *harness.Instance, left int) {
	t.Helper()
	err := harness.Until(patience, func() error {
		n, err := ledger.Waiting(i.Spool)
		if err == nil && n != left {
			must(t, i, "postqueue", "-f")
			err = fmt.Errorf("%d messages are queued instead of %d", n, left)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// files counts what a pattern below the spool names.
func files(i *harness.Instance, pattern string) int {
	found, _ := filepath.Glob(filepath.Join(i.Spool, pattern))
	n := 0
	for _, f := range found {
		if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() {
			n++
		}
	}
	return n
}

// plain is a message as sendmail reads it: LF line ends, no dots added.
func plain(m ledger.Message) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(string(m.Data), ".\r\n"), "\r\n") {
		b.WriteString(strings.TrimPrefix(line, ".") + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
