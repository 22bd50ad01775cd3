package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"posthaste/test/harness"
	"posthaste/test/ledger"
	"posthaste/test/order/check"
	"posthaste/test/strace"
)

// needs skips where the tests cannot run.
func needs(t *testing.T, system harness.System) {
	t.Helper()
	if err := strace.Available(); err != nil {
		t.Skip("SKIPPED: ", err)
	}
	if _, err := os.Stat(filepath.Join(harness.Binaries(), "posthaste")); err != nil && system == harness.Ours {
		t.Skip("SKIPPED: no programs: make build first")
	}
}

// observe runs traffic through a system under strace, judges the trace, and
// returns what the books say as well.
func observe(t *testing.T, system harness.System, p profile, f fault) (check.Report, ledger.Counters) {
	t.Helper()
	needs(t, system)
	r, c, err := watched(system, p, f)
	if errors.Is(err, harness.ErrUnavailable) {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", tally(r))
	return r, c
}

// tally leaves out the findings.
func tally(r check.Report) check.Report {
	r.Findings = nil
	return r
}

// expect wants findings of exactly these kinds, each at least once; a kind is a
// rule and a part of the text.
func expect(t *testing.T, r check.Report, kinds ...check.Finding) {
	t.Helper()
	seen := make([]int, len(kinds))
	for _, f := range r.Findings {
		i := slices.IndexFunc(kinds, func(k check.Finding) bool { return k.Rule == f.Rule && strings.Contains(f.What, k.What) })
		if i < 0 {
			t.Error("not expected: ", f)
			continue
		}
		seen[i]++
	}
	for i, k := range kinds {
		if seen[i] == 0 {
			t.Errorf("not found: %s: %s", k.Rule, k.What)
		}
	}
	t.Log(seen)
}

// busy wants a run in which every rule had something to judge.
func busy(t *testing.T, r check.Report) {
	t.Helper()
	if r.Acks < 20 || r.Exits < submissions || r.Removals < r.Acks || r.Unknown > 0 || r.ToRemote == 0 || r.ToMailbox == 0 ||
		r.ToQueue == 0 || r.MarkCount == 0 || r.Deferrals == 0 {
		t.Error("there was too little to judge")
	}
}

// Every message is durable when it is acknowledged, and as long as somebody
// needs it.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, p := range []profile{journal, files} {
		t.Run(string(p), func(t *testing.T) {
			r, c := observe(t, harness.Ours, p, fault{})
			expect(t, r)
			busy(t, r)
			good(t, c)
			switch {
			case p == files && r.ByFile != r.Acks:
				t.Error("not all messages were synced by themselves")
			case p == journal && (r.InPieces == 0 || r.ByJournal <= r.InPieces || r.ByFile == 0):
				t.Error("not all ways into the queue were taken")
			}
			if r.NotesOpen > 0 || r.NoteDelay > maxNoteDelay {
				t.Errorf("removals and marks were durable after %s, %d never", r.NoteDelay, r.NotesOpen)
			}
		})
	}
}

// maxNoteDelay is the second of R4 on a busy machine, with strace in the way.
const maxNoteDelay = 10 * time.Second

// good wants books without a fault: what failed for good came back, once each.
func good(t *testing.T, c ledger.Counters) {
	t.Helper()
	if c.Loss+c.Phantom+c.Garbled+c.Misrouted+c.Dup > 0 || c.Delivered == 0 || c.FalseBounce != sessions {
		t.Errorf("%+v", c)
	}
}

// The negative control: the same system without its syncs. strace answers them,
// and nothing is done.
func TestSyncsRemoved(t *testing.T) {
	t.Parallel()
	t.Run("fdatasync", func(t *testing.T) {
		r, _ := observe(t, harness.Ours, journal, fault{rules: []string{"fdatasync:retval=0"}})
		if r.ByJournal > 0 {
			t.Errorf("%d messages are taken for durable by a journal that was never synced", r.ByJournal)
		}
		if n := r.Count(check.Acknowledge); n < r.Acks-r.ByFile {
			t.Errorf("%d findings for %d messages", n, r.Acks-r.ByFile)
		}
	})
	t.Run("fsync", func(t *testing.T) {
		r, _ := observe(t, harness.Ours, journal, fault{rules: []string{"fsync:retval=0"}})
		if r.ByJournal+r.ByFile > 0 {
			t.Errorf("%d messages are taken for durable in a directory that was never synced", r.ByJournal+r.ByFile)
		}
		if r.ToMailbox > 0 {
			t.Errorf("%d copies in mailboxes are taken for durable", r.ToMailbox)
		}
		if n := r.Count(check.Acknowledge); n < r.Acks {
			t.Errorf("%d findings for %d messages", n, r.Acks)
		}
	})
}

