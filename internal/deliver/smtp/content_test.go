package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// failing is a queue file whose disk breaks at an offset.
type failing struct {
	io.ReaderAt
	at int64
}

var errDisk = errors.New("input/output error")

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= f.at {
		return f.ReaderAt.ReadAt(p, off)
	}
	if off >= f.at {
		return 0, errDisk
	}
	n, _ := f.ReaderAt.ReadAt(p[:f.at-off], off)
	return n, errDisk
}

// A message that cannot be read to its end must never look complete.
func TestUnreadableContent(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.Repeat("0123456789\n", 20_000), "\n")
	whole := content(t, lines...)
	damaged := whole
	damaged.Digest++
	if !whole.Summed {
		t.Log("content has no checksum")
		damaged = whole
		damaged.Length--
	}
	broken := whole
	broken.File = failing{whole.File, 100_000}
	for name, c := range map[string]record.Content{"disk error": broken, "damaged": damaged} {
		srv := serve(t, "", nil)
		a := newSetup(t, params(), nil, false)
		r := request(t, srv.addr.String(), "a@b.test")
		r.Content = c
		err := a.Deliver(t.Context(), r, func(_ mail.RecipientIndex, st mail.Status) { t.Errorf("%s: result %s", name, render(st)) })
		var site *deliver.SiteError
		if err == nil || errors.As(err, &site) || !strings.Contains(err.Error(), "unreadable mail queue entry") {
			t.Errorf("%s: error is %v, want a local one", name, err)
		}
		if _, messages, _ := srv.said(); len(messages) > 0 {
			t.Errorf("%s: the server took %d bytes for a message", name, len(messages[0]))
		}
	}
}

