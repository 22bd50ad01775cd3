package fault

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"posthaste/test/harness"
	"posthaste/test/strace"
	"posthaste/test/traffic"
)

// The queue's owner is over quota: senders are told what they are told of a full
// disk, and what is there is delivered and marked all the same. (strace answers in place
// of a quota: kernels without are common. TestQueueDiskFull has one of btrfs.)
func TestQueueOverQuota(t *testing.T) {
	t.Parallel()
	if err := strace.Available(); err != nil {
		t.Skip("SKIPPED: ", err)
	}
	s := begin(t, setup{})
	s.calm(12)
	s.down(true)
	if r := s.burst(12, 4, 2000); !r.all() {
		t.Errorf("while the sink is down: %+v", r)
	}
	const rule = "pwrite64,fallocate,ftruncate:error=EDQUOT"
	tracer, err := strace.Attach(s.role("inbound"), []string{rule})
	if err != nil {
		t.Fatal(err)
	}
	if r := s.burst(12, 4, 2000); !r.only("452 4.3.1") || r.acked > 0 {
		t.Errorf("over quota: %+v", r)
	}
	s.down(false)
	s.flush()
	if err := s.empty(patience); err != nil {
		t.Error("over quota: ", err)
	}
	if n, err := tracer.Detach(); err != nil || n == 0 {
		t.Errorf("%d calls failed; %v", n, err)
	}
	if r := s.burst(12, 4, 2000); !r.all() {
		t.Errorf("within the quota again: %+v", r)
	}
	if c := s.close(); c.Dup > 0 {
		t.Errorf("%d deliveries were repeated", c.Dup)
	}
}

// failures finds deliveries to mailboxes in a log that failed.
var failures = regexp.MustCompile(`(?m)^.*relay=virtual.*dsn=[45].*$`)

// The owner of mailboxes is over quota: Postfix returns the mail, ours tries again,
// since a quota is a lack of resources (durability contract R7). An mbox is as long
// as before.
func TestMailboxOverQuota(t *testing.T) {
	for _, system := range []harness.System{harness.Ours, harness.Postfix} {
		t.Run(string(system), func(t *testing.T) {
			t.Parallel()
			root(t)
			if err := strace.Available(); err != nil {
				t.Skip("SKIPPED: ", err)
			}
			s := begin(t, setup{system: system, main: "virtual_mailbox_maps = inline:{@BOXES@, old@" + traffic.BoxDomain + "=old}\n"})
			s.calm(12)
			mbox := filepath.Join(s.Dir, "mail/old")
			before := s.fillMbox(mbox, 1)
			tracer, err := strace.Attach(s.role(writers[system]), []string{"fsync,fdatasync:error=EDQUOT"})
			if err != nil {
				t.Fatal(err)
			}
			s.toMbox()
			s.sendApart(2000, traffic.Box(0)+"@"+traffic.BoxDomain)
			var bad []string
			s.until("two failures", func() bool {
				bad = failures.FindAllString(s.LogText(), -1)
				return len(bad) == 2
			})
			if n, err := tracer.Detach(); err != nil || n == 0 {
				t.Errorf("%d calls failed; %v", n, err)
			}
			for _, l := range bad {
				if !strings.Contains(l, overQuota[system]) || !strings.Contains(l, "Disk quota exceeded)") {
					t.Error(l)
				}
			}
			if now, _ := os.ReadFile(mbox); string(now) != before {
				t.Errorf("the mbox had %d bytes and has %d", len(before), len(now))
			}
			if r := s.burst(6, 2, 2000); !r.all() {
				t.Errorf("within the quota again: %+v", r)
			}
			if system == harness.Postfix {
				s.until("notices", func() bool { return s.books.Arrived() > 0 && s.logged("sender non-delivery notification") >= 2 })
				return
			}
			s.flush()
			if err := s.empty(patience); err != nil {
				t.Error("within the quota again: ", err)
			}
		})
	}
}

// writers are the processes that write to mailboxes.
var writers = map[harness.System]string{harness.Ours: "broker", harness.Postfix: "virtual"}

// overQuota is what their log says of a mailbox whose owner is over quota.
var overQuota = map[harness.System]string{
	harness.Ours: "dsn=4.2.2, status=deferred", harness.Postfix: "dsn=5.2.2, status=bounced",
}
