package smtpd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/receive/smtpd/restrictions"
)

// talk sends raw bytes in pieces and returns all that the server says.
func talk(t *testing.T, r *rig, from string, pieces ...string) string {
	t.Helper()
	c := r.dial(from)
	defer c.Close()
	go func() {
		for _, p := range pieces {
			if _, err := io.WriteString(c, p); err != nil {
				return
			}
		}
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil && len(got) == 0 && !isReset(err) {
		t.Fatal(err)
	}
	return string(got)
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

// begin speaks up to the data, as a client should, and returns the connection.
func begin(t *testing.T, r *rig, from string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c := r.dial(from)
	in := bufio.NewReader(c)
	for _, step := range []struct{ say, want string }{
		{"", "220"}, {"HELO c.test\r\n", "250"}, {"MAIL FROM:<a@b.test>\r\n", "250"},
		{"RCPT TO:<alice@example.test>\r\n", "250"}, {"DATA\r\n", "354"},
	} {
		io.WriteString(c, step.say)
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, step.want) {
			t.Fatalf("%q: %q, %v", step.say, line, err)
		}
	}
	return c, in
}

// TestSmuggling sends each fake end of data in every segmentation of its bytes.
func TestSmuggling(t *testing.T) {
	evil := "MAIL FROM:<evil@b.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nevil\r\n.\r\n"
	for _, seq := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\n.\r", "\r\n.\r\r\n", "\r\n\x00.\r\n"} {
		for cut := 0; cut <= len(seq); cut++ {
			r := newRig(t, "smtpd_forbid_unauth_pipelining = no\n", nil)
			c, in := begin(t, r, "127.0.0.2")
			c.SetNoDelay(true)
			io.WriteString(c, "good"+seq[:cut])
			io.WriteString(c, seq[cut:]+evil)
			if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "250 ") {
				t.Fatalf("%q: %q, %v", seq, line, err)
			}
			io.WriteString(c, "QUIT\r\n")
			io.Copy(io.Discard, in)
			c.Close()
			if n := len(r.box.messages); n != 1 {
				t.Errorf("%q cut at %d: %d messages", seq, cut, n)
			}
		}
	}
}

func TestTalkBeforeBanner(t *testing.T) {
	gate := make(chan struct{})
	r := newRig(t, "", func(_ *Params, d *Deps) { d.Names = slowNames{gate} })
	c := r.dial("127.0.0.2")
	defer c.Close()
	io.WriteString(c, "EHLO c.test\r\nMAIL FROM:<a@b>\r\n")
	close(gate) // the bytes are there before the greeting is
	got, _ := io.ReadAll(c)
	if string(got) != "554 5.5.0 Error: SMTP protocol synchronization\r\n" {
		t.Errorf("%q", got)
	}
}

type slowNames struct{ gate chan struct{} }

func (n slowNames) Reverse(context.Context, netip.Addr) ([]string, error) {
	<-n.gate
	return nil, nil
}
func (n slowNames) Addresses(context.Context, string) ([]netip.Addr, error) { return nil, nil }

type mapNames map[string][]netip.Addr

func (n mapNames) Reverse(_ context.Context, a netip.Addr) ([]string, error) {
	for name := range n {
		return []string{name + "."}, nil
	}
	return nil, nil
}
func (n mapNames) Addresses(_ context.Context, name string) ([]netip.Addr, error) {
	if a := n[name]; a != nil {
		return a, nil
	}
	return nil, errNotFound{}
}

type errNotFound struct{}

func (errNotFound) Error() string  { return "no such host" }
func (errNotFound) NotFound() bool { return true }

func TestClientNames(t *testing.T) {
	own := netip.MustParseAddr("127.0.0.2")
	for _, c := range []struct {
		names mapNames
		log   []string
	}{
		{mapNames{"c.test": {own}}, []string{"connect from c.test[127.0.0.2]"}},
		{mapNames{"c.test": {netip.MustParseAddr("192.0.2.1")}}, []string{"warning: hostname c.test does not resolve to address 127.0.0.2", "connect from unknown[127.0.0.2]"}},
		{mapNames{"c.test": nil}, []string{"warning: hostname c.test does not resolve to address 127.0.0.2: Name or service not known"}},
		{mapNames{"evil\nname": {own}}, []string{"connect from unknown[127.0.0.2]"}},
	} {
		r := newRig(t, "", func(_ *Params, d *Deps) { d.Names = c.names })
		talk(t, r, "127.0.0.2", "QUIT\r\n")
		for _, want := range c.log {
			if !r.log.Contains(want) {
				t.Errorf("log lacks %q:\n%s", want, r.log)
			}
		}
	}
}

