package user

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/internal/mailbox"
)

// A child whose asker has gone away in the midst of a delivery does not go on
// with it: the asker's successor has the message delivered again.
func TestAbandonedDelivery(t *testing.T) {
	ours, theirs, err := pair(unix.SOCK_STREAM)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- Serve(context.Background(), theirs, Direct{}) }()

	mbox := filepath.Join(t.TempDir(), "mbox")
	if err := os.WriteFile(mbox+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := &request{op: opDeliver, delivery: Delivery{Path: mbox, Message: message(t), Options: mailbox.Options{
		Locks: []mailbox.Lock{mailbox.Dotlock}, Attempts: 1 << 20, Delay: 10 * time.Millisecond}}}
	file, err := r.contentFile()
	if err != nil {
		t.Fatal(err)
	}
	asker, err := newConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	if err := asker.Send(r.encode(), file); err != nil {
		t.Fatal(err)
	}
	asker.Close()
	select {
	case <-over:
	case <-time.After(time.Minute):
		t.Error("the delivery goes on")
	}
	if data, err := os.ReadFile(mbox); err == nil {
		t.Errorf("delivered: %q", data)
	}
}