// A server that hangs up in the middle of the content: what it said counts,
// unless it says that it has the message.
func TestHangUpWithinContent(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]string{
		"552 5.3.4 too big\r\n": "bounced 5.3.4 (host HOST said: 552 5.3.4 too big (in reply to end of DATA command))",
		"250 2.0.0 Ok\r\n":      "SITE deferred 4.4.2 (lost connection with HOST while sending message body)",
		"":                      "SITE deferred 4.4.2 (lost connection with HOST while sending message body)",
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			buf := make([]byte, 4096)
			io.WriteString(conn, "220 mx\r\n")
			for _, next := range []string{"250 mx\r\n", "250 Ok\r\n", "250 Ok\r\n", "354 go\r\n"} {
				conn.Read(buf)
				io.WriteString(conn, next)
			}
			conn.Read(buf)
			io.WriteString(conn, reply)
			conn.(*net.TCPConn).CloseWrite()
			if reply == "" {
				conn.(*net.TCPConn).SetLinger(0)
				return
			}
			conn.(*net.TCPConn).CloseRead()
			time.Sleep(2 * time.Second) // a write limit ends the client's attempt before
		}()
		p := params()
		p.DataXferTimeout = 300 * time.Millisecond
		a := newSetup(t, p, nil, false)
		r := request(t, ln.Addr().String(), "a@b.test")
		r.Content = content(t, strings.Split(strings.Repeat(strings.Repeat("x", 900)+"\n", 20_000), "\n")...)
		got := a.results(t, r)
		want = strings.ReplaceAll(want, "HOST", "127.0.0.1[127.0.0.1]")
		if timedOut := "conversation with 127.0.0.1[127.0.0.1] timed out while sending message body"; got != want && !strings.Contains(got, timedOut) {
			t.Errorf("reply %q: got %s, want %s", reply, got, want)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", map[string][]string{"RCPT": {"HANG"}})
	a := newSetup(t, params(), nil, false)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			if commands, _, _ := srv.said(); len(commands) > 2 {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	err := a.Deliver(ctx, request(t, srv.addr.String(), "a@b.test"), func(_ mail.RecipientIndex, st mail.Status) {
		t.Errorf("result %s after cancel", render(st))
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", map[string][]string{"RCPT": {"250 2.1.5 Ok\r\n", "550 5.1.1 who\r\n", "450 4.2.0 later\r\n"}})
	a := newSetup(t, params(), nil, false)
	r := request(t, srv.addr.String(), "1@b.test", "2@b.test", "3@b.test")
	r.Envelope.Trace = mail.TraceProbe
	const host = "host 127.0.0.1[127.0.0.1] said: "
	want := "deliverable 2.1.5 (250 2.1.5 Ok)\nundeliverable 5.1.1 (" + host + "550 5.1.1 who (in reply to RCPT TO command))\n" +
		"deferred 4.2.0 (" + host + "450 4.2.0 later (in reply to RCPT TO command))"
	if got := a.results(t, r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	p := params()
	p.VerifyTarget = "data"
	srv = serve(t, "", nil)
	a = newSetup(t, p, nil, false)
	r = request(t, srv.addr.String(), "1@b.test")
	r.Envelope.Trace = mail.TraceVerify
	if got, want := a.results(t, r), "deliverable 2.0.0 (354 go on)"; got != want {
		t.Errorf("target data: got %s, want %s", got, want)
	}
	if _, messages, _ := srv.said(); len(messages) != 0 {
		t.Errorf("a probe delivered %q", messages)
	}
}

func TestSMTPUTF8(t *testing.T) {
	t.Parallel()
	without := serve(t, "", nil)
	with := serve(t, "", map[string][]string{"EHLO": {"250-mx\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"}})
	a := newSetup(t, params(), nil, false)
	r := request(t, without.addr.String(), "é@b.test")
	r.Envelope.Options = mail.OptionSMTPUTF8
	if got, want := a.results(t, r), "bounced 5.6.7 (SMTPUTF8 is required, but was not offered by host 127.0.0.1[127.0.0.1])"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// Another server may offer it.
	r.Nexthop += " " + with.addr.String()
	if got, want := a.results(t, r), "sent 2.0.0 (250 2.0.0 Ok: queued as 12345)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	commands, _, _ := with.said()
	if got, want := strings.Join(commands[1:3], "|"), "MAIL FROM:<s@a.test> BODY=7BIT SMTPUTF8|RCPT TO:<é@b.test>"; got != want {
		t.Errorf("commands %s, want %s", got, want)
	}
}

func TestXForward(t *testing.T) {
	t.Parallel()
	for _, pipelining := range []string{"250-PIPELINING\r\n", ""} {
		srv := serve(t, "", map[string][]string{"XFORWARD": {"250 Ok\r\n"},
			"EHLO": {"250-mx\r\n" + pipelining + "250 XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT\r\n"}})
		p := params()
		p.SendXForward = true
		a := newSetup(t, p, nil, false)
		r := request(t, srv.addr.String(), "a@b.test")
		r.Envelope.Origin = mail.Origin{Remote: true, LogIdent: "ABC", Logged: mail.Client{Name: "c.test", Address: "192.0.2.1", Port: "99", Helo: "he lo", Protocol: "ESMTP"}}
		a.results(t, r)
		commands, messages, _ := srv.said()
		want := "XFORWARD NAME=c.test ADDR=192.0.2.1 PORT=99 PROTO=ESMTP HELO=he+20lo IDENT=ABC SOURCE=REMOTE"
		if len(messages) != 1 || commands[1] != want {
			t.Errorf("got %q, want %s", commands, want)
		}
	}
}

func TestDiscardKeywords(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", nil)
	p := params()
	p.DiscardEHLO = []string{"size", "dsn", "Pipelining", "unknown"}
	a := newSetup(t, p, nil, false)
	a.results(t, request(t, srv.addr.String(), "a@b.test"))
	if commands, _, _ := srv.said(); commands[1] != "MAIL FROM:<s@a.test> BODY=7BIT" {
		t.Errorf("got %s, want no SIZE", commands[1])
	}
}

func TestOwnName(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", map[string][]string{"GREETING": {"220 Client.Test ESMTP\r\n"}, "EHLO": {"250-client.test\r\n250 DSN\r\n"}})
	a := newSetup(t, params(), nil, false)
	for _, best := range []bool{true, false} {
		conn, err := net.Dial("tcp", srv.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		s := &session{agent: a.Agent, peer: peer{host: "mx.test", addr: srv.addr.Addr(), port: 25, best: best}}
		s.attach(conn)
		f := s.hello(t.Context(), "b.test", true)
		want := map[bool]string{true: "5.4.6", false: "4.4.6"}[best] + " mail for b.test loops back to myself"
		if f == nil || f.status.Code+" "+f.status.Reason != want {
			t.Errorf("got %v, want %s", f, want)
		}
	}
	if want := "warning: host mx.test[127.0.0.1]:25 greeted me with my own hostname client.test\n" +
		"warning: host mx.test[127.0.0.1]:25 replied to HELO/EHLO with my own hostname client.test"; !strings.HasPrefix(a.log.text(), want) {
		t.Errorf("log is %s", a.log.text())
	}
}

// Many recipients go in several batches, so that neither side blocks.
func TestManyRecipients(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", nil)
	a := newSetup(t, params(), nil, false)
	rcpts := make([]mail.Address, 3000)
	for i := range rcpts {
		rcpts[i] = mail.Address(fmt.Sprintf("recipient-number-%d@b.test", i))
	}
	got := a.results(t, request(t, srv.addr.String(), rcpts...))
	if n := strings.Count(got, "sent 2.0.0"); n != len(rcpts) {
		t.Errorf("%d of %d recipients were delivered", n, len(rcpts))
	}
}

func TestBadAddresses(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", nil)
	a := newSetup(t, params(), nil, false)
	got := a.results(t, request(t, srv.addr.String(), "a\r\nRSET@b.test", "a@b.test"))
	want := "bounced 5.1.3 (bad address syntax: control character in address)\nsent 2.0.0 (250 2.0.0 Ok: queued as 12345)"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r := request(t, srv.addr.String(), "a@b.test")
	r.Envelope.Sender = "a\nb@c.test"
	if got := a.results(t, r); !strings.HasPrefix(got, "bounced 5.1.7 (bad address syntax") {
		t.Errorf("bad sender: got %s", got)
	}
	if commands, _, _ := srv.said(); strings.Contains(strings.Join(commands, "|"), "|RSET@") {
		t.Errorf("an address became a command: %q", commands)
	}
}
