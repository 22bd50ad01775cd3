package mailbox

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// ending is a context that ends after it was looked at a number of times.
type ending struct {
	context.Context
	looks int
}

func (e *ending) Err() error {
	if e.looks--; e.looks >= 0 {
		return nil
	}
	return context.Canceled
}

// A delivery that nobody waits for any more leaves nothing behind, however late
// that is seen; both kinds of mailboxes look before and after their work.
func TestInterrupted(t *testing.T) {
	for looks := range 3 {
		dir := t.TempDir()
		err := message(t, sample).Maildir(&ending{context.Background(), looks}, dir+"/box/", testOptions)
		left, _ := filepath.Glob(dir + "/box/*/*")
		if done := looks == 2; done != (err == nil) || done != (len(left) == 1) {
			t.Errorf("maildir, interrupted at look %d: error %v, files %v", looks, err, left)
		}

		mbox := filepath.Join(dir, "mbox")
		if err := os.WriteFile(mbox, []byte("old mail"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = message(t, sample).Mbox(&ending{context.Background(), looks}, mbox, testOptions)
		data, _ := os.ReadFile(mbox)
		if done := looks == 2; done != (err == nil) || done != (string(data) != "old mail") {
			t.Errorf("mbox, interrupted at look %d: error %v, %q", looks, err, data)
		}
	}
}