// TestEndlessCommand is D1 and A6: a line without end costs no memory.
func TestEndlessCommand(t *testing.T) {
	r := newRig(t, "smtpd_forbid_unauth_pipelining = no\n", nil)
	if got := talk(t, r, "127.0.0.2", strings.Repeat("x", 3000)+"\r\nQUIT\r\n"); !strings.Contains(got, "\r\n500 5.5.2 Error: command too long\r\n221 ") {
		t.Errorf("3000 bytes: %q", got)
	}
	if got := talk(t, r, "127.0.0.2", strings.Repeat("x", 16<<20)); strings.Contains(got, "221") {
		t.Errorf("16 MiB: %q", got)
	}
}

// TestTinyChunks is A5: a message in crumbs ends with 421 and leaves no trace.
func TestTinyChunks(t *testing.T) {
	r := newRig(t, "", nil)
	c := r.dial("127.0.0.2")
	defer c.Close()
	go func() {
		b := bufio.NewReader(c)
		b.ReadString('\n') // the greeting
		fmt.Fprint(c, "EHLO c.test\r\n")
		for { // wait for the EHLO reply, then pipeline
			line, err := b.ReadString('\n')
			if err != nil || strings.HasPrefix(line, "250 ") {
				break
			}
		}
		fmt.Fprint(c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@example.test>\r\n")
		go io.Copy(io.Discard, b)
		crumbs := strings.Repeat("BDAT 1\r\nx", 1000)
		for range 1000 {
			if _, err := io.WriteString(c, crumbs); err != nil {
				return
			}
		}
	}()
	waitFor(t, func() bool { return r.log.Contains("too many errors after BDAT") })
}

// waitFor waits for a condition that another goroutine brings about.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("condition was not met in time")
		}
	}
}

// TestTimeout is I1: an idle client is told, and logged.
func TestTimeout(t *testing.T) {
	r := newRig(t, "", func(p *Params, _ *Deps) { p.Limits.Timeout = 50 * time.Millisecond })
	c := r.dial("127.0.0.2")
	defer c.Close()
	got, _ := io.ReadAll(c)
	if !strings.HasSuffix(string(got), "421 4.4.2 mx.example.test Error: timeout exceeded\r\n") {
		t.Errorf("%q", got)
	}
	waitFor(t, func() bool { return r.log.Contains("timeout after CONNECT from unknown[127.0.0.2]") })
}

