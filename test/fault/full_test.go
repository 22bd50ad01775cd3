package fault

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/test/disk"
	"posthaste/test/harness"
	"posthaste/test/traffic"
)

// small is a disk that can be filled.
type small struct {
	name  string
	mount func(dir string) error
	// inodes: names run out, not room.
	inodes bool
	// quota: it has room, and its user may not use it.
	quota bool
}

func tmpfs(options string) func(string) error {
	return func(dir string) error {
		return os.NewSyscallError("mount tmpfs", unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755,"+options))
	}
}

// ext4 makes a file system of 32 MiB beside the directory.
func ext4(options ...string) func(string) error {
	return func(dir string) error {
		image := dir + ".img"
		if err := disk.Make(image, 32<<20, "ext4", append([]string{"-m", "0"}, options...)...); err != nil {
			return err
		}
		return disk.Mount(image, dir, "ext4", "")
	}
}

// quota makes a btrfs of which 24 MiB may be used, and which says that it has more,
// but not enough for the journal to keep files ready.
func quota(dir string) error {
	image := dir + ".img"
	if err := disk.Make(image, 256<<20, "btrfs"); err != nil {
		return err
	}
	if err := disk.Mount(image, dir, "btrfs", ""); err != nil {
		return err
	}
	for _, args := range [][]string{{"quota", "enable", dir}, {"qgroup", "limit", "24M", "0/5", dir}} {
		if out, err := exec.Command("btrfs", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("btrfs %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

var smallDisks = []small{
	{name: "btrfs-quota", mount: quota, quota: true},
	{name: "ext4", mount: ext4()},
	{name: "ext4-inodes", mount: ext4("-N", "256"), inodes: true},
	{name: "tmpfs", mount: tmpfs("size=24m")},
	{name: "tmpfs-inodes", mount: tmpfs("size=24m,nr_inodes=300"), inodes: true},
}

// needs skips where the disk cannot be had.
func (d small) needs(t *testing.T) {
	t.Helper()
	root(t)
	if d.quota {
		tool(t, "mkfs.btrfs")
	}
}

func (d small) spool(i *harness.Instance) error { return d.mount(i.Spool) }

// fill takes all that the disk has left; release gives it back.
func (d small) fill(dir string) (release func(), err error) {
	filler := filepath.Join(dir, "filler")
	if err := os.Mkdir(filler, 0o700); err != nil {
		return nil, err
	}
	release = func() { os.RemoveAll(filler) }
	if !d.inodes {
		f, err := os.Create(filepath.Join(filler, "room"))
		if err != nil {
			return release, err
		}
		defer f.Close()
		return release, fillFile(f)
	}
	for n := 0; ; n++ {
		f, err := os.Create(filepath.Join(filler, fmt.Sprint(n)))
		if errors.Is(err, syscall.ENOSPC) {
			return release, nil
		}
		if err != nil {
			return release, err
		}
		f.Close()
	}
}

// fillFile writes until there is no room.
func fillFile(f *os.File) error {
	for block := make([]byte, 1<<20); len(block) > 0; {
		_, err := f.Write(block)
		switch {
		case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
			block = block[:len(block)/2]
		case err != nil:
			return err
		}
	}
	return nil
}

// fullSettings let the check at MAIL pass as long as there is any room to speak of.
const fullSettings = "message_size_limit = 200000\n"

// A full disk, filled and released again and again: every client is told 4xx at
// once, what is there is delivered and marked all the same, and mail is accepted
// as soon as there is room.
func TestQueueDiskFull(t *testing.T) {
	for _, d := range smallDisks {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			d.needs(t)
			s := begin(t, setup{main: fullSettings, mounts: d.spool})
			s.calm(12)
			s.down(true)
			if r := s.burst(30, 4, 2000); !r.all() {
				t.Errorf("while the sink is down: %+v", r)
			}
			for round := range 3 {
				release, err := d.fill(s.Spool)
				if err != nil {
					t.Fatal(err)
				}
				// What is delivered meanwhile gives its names back.
				r := s.burst(24, 8, 50_000)
				if !r.only("452 4.3.1", "451 4.3.0") || r.acked > 0 && !d.inodes {
					t.Errorf("round %d, full: %+v", round, r)
				}
				t.Logf("full: %d acknowledged, %d refused, the slowest after %s", r.acked, r.refusals(), r.slowest)
				if round == 1 { // marks and removals need no room
					s.down(false)
					if err := s.empty(patience); err != nil {
						t.Error("full: ", err)
					}
				}
				release()
				start := time.Now()
				if r := s.burst(8, 4, 2000); !r.all() {
					t.Errorf("round %d, %s after there was room: %+v", round, time.Since(start), r)
				}
			}
			if c := s.close(); c.Dup > 0 {
				t.Errorf("%d deliveries were repeated", c.Dup)
			}
			if n := strings.Count(s.LogText(), "warning"); n > 300 {
				t.Errorf("%d warnings in the log", n)
			}
		})
	}
}

// Mail that cannot leave fills the disk. Those who came last are told 452, at
// MAIL or at the dot, and all of it leaves later.
func TestMailFillsTheDisk(t *testing.T) {
	t.Parallel()
	root(t)
	s := begin(t, setup{main: "message_size_limit = 1500000\n", mounts: small{mount: ext4()}.spool})
	s.calm(6)
	s.down(true)
	acked := 0
	for acked < 200 {
		r := s.burst(12, 6, 800_000)
		acked += r.acked
		if r.lost+r.unserved > 0 {
			t.Errorf("%+v", r)
		}
		if r.acked == 0 {
			if !r.only("452 4.3.1", "451 4.3.0") {
				t.Errorf("full: %+v", r)
			}
			break
		}
	}
	t.Logf("%d messages of 800 kB filled the disk", acked)
	if c := s.close(); c.Dup > 0 {
		t.Errorf("%d deliveries were repeated", c.Dup)
	}
}

// The anchor: what the real Postfix tells its clients.
func TestQueueDiskFullAnchor(t *testing.T) {
	for _, d := range smallDisks[3:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			root(t)
			s := begin(t, setup{system: harness.Postfix, main: fullSettings, mounts: d.spool})
			s.calm(12)
			release, err := d.fill(s.Spool)
			if err != nil {
				t.Fatal(err)
			}
			r := s.burst(8, 8, 50_000)
			t.Logf("full: %+v", r)
			if r.acked > 0 || !d.inodes && !r.only("452 4.3.1") {
				t.Errorf("%+v", r)
			}
			if d.inodes && r.lost+r.unserved == 0 {
				t.Error("Postfix does not leave clients without a reply any more")
			}
			release()
		})
	}
}

// A full disk of mailboxes, or a quota, and a queue with room: everything is deferred
// with 4.3.0 or 4.2.2, an mbox is as long as before, no maildir has half a message, and all is
// delivered once there is room.
func TestMailboxDiskFull(t *testing.T) {
	for name, c := range map[string]struct {
		system harness.System
		disk   small
		codes  []string
	}{
		"posthaste":       {harness.Ours, small{mount: tmpfs("size=2m")}, []string{"dsn=4.3.0", "dsn=4.2.0"}},
		"posthaste-quota": {harness.Ours, small{mount: quota, quota: true}, []string{"dsn=4.2.2"}},
		"postfix":         {harness.Postfix, small{mount: tmpfs("size=2m")}, []string{"dsn=4.3.0", "dsn=4.2.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system, d := c.system, c.disk
			d.needs(t)
			s := begin(t, setup{system: system, main: `virtual_mailbox_maps = inline:{@BOXES@, old@` + traffic.BoxDomain + `=old}
`,
				mounts: func(i *harness.Instance) error {
					return errors.Join(d.mount(i.Dir+"/mail"), os.Chmod(i.Dir+"/mail", 0o777))
				}})
			s.calm(12)
			mbox := filepath.Join(s.Dir, "mail/old")
			before := s.fillMbox(mbox, 1)
			release, err := d.fill(filepath.Join(s.Dir, "mail"))
			if err != nil {
				t.Fatal(err)
			}
			s.toMbox()
			if r := s.burst(12, 4, 20_000); !r.all() {
				t.Errorf("full: %+v", r)
			}
			s.until("deferrals", func() bool {
				return len(deferred.FindAllString(s.LogText(), -1)) >= 9 && strings.Contains(s.LogText(), "to=<old@"+traffic.BoxDomain+">, relay=virtual, delay")
			})
			for _, l := range deferred.FindAllString(s.LogText(), -1) {
				if !slices.ContainsFunc(c.codes, func(code string) bool { return strings.Contains(l, code) }) {
					t.Error(l)
				}
			}
			if now, _ := os.ReadFile(mbox); string(now) != before {
				t.Errorf("the mbox had %d bytes and has %d", len(before), len(now))
			}
			if left, _ := filepath.Glob(filepath.Join(s.Dir, "mail/*/tmp/*")); system == harness.Ours && len(left) > 0 {
				t.Errorf("in tmp: %v", left)
			}
			release()
			s.flush()
			s.fillMbox(mbox, 2)
			if c := s.close(); c.Dup > 0 {
				t.Errorf("%d deliveries were repeated", c.Dup)
			}
		})
	}
}

// deferred finds deferrals in a log.
var deferred = regexp.MustCompile(`(?m)^.*status=deferred.*$`)

// toMbox sends a message to the mailbox that is one file.
func (s *site) toMbox() { s.sendApart(40_000, "old@"+traffic.BoxDomain) }

// fillMbox waits until an mbox has a number of messages, the first of which it
// sends, and returns its text. What is written may be cut off again until the delivery
// is over.
func (s *site) fillMbox(path string, messages int) (text string) {
	if messages == 1 {
		s.toMbox()
	}
	s.until(fmt.Sprintf("%d messages in the mbox", messages), func() bool {
		b, _ := os.ReadFile(path)
		text = string(b)
		return strings.Count("\n"+text, "\nFrom ") == messages && strings.HasSuffix(text, "\n\n") &&
			s.logged("(delivered to mailbox)") == messages
	})
	return text
}
