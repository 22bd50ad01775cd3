package fault

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthaste/test/disk"
	"posthaste/test/harness"
	"posthaste/test/strace"
)

// broken is a disk on which some calls of a role fail.
type broken struct {
	role   string
	rules  []string
	spared bool // who sends notices nothing
}

// writing are the calls that a file system refuses that has become read-only.
// Files may be created; what comes next fails.
const writing = "pwrite64,fsync,fdatasync,fchmod,ftruncate,utimensat,renameat,renameat2,unlinkat,mkdirat"

var brokenDisks = map[string][]broken{
	"inbound": {
		{"inbound", []string{"fsync,fdatasync:error=EIO:when=2+2"}, false},
		{"inbound", []string{"pwrite64:error=EIO:when=2+3"}, false},
		{"inbound", []string{"pwrite64:error=EIO"}, false},
		{"inbound", []string{"fchmod:error=EIO:when=1+2"}, false},
		{"inbound", []string{writing + ":error=EROFS"}, false},
	},
	"queue": {
		{"queue", []string{"fsync,fdatasync:error=EIO"}, true},
		{"queue", []string{"pwrite64:error=EIO:when=1+2"}, true},
		{"queue", []string{"pread64:error=EIO:when=2+3"}, true},
		{"queue", []string{"renameat,unlinkat:error=EIO:when=2+2"}, true},
		{"queue", []string{writing + ":error=EROFS"}, true},
	},
	"agents": {
		{"outbound", []string{"pread64:error=EIO:when=1+2"}, true},
		{"broker", []string{"fsync,fdatasync:error=EIO:when=1+2"}, true},
		{"broker", []string{"write,pwrite64:error=EIO:when=3+4"}, true},
		{"broker", []string{"pread64:error=EIO:when=1+3"}, true},
		{"broker", []string{"renameat2:error=EIO:when=1+2"}, true},
	},
}

// Calls fail with an I/O error, or as on a disk that has become read-only: who
// sends is told 451 or not disturbed at all, nothing is lost or bounced, and when
// the disk works again so does the mail.
func TestIOErrors(t *testing.T) {
	for name, list := range brokenDisks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := strace.Available(); err != nil {
				t.Skip("SKIPPED: ", err)
			}
			s := begin(t, setup{})
			s.calm(12)
			for _, b := range list {
				s.breakDisk(b)
				if r := s.burst(6, 3, 2000); !r.all() {
					t.Errorf("%v, when it works again: %+v", b, r)
				}
			}
			s.close()
			if strings.Contains(s.LogText(), "panic") {
				t.Error("a process panicked")
			}
		})
	}
}

// breakDisk sends mail while calls fail.
func (s *site) breakDisk(b broken) {
	s.t.Helper()
	start, deferrals := time.Now(), strings.Count(s.LogText(), "status=deferred")
	tracer, err := strace.Attach(s.role(b.role), b.rules)
	if err != nil {
		s.t.Fatal(err)
	}
	r := s.burst(12, 4, 2000)
	if b.spared {
		if !r.all() {
			s.t.Errorf("%v: %+v", b, r)
		}
		s.until(fmt.Sprint(b), func() bool { return tracer.Changed() > 0 })
	} else if !r.only("451 4.3.0") && !r.all() { // file by file instead of by the journal, or not
		s.t.Errorf("%v: %+v", b, r)
	}
	pids := s.role(b.role)
	met, err := tracer.Detach()
	if err != nil || met == 0 {
		s.t.Errorf("%v: %d calls failed; %v", b, met, err)
	}
	s.t.Logf("%v: %d calls failed: %d acknowledged, %v refused, %d deferrals, the slowest after %s", b, met, r.acked, r.refused,
		strings.Count(s.LogText(), "status=deferred")-deferrals, r.slowest)
	if b.role != "broker" && s.System == harness.Ours && len(pids) != 1 {
		s.t.Errorf("%s: processes %v", b.role, pids)
	}
	s.books.Fault(b.role, start, time.Now())
}

// A file system that finds itself damaged turns read-only, and stays so until the
// administrator has repaired it: meanwhile everybody is told 4xx, and afterwards
// everything is there.
func TestDiskTurnsReadOnly(t *testing.T) {
	t.Parallel()
	root(t)
	s := begin(t, setup{mounts: func(i *harness.Instance) error { return ext4("-e", "remount-ro")(i.Spool) }})
	s.calm(12)
	s.down(true)
	if r := s.burst(12, 4, 2000); !r.all() {
		t.Errorf("while the sink is down: %+v", r)
	}
	for _, line := range strings.Split(mounts(), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[1] == s.Spool {
			if err := os.WriteFile("/sys/fs/ext4/"+filepath.Base(f[0])+"/trigger_fs_error", []byte("test"), 0); err != nil {
				t.Skip("SKIPPED: ", err)
			}
		}
	}
	s.until("the read-only file system", func() bool {
		return errors.Is(os.WriteFile(s.Spool+"/probe", nil, 0o600), syscall.EROFS)
	})
	start := time.Now()
	if r := s.burst(12, 4, 2000); !r.only("451 4.3.0") || r.acked > 0 {
		t.Errorf("read-only: %+v", r)
	}
	time.Sleep(1500 * time.Millisecond) // a queue run
	s.books.Fault("read-only", start, time.Now())
	if err := s.Halt(); err != nil {
		t.Fatal(err)
	}
	if err := disk.Unmount(s.Spool); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("e2fsck", "-fp", s.Spool+".img").CombinedOutput(); err != nil {
		t.Logf("e2fsck: %v: %s", err, out) // status 1: it has repaired something
	}
	if err := errors.Join(disk.Mount(s.Spool+".img", s.Spool, "ext4", ""), s.Start()); err != nil {
		t.Fatal(err)
	}
	if r := s.burst(6, 4, 2000); !r.all() {
		t.Errorf("repaired: %+v", r)
	}
	s.close()
}
