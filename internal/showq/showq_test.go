package showq

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"posthaste/internal/ipc"
)

// listing is what a server sends: two messages, and attributes that a later
// server may have.
func listing(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	out := ipc.Attributes{Writer: bufio.NewWriter(&b)}
	out.Announce(protocol)
	message := func(queue, id, sender string, expired int64) {
		out.Put("queue_name", queue)
		out.Put("queue_id", id)
		out.Number("time", 1700000000)
		out.Number("size", 2048)
		out.Number("forced_expire", expired)
		out.Put("sender", sender)
	}
	message("active", "AAAA1", "a@b.test", 0)
	out.Put("recipient", "x@c.test")
	out.Put("reason", "")
	out.Put("recipient", "y@c.test")
	out.Put("reason", "nobody \"there\"\\")
	out.Put("recipient", "z@c.test")
	out.Put("reason", "nobody \"there\"\\")
	out.Put("bounce_reason", "later")
	out.Put("recipient", "zz@c.test")
	out.Put("reason", "")
	out.End()
	message("hold", "BBBB2", "", 1)
	out.End()
	message("deferred", "CCCC3", "q\x01\xff\t@b.test", 1)
	out.Put("recipient", "é@c.test")
	out.Put("reason", strings.Repeat("long ", 30))
	out.End()
	out.End()
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	defer func(zone *time.Location) { time.Local = zone }(time.Local)
	time.Local = time.UTC
	var b bytes.Buffer
	p := NewText(bufio.NewWriter(&b), false)
	if err := errors.Join(Read(iotest.OneByteReader(strings.NewReader(listing(t))), p), p.Finish()); err != nil {
		t.Fatal(err)
	}
	want := `-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
AAAA1*         2048 Tue Nov 14 22:13:20  a@b.test
                                         x@c.test
` + strings.Repeat(" ", 76-15) + `(nobody "there"\)
                                         y@c.test
                                         z@c.test
` + strings.Repeat(" ", 76-18) + `(reason unavailable)
                                         zz@c.test

BBBB2!#        2048 Tue Nov 14 22:13:20  MAILER-DAEMON

CCCC3#         2048 Tue Nov 14 22:13:20  ` + "q\x01\xff\t@b.test" + `
(` + strings.Repeat("long ", 30) + `)
                                         é@c.test

-- 6 Kbytes in 3 Requests.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	p := NewJSON(bufio.NewWriter(&b))
	if err := errors.Join(Read(strings.NewReader(listing(t)), p), p.Finish()); err != nil {
		t.Fatal(err)
	}
	want := `{"queue_name": "active", "queue_id": "AAAA1", "arrival_time": 1700000000, "message_size": 2048, "forced_expire": false, "sender": "a@b.test", "recipients": [{"address": "x@c.test"}, {"address": "y@c.test", "delay_reason": "nobody \"there\"\\"}, {"address": "z@c.test", "delay_reason": "nobody \"there\"\\"}, {"address": "zz@c.test"}]}
{"queue_name": "hold", "queue_id": "BBBB2", "arrival_time": 1700000000, "message_size": 2048, "forced_expire": true, "sender": "MAILER-DAEMON", "recipients": []}
{"queue_name": "deferred", "queue_id": "CCCC3", "arrival_time": 1700000000, "message_size": 2048, "forced_expire": true, "sender": "q\u0001?\t@b.test", "recipients": [{"address": "é@c.test", "delay_reason": "` + strings.Repeat("long ", 30) + `"}]}
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// TestCut breaks a listing off at every place: each time it is an error, since
// a short listing must not pass for the whole queue.
func TestCut(t *testing.T) {
	whole := listing(t)
	for i := range whole {
		err := Read(strings.NewReader(whole[:i]), NewJSON(bufio.NewWriter(&bytes.Buffer{})))
		if !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if err := Read(strings.NewReader(strings.Replace(whole, "2048", "many", 1)), NewJSON(bufio.NewWriter(&bytes.Buffer{}))); !errors.Is(err, ErrMalformed) {
		t.Errorf("bad number: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("protocol\x00" + protocol + "\x00\x00queue_name\x00hold\x00size\x001\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var b bytes.Buffer
		p := NewJSON(bufio.NewWriter(&b))
		err := Read(bytes.NewReader(data), p)
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%v", err)
		}
		// Whatever a listing holds, each line that is made of it is a JSON object.
		for line := range strings.Lines(b.String()) {
			if err == nil && !json.Valid([]byte(line)) {
				t.Errorf("%q", line)
			}
		}
	})
}
