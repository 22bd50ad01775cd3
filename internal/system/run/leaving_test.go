package run

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"posthaste/internal/ipc"
	"posthaste/internal/mail"
)

// What is asked of a process that leaves is done by its successor, which listens
// at the same place.
func TestLeavingHandsOn(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("public", 0o755); err != nil {
		t.Fatal(err)
	}
	listen := func(path string) net.Listener {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetDeadline(time.Now().Add(time.Minute))
		t.Cleanup(func() { l.Close() })
		return l
	}
	successor, woken := listen(flushSocket), listen("public/qmgr")
	left, leave := context.WithCancel(t.Context())
	leave()

	sent := make(chan mail.QueueID, 1)
	go func() {
		if c, err := successor.Accept(); err == nil {
			flushServer{send: func(ids ...mail.QueueID) { sent <- ids[0] }}.serve(t.Context(), c)
			c.Close()
		}
	}()
	old := listen("old")
	go func() {
		if c, err := old.Accept(); err == nil {
			flushServer{send: func(...mail.QueueID) { t.Error("the old process has done it") }}.serve(left, c)
			c.Close()
		}
	}()
	const id = "4XyZ12abcdz1"
	answer, err := ipc.Ask("old", ipc.TriggerTime, "request", "send_file", "queue_id", id)
	if err != nil || answer["status"] != "0" || len(sent) != 1 {
		t.Errorf("flush: %q %v", answer, err)
	}

	client, server := net.Pipe()
	go func() {
		io.WriteString(client, "AF")
		client.Close()
	}()
	go trigger("public/qmgr", func(byte) { t.Error("the old process was woken") })(left, server)
	c, err := woken.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if wishes, err := io.ReadAll(c); err != nil || string(wishes) != "AF" {
		t.Errorf("qmgr: %q %v", wishes, err)
	}
}
