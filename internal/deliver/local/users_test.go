package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthaste/internal/deliver/user"
)

// A child made by the broker is this test binary again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "user-child" {
		if err := user.Child(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestRealUsers delivers through the broker to two users that differ.
func TestRealUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: changing the user needs root")
	}
	s := newSite(t)
	ours, theirs, err := user.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	broker := &user.Broker{Args: []string{"posthaste", "user-child"}}
	ended := make(chan error, 1)
	go func() { ended <- broker.Serve(theirs) }()
	pool, err := user.NewPool(ours, 4, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pool.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	s.as = pool
	const ann, bob, group = 54321, 54322, 54400
	s.write("passwd", fmt.Sprintf("root:x:0:0::/root:/bin/sh\nann:x:%d:%d::%s/home/ann:/bin/sh\nbob:x:%d:%d::%s/home/bob:/bin/sh\ngeneral:x:54399:54399::/:/bin/sh\n",
		ann, ann, s.dir, bob, bob, s.dir))
	for d := s.dir; d != "/" && d != filepath.Clean(os.TempDir()); d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	for name, uid := range map[string]int{"ann": ann, "bob": bob} {
		home := s.dir + "/home/" + name
		os.Chown(home, uid, uid)
		os.Chmod(home, 0o700)
	}
	os.Chown(s.dir+"/spool", 0, group)
	os.Chmod(s.dir+"/spool", 0o775|os.ModeSetgid)

	s.want("ann@h.test", "2.0.0 delivered to mailbox")
	owner := func(name string, uid, gid uint32) {
		t.Helper()
		st, err := os.Stat(s.dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if sys := st.Sys().(*syscall.Stat_t); sys.Uid != uid || sys.Gid != gid {
			t.Errorf("%s belongs to %d:%d", name, sys.Uid, sys.Gid)
		}
	}
	owner("spool/ann", ann, group)

	// A private .forward is read, and acted on, as its owner.
	path := s.write("home/bob/.forward", `"|id -u > out; id -G >> out", `+s.dir+"/home/bob/md/\n")
	os.Chown(path, bob, bob)
	os.Chmod(path, 0o600)
	s.params.CommandDirectory = "$home"
	s.want("bob@h.test", "2.0.0 delivered to command: id -u > out; id -G >> out; delivered to maildir")
	if got := s.read("home/bob/out"); got != fmt.Sprintf("%d\n%d\n", bob, bob) {
		t.Errorf("%q", got)
	}
	owner("home/bob/md/new", bob, bob)

	// A user cannot have mail written where only another may write.
	path = s.write("home/bob/.forward", s.dir+"/home/ann/stolen\n")
	os.Chown(path, bob, bob)
	if st := s.send("bob@h.test"); !strings.HasSuffix(st.Reason, "Permission denied") {
		t.Errorf("%+v", st)
	}

	// A .forward that its user may not read is as good as none.
	os.Chown(path, 0, 0)
	os.Chmod(path, 0o600)
	s.want("bob@h.test", "2.0.0 delivered to mailbox")
	s.logged("cannot open file DIR/home/bob/.forward: Permission denied")

	// A mailbox made by another user in a directory open to all.
	os.Chmod(s.dir+"/spool", 0o777|os.ModeSticky)
	os.Remove(s.dir + "/spool/ann")
	os.Chown(s.write("spool/ann", ""), bob, bob)
	os.Chmod(s.dir+"/spool/ann", 0o666)
	s.want("ann@h.test", "4.2.0 cannot update mailbox DIR/spool/ann for user ann. destination DIR/spool/ann is not owned by recipient")
	s.logged(`specify "strict_mailbox_ownership = no" to ignore mailbox ownership mismatch`)
}
