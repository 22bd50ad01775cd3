package maillog

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"posthaste/internal/mail"
)

func TestLines(t *testing.T) {
	m := new(Memory)
	l := New(m, "postfix/smtpd")
	l.Info("connect from %s[%s]", "unknown", "192.0.2.1")
	l.Warning("bad\r\nNov 1 x: forged \x1b[2J \xff é \u202e")
	l.Named("qmgr").Fatal("%s", "gone")
	NewBase(m, "postfix/submission").Named("smtpd").Error("x")
	var none *Logger
	none.Named("x").Info("nothing")
	want := "postfix/smtpd: connect from unknown[192.0.2.1]\n" +
		"postfix/smtpd: warning: bad??Nov 1 x: forged ?[2J ? é ?\n" +
		"postfix/qmgr: fatal: gone\n" +
		"postfix/submission/smtpd: error: x\n"
	if got := m.String(); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestDelivery(t *testing.T) {
	m := new(Memory)
	l := New(m, "postfix/smtp")
	l.Delivery("4abc", mail.Recipient{Address: "a b@c.test", Original: "x@d.test"},
		mail.Status{Action: mail.Delivered, Code: "2.0.0", Reason: "250 2.0.0 Ok", Relay: "mx.c.test[192.0.2.7]:25", ConnUse: 2},
		Delays{Total: 1234 * time.Millisecond, Before: 50 * time.Millisecond, Setup: 500 * time.Millisecond, Transmit: 12 * time.Second})
	l.Delivery("4abc", mail.Recipient{Address: "A@c.test", Original: "a@C.test"},
		mail.Defer("4.4.1", "connect: timed out\nx"), Delays{})
	want := `postfix/smtp: 4abc: to=<"a b"@c.test>, orig_to=<x@d.test>, relay=mx.c.test[192.0.2.7]:25, conn_use=2, delay=1.2, delays=0.05/0/0.5/12, dsn=2.0.0, status=sent (250 2.0.0 Ok)
postfix/smtp: 4abc: to=<A@c.test>, relay=none, delay=0, delays=0/0/0/0, dsn=4.4.1, status=deferred (connect: timed out?x)
`
	if got := m.String(); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestDelay(t *testing.T) {
	for in, want := range map[time.Duration]string{
		-time.Second: "0", 4 * time.Millisecond: "0", 5 * time.Millisecond: "0.01",
		120 * time.Millisecond: "0.12", 200 * time.Millisecond: "0.2", 996 * time.Millisecond: "1",
		1050 * time.Millisecond: "1.1", 9960 * time.Millisecond: "10", 129400 * time.Millisecond: "129",
	} {
		if got := string(appendDelay(nil, in)); got != want {
			t.Errorf("%v: got %s, want %s", in, got, want)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := NewFile(f, "mx1.example.test")
	s.now = func() time.Time { return time.Date(2026, 11, 3, 4, 5, 6, 0, time.UTC) }
	New(s, "postfix/master").Info("daemon started")
	New(s, "x").Relay("Nov 03 04:05:07 mx1 other[1]: a\nb")
	f.Close()
	got, _ := os.ReadFile(path)
	if !regexp.MustCompile(`^Nov 03 04:05:06 mx1 postfix/master\[\d+\]: daemon started\nNov 03 04:05:07 mx1 other\[1\]: a\?b\n$`).Match(got) {
		t.Errorf("got %q", got)
	}
}

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	listen := func() *net.UnixConn {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	read := func(c *net.UnixConn) string {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		b := make([]byte, 1000)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	c := listen()
	s, err := NewSyslog(path, "mail")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.now = func() time.Time { return time.Date(2026, 11, 3, 4, 5, 6, 0, time.UTC) }
	l := New(s, "postfix/smtpd")
	l.Warning("one")
	if got := read(c); !strings.HasPrefix(got, "<20>Nov  3 04:05:06 postfix/smtpd[") || !strings.HasSuffix(got, "]: warning: one") {
		t.Errorf("got %q", got)
	}
	// A restarted syslogd gets the next line.
	c.Close()
	os.Remove(path)
	c = listen()
	defer c.Close()
	l.Info("two")
	if got := read(c); !strings.HasSuffix(got, "]: two") {
		t.Errorf("got %q", got)
	}
	if _, err := NewSyslog(path, "nonsense"); err == nil {
		t.Error("unknown facility accepted")
	}
}

func FuzzSanitize(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\r\n\x1b\x7f\u0085é\xc3\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := Sanitize(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("%q gives %q", s, got)
		}
		if Sanitize(got) != got {
			t.Errorf("%q is not stable", got)
		}
	})
}

func TestPostlog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postlog")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	New(NewPostlog(path, "mx.example.test"), "postfix/postsuper").Warning("odd\n%s", "text")
	buf := make([]byte, 1000)
	socket.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := socket.Read(buf)
	if got := string(buf[:n]); err != nil || !strings.HasSuffix(got, "]: warning: odd?text") || !strings.Contains(got, " mx postfix/postsuper[") {
		t.Errorf("%q %v", got, err)
	}
	New(NewPostlog(path+"-nosuch", "h"), "postfix/x").Info("lost") // nobody listens: no error
}