// TestSlowRequest is I1 with the per-request deadline: drops of data do not
// extend it for ever.
func TestSlowRequest(t *testing.T) {
	r := newRig(t, "smtpd_per_request_deadline = yes\n", func(p *Params, _ *Deps) { p.Limits.Timeout = 100 * time.Millisecond })
	c := r.dial("127.0.0.2")
	defer c.Close()
	done := make(chan struct{})
	in := bufio.NewReader(c)
	in.ReadString('\n') // the greeting
	go func() {
		defer close(done)
		for { // one byte in a while, until the server gives up
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	got, _ := io.ReadAll(in)
	<-done
	if !strings.Contains(string(got), "421 4.4.2") && !r.log.Contains("timeout after") {
		t.Errorf("%q", got)
	}
}

func TestLostData(t *testing.T) {
	r := newRig(t, "", nil)
	c, _ := begin(t, r, "127.0.0.2")
	io.WriteString(c, "Subject: x\r\n\r\ncut")
	c.Close()
	waitFor(t, func() bool { return r.log.Contains("disconnect from") })
	if !r.log.Contains("Q1: lost connection after DATA (") || len(r.box.messages) != 0 {
		t.Errorf("log:\n%s", r.log)
	}
}

func TestConnectionLimit(t *testing.T) {
	r := newRig(t, "smtpd_client_connection_count_limit = 1\n", nil)
	first, in := begin(t, r, "127.0.0.2")
	defer first.Close()
	if got := talk(t, r, "127.0.0.2"); got != "421 4.7.0 mx.example.test Error: too many connections from 127.0.0.2\r\n" {
		t.Errorf("%q", got)
	}
	if !r.log.Contains("warning: Connection concurrency limit exceeded: 2 from unknown[127.0.0.2] for service smtp") {
		t.Error(r.log)
	}
	if got := talk(t, r, "127.0.0.3"); !strings.HasPrefix(got, "220 ") {
		t.Errorf("another client: %q", got)
	}
	io.WriteString(first, ".\r\nQUIT\r\n")
	io.Copy(io.Discard, in)
	waitFor(t, func() bool { return strings.HasPrefix(talk(t, r, "127.0.0.2"), "220 ") })
}

func TestMessageRate(t *testing.T) {
	mails := "MAIL FROM:<a@b.test>\r\nRSET\r\nMAIL FROM:<a@b.test>\r\nQUIT\r\n"
	r := newRig(t, "smtpd_client_message_rate_limit = 1\nsmtpd_forbid_unauth_pipelining = no\n", nil)
	got := talk(t, r, "127.0.0.2", mails)
	if !strings.Contains(got, "450 4.7.1 Error: too much mail from 127.0.0.2") {
		t.Errorf("%q", got)
	}
	if got := talk(t, r, "127.0.0.1", mails); strings.Contains(got, "450") {
		t.Errorf("trusted client: %q", got)
	}
}

func TestMaxSessions(t *testing.T) {
	r := newRig(t, "", func(p *Params, d *Deps) {
		d.MaxSessions = 1
		stress := p.Limits
		stress.HardErrors = 1
		d.StressLimits = &stress
	})
	first, in := begin(t, r, "127.0.0.2")
	defer first.Close()
	second := r.dial("127.0.0.3")
	defer second.Close()
	second.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := second.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("a second session was served")
	}
	io.WriteString(first, ".\r\nQUIT\r\n")
	io.Copy(io.Discard, in)
	second.SetReadDeadline(time.Now().Add(10 * time.Second))
	if line, err := bufio.NewReader(second).ReadString('\n'); !strings.HasPrefix(line, "220 ") {
		t.Errorf("%q, %v", line, err)
	}
}

func TestDrain(t *testing.T) {
	r := newRig(t, "", nil)
	busy, busyIn := begin(t, r, "127.0.0.2")
	defer busy.Close()
	idle := r.dial("127.0.0.3")
	defer idle.Close()
	idleIn := bufio.NewReader(idle)
	idleIn.ReadString('\n')
	done := make(chan error)
	go func() { done <- r.srv.Drain(t.Context()) }()
	const bye = "421 4.3.2 mx.example.test Error: service is shutting down\r\n"
	if line, _ := idleIn.ReadString('\n'); line != bye {
		t.Errorf("idle: %q", line)
	}
	io.WriteString(busy, "hi\r\n.\r\n")
	if got, _ := io.ReadAll(busyIn); string(got) != "250 2.0.0 Ok: queued as Q1\r\n"+bye {
		t.Errorf("busy: %q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	late, ours := net.Pipe() // accepted as the server was told to leave
	go r.srv.ServeConn(t.Context(), ours)
	if got, _ := io.ReadAll(late); string(got) != bye {
		t.Errorf("late: %q", got)
	}
}

func TestPanic(t *testing.T) {
	r := newRig(t, "", func(_ *Params, d *Deps) {
		d.Open = func(context.Context, mail.Envelope) (Message, error) { panic("boom\nx") }
	})
	c := r.dial("127.0.0.2")
	defer c.Close()
	in := bufio.NewReader(c)
	got, _ := in.ReadString('\n')
	for _, say := range []string{"MAIL FROM:<a@b.test>\r\n", "RCPT TO:<alice@example.test>\r\n"} {
		io.WriteString(c, say)
		got, _ = in.ReadString('\n')
	}
	if got != "421 4.3.0 mx.example.test Server local error\r\n" {
		t.Errorf("%q", got)
	}
	waitFor(t, func() bool { return r.log.Contains("panic in session of unknown[127.0.0.2] after RCPT: boom?x") })
	if got := talk(t, r, "127.0.0.2"); !strings.HasPrefix(got, "220 ") {
		t.Errorf("after the panic: %q", got)
	}
}

func TestCommitFails(t *testing.T) {
	r := newRig(t, "", nil)
	r.box.fail = &mail.Error{Reply: 452, Code: "4.3.1", Text: "Insufficient system storage", Err: errors.New("disk secret")}
	c, in := begin(t, r, "127.0.0.2")
	defer c.Close()
	io.WriteString(c, ".\r\n")
	if line, _ := in.ReadString('\n'); line != "452 4.3.1 Insufficient system storage\r\n" {
		t.Errorf("%q", line)
	}
	if !r.log.Contains("disk secret") {
		t.Error(r.log)
	}
}

func TestDiskFull(t *testing.T) {
	r := newRig(t, "smtpd_forbid_unauth_pipelining = no\n", func(_ *Params, d *Deps) {
		d.FreeSpace = func() (int64, error) { return 1000, nil }
	})
	if got := talk(t, r, "127.0.0.2", "MAIL FROM:<a@b.test>\r\n"); !strings.Contains(got, "452 4.3.1 Insufficient system storage") {
		t.Errorf("%q", got)
	}
	// A lower queue_minfree does not make 1.5 times message_size_limit any less.
	for minimum, want := range map[string]string{"0": "250 ", "1000000": "250 ", "100000000": "452 4.3.1 "} {
		r := newRig(t, "smtpd_forbid_unauth_pipelining = no\nqueue_minfree = "+minimum+"\n", func(_ *Params, d *Deps) {
			d.FreeSpace = func() (int64, error) { return 16 << 20, nil }
		})
		if got := talk(t, r, "127.0.0.2", "MAIL FROM:<a@b.test>\r\n"); !strings.Contains(got, want) {
			t.Errorf("queue_minfree %s: %q", minimum, got)
		}
	}
	r = newRig(t, "smtpd_forbid_unauth_pipelining = no\nqueue_minfree = 1\n", func(_ *Params, d *Deps) {
		d.FreeSpace = func() (int64, error) { return 1 << 20, nil }
	})
	if got := talk(t, r, "127.0.0.2", "MAIL FROM:<a@b.test>\r\n"); !strings.Contains(got, "452 4.3.1") {
		t.Errorf("%q", got)
	}
}

func TestNoRelayControl(t *testing.T) {
	for _, conf := range []string{
		"smtpd_relay_restrictions =\n",
		"smtpd_relay_restrictions = permit_mynetworks, warn_if_reject reject\n",
		"smtpd_relay_restrictions = permit, reject\n",
	} {
		r := &rig{t: t, box: &box{}}
		if _, err := r.build(conf, nil); !errors.Is(err, restrictions.ErrNoRelayControl) {
			t.Errorf("%q: %v", conf, err)
		}
	}
}

// TestLogInjection is J1: what a client says stays within its log line.
func TestLogInjection(t *testing.T) {
	r := newRig(t, "smtpd_forbid_unauth_pipelining = no\n", nil)
	talk(t, r, "127.0.0.2", "EHLO \x1b[2Jx\r\n", "MAIL FROM:<\"a\x1bb\"@c.test>\r\n", "RCPT TO:<x@\u202eelsewhere.test>\r\n", "G\x7fT\r\n")
	for _, line := range r.log.Lines() {
		if strings.ContainsAny(line, "\x1b\x7f\r\n") || strings.Contains(line, "\u202e") {
			t.Errorf("%q", line)
		}
	}
}

// TestIdleMemory bounds what a waiting session costs.
func TestIdleMemory(t *testing.T) {
	r := newRig(t, "smtpd_client_connection_count_limit = 0\n", nil)
	const n = 200
	var conns []*net.TCPConn
	measure := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := measure()
	for range n {
		c, in := begin(t, r, "127.0.0.2")
		io.WriteString(c, strings.Repeat("x", 10000)+"\r\n.\r\n")
		in.ReadString('\n')
		conns = append(conns, c)
	}
	if per := (int64(measure()) - int64(before)) / n; per > 40<<10 {
		t.Errorf("%d bytes per idle session, client included", per)
	}
	for _, c := range conns {
		c.Close()
	}
}

func BenchmarkSession(b *testing.B) {
	r := newRig(b, "smtpd_client_connection_count_limit = 0\n", nil)
	c := r.dial("127.0.0.1")
	defer c.Close()
	in := bufio.NewReader(c)
	in.ReadString('\n')
	io.WriteString(c, "EHLO c.test\r\n")
	for {
		if line, err := in.ReadString('\n'); err != nil || strings.HasPrefix(line, "250 ") {
			break
		}
	}
	body := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 100) + ".\r\n"
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n")
		for range 3 {
			in.ReadString('\n')
		}
		io.WriteString(c, body)
		if line, err := in.ReadString('\n'); !strings.HasPrefix(line, "250") {
			b.Fatal(line, err)
		}
		r.box.messages = nil
	}
}
