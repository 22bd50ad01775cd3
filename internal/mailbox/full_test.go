package mailbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"posthaste/internal/mail"
)

// A full disk defers, and leaves the mailbox as it was, byte for byte
// (durability contract R7). When there is room again, mail is delivered.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("SKIPPED: cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	path := filepath.Join(dir, "mbox")
	os.WriteFile(path, []byte("From x\n\nold\n\n"), 0o600)
	big := strings.Repeat(strings.Repeat("x", 99)+"\n", 4000)
	_, err := message(t, big).Mbox(context.Background(), path, testOptions)
	var m *mail.Error
	if !errors.As(err, &m) || m.Code != "4.3.0" || !m.Temporary() || m.Text != "error writing message: No space left on device" {
		t.Errorf("mbox: %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "From x\n\nold\n\n" {
		t.Errorf("mailbox has %d bytes", len(data))
	}
	err = message(t, big).Maildir(context.Background(), dir+"/md/", testOptions)
	if !errors.As(err, &m) || m.Code != "4.3.0" {
		t.Errorf("maildir: %v", err)
	}
	if left, _ := filepath.Glob(dir + "/md/*/*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := message(t, sample).Maildir(context.Background(), dir+"/md/", testOptions); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// Limits of the recipient's own are told to the sender; what is lacking here is
// tried again.
func TestCodes(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		unix.EFBIG: "5.2.2", unix.EDQUOT: "4.2.2", unix.ENOSPC: "4.3.0", unix.EIO: "4.3.0", unix.EROFS: "4.3.0", unix.EAGAIN: "4.2.0", unix.ENOENT: "4.2.1",
	} {
		if got := codeOf(&os.PathError{Op: "write", Path: "box", Err: errno}, "4.2.1"); got != want {
			t.Errorf("%s: %s, want %s", errno, got, want)
		}
	}
}