// A sync that failed is not believed: the client hears 451, or the message is
// made durable another way (R2).
func TestSyncsFail(t *testing.T) {
	t.Parallel()
	t.Run("all", func(t *testing.T) {
		r, c := observe(t, harness.Ours, journal, fault{rules: []string{"fsync,fdatasync:error=EIO"}, stuck: true})
		expect(t, r)
		if r.Acks > 0 || r.Refused == 0 || c.Delivered > 0 {
			t.Errorf("%d acknowledged, %d refused, %d delivered", r.Acks, r.Refused, c.Delivered)
		}
	})
	// Only inbound is watched: what becomes of the mail is for the books to say.
	t.Run("some", func(t *testing.T) {
		r, c := observe(t, harness.Ours, journal, fault{rules: []string{"fsync,fdatasync:error=EIO:when=2+2"}, role: "inbound"})
		expect(t, r)
		if r.Acks == 0 || r.Refused == 0 || c.Loss+c.Phantom+c.Garbled+c.Dup > 0 {
			t.Errorf("%d acknowledged, %d refused; %+v", r.Acks, r.Refused, c)
		}
	})
}

// The anchor: the checker says of the real Postfix what is known of it. Names
// are not synced, neither in the queue nor in maildirs; marks are not synced at
// all; everything else is in order.
func TestAnchor(t *testing.T) {
	t.Parallel()
	r, c := observe(t, harness.Postfix, journal, fault{})
	const name = "file synced, directory not synced"
	expect(t, r,
		check.Finding{Rule: check.Acknowledge, What: "250: " + name},
		check.Finding{Rule: check.Acknowledge, What: "exit 0 of postdrop: " + name},
		check.Finding{Rule: check.Deliver, What: "mailbox: " + name},
		check.Finding{Rule: check.Deliver, What: "bounce log: " + name},
		check.Finding{Rule: check.Deliver, What: name}, // what comes next in the queue
		check.Finding{Rule: check.Marks, What: "a mark is not synced"})
	busyAnchor := r
	busyAnchor.ToMailbox, busyAnchor.ToQueue = 1, 1 // they are found above
	busy(t, busyAnchor)
	good(t, c)
	if r.NotesOpen < r.Removals/2 {
		t.Errorf("of %d removals only %d are never synced", r.Removals, r.NotesOpen)
	}
	if n := r.Count(check.Acknowledge); n != r.Acks+r.Exits {
		t.Errorf("%d findings for %d messages", n, r.Acks+r.Exits)
	}
	if r.ToMailbox > 0 {
		t.Errorf("%d copies in mailboxes are durable", r.ToMailbox)
	}
}

// somePoints are the points of the short form: the calls on which most depends.
var somePoints = []point{
	{"inbound", "pwrite64", 2}, {"inbound", "fsync,fdatasync", 1}, {"inbound", "fsync,fdatasync", 2}, {"inbound", "fchmod", 1},
	{"queue", "renameat", 1}, {"queue", "renameat", 2}, {"queue", "unlinkat", 1}, {"queue", "pwrite64", 1}, {"queue", "sendto,sendmsg", 2},
	{"outbound", "write", 3}, {"outbound", "read", 4},
	{"broker", "fsync,fdatasync", 1}, {"broker", "linkat", 1}, {"broker", "unlinkat", 1},
}

// A process that dies at a call loses, repeats and garbles nothing but what was
// on its way. `make order` tries all calls.
func TestKillPoints(t *testing.T) {
	t.Parallel()
	needs(t, harness.Ours)
	left := somePoints
	r, err := killAt(journal, func(bool) (point, bool) {
		if len(left) == 0 {
			return point{}, false
		}
		at := left[0]
		left = left[1:]
		return at, true
	})
	if errors.Is(err, harness.ErrUnavailable) {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := r.wrong(); err != nil {
		t.Error(err)
	}
	if r.Points < len(somePoints)/2 || r.Acked == 0 {
		t.Errorf("killed at %d of %d points, %d acknowledged", r.Points, len(somePoints), r.Acked)
	}
	t.Logf("%+v", r)
}
