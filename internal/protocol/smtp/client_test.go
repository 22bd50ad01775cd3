package smtp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"posthaste/internal/mail"
)

func TestServerReply(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, text, enhanced string
		code               int
		err                error
	}{
		{"250 2.1.0 Ok\r\n", "250 2.1.0 Ok", "2.1.0", 250, nil},
		{"250\n", "250", "2.0.0", 250, nil},
		{"250-mx.test\r\n250-SIZE 1\r\n250 DSN\r\n", "250-mx.test\n250-SIZE 1\n250 DSN", "2.0.0", 250, nil},
		{"550-5.1.1 no\r\n550 such user\r\n", "550-5.1.1 no\n550 such user", "5.0.0", 550, nil},
		{"550 2.0.0 stale\r\n", "550 2.0.0 stale", "5.0.0", 550, nil},
		{"354 5.0.0 go on\r\n", "354 5.0.0 go on", "", 354, nil},
		{"hello\r\n\r\n25x\r\n250x\r\n220 x\r\n", "220 x", "2.0.0", 220, nil},
		{"000 x\r\n", "000 x", "", 0, nil},
		{"999 x\r\n", "999 x", "", 999, nil},
		{"250 a\x00b\x1b[2Jc\rd\x7f\xff\xc2\x85é\r\n", "250 a?b?[2Jc?d????é", "2.0.0", 250, nil},
		{"250-a\r\n550 5.7.1 b\r\n", "250-a\n550 5.7.1 b", "5.7.1", 550, nil},
		{"250 5", "", "", 0, io.EOF},
		{"", "", "", 0, io.EOF},
		{strings.Repeat("250-x\r\n", 1_000_000), "", "", 0, ErrReplyFlood},
		{"250 " + strings.Repeat("x", 1<<20), "", "", 0, ErrReplyFlood},
		{strings.Repeat("junk\r\n", 1_000_000), "", "", 0, ErrReplyFlood},
		{"250 2.0.0" + strings.Repeat("x", 5000) + "\r\n", "250 2.0.0" + strings.Repeat("x", 2039), "2.0.0", 250, nil},
	}
	for _, tt := range tests {
		for _, src := range []io.Reader{strings.NewReader(tt.in), iotest.HalfReader(strings.NewReader(tt.in))} {
			got, err := NewReplyReader(src).Read(nil)
			if !errors.Is(err, tt.err) || got.Code != tt.code || got.Enhanced != tt.enhanced || got.Text != tt.text {
				t.Errorf("%.60q: got %d %q %.80q, error %v; want %d %q %.80q, error %v",
					tt.in, got.Code, got.Enhanced, got.Text, err, tt.code, tt.enhanced, tt.text, tt.err)
			}
		}
	}
}

func TestServerReplyKeepsLittle(t *testing.T) {
	t.Parallel()
	lines := 0
	r := NewReplyReader(strings.NewReader(strings.Repeat("250-"+strings.Repeat("x", 90)+"\r\n", 1000) + "250 end\r\n220 next\r\n"))
	got, err := r.Read(func([]byte) { lines++ })
	if err != nil || len(got.Text) > maxReplyKept+maxReplyLine || lines != 1001 {
		t.Errorf("got %d bytes of text, %d lines, error %v", len(got.Text), lines, err)
	}
	if got, err = r.Read(nil); err != nil || got.Code != 220 {
		t.Errorf("next reply: got %v, %v", got, err)
	}
}

func TestReplyAhead(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"220 a\r\n": false, "220 a\r\n\r\njunk\r\n": false, "220 a\r\njunk": false,
		"220 a\r\n2": true, "220 a\r\n250 b\r\n": true, "220 a\r\njunk\r\n250-b\r\n": true,
	} {
		r := NewReplyReader(strings.NewReader(in))
		if _, err := r.Read(nil); err != nil || r.Ahead() != want {
			t.Errorf("%q: ahead is not %v, error %v", in, want, err)
		}
	}
}

func FuzzServerReply(f *testing.F) {
	for _, s := range []string{"250 Ok\r\n", "250-a\r\n250 b\r\n", "5", "550 5.1.1 x\n", "\x00\r\n\r\n250 \xff\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err1 := NewReplyReader(bytes.NewReader(in)).Read(nil)
		split, err2 := NewReplyReader(iotest.OneByteReader(bytes.NewReader(in))).Read(nil)
		if whole != split || !errors.Is(err2, err1) {
			t.Fatalf("reading by bytes gives %v, %v; at once %v, %v", split, err2, whole, err1)
		}
		for _, c := range []byte(whole.Line()) {
			if c < ' ' || c == 0x7f {
				t.Fatalf("control byte in %q", whole.Line())
			}
		}
		if e := whole.Enhanced; e != "" && int(e[0]-'0') != whole.Class() {
			t.Fatalf("enhanced code %s in a reply %d", e, whole.Code)
		}
	})
}

func TestContentWriter(t *testing.T) {
	t.Parallel()
	type part struct {
		text string
		more bool
	}
	tests := []struct {
		name  string
		limit int
		parts []part
		want  string
	}{
		{"empty", 0, nil, ".\r\n"},
		{"lines", 998, []part{{"a", false}, {"", false}, {"b", false}}, "a\r\n\r\nb\r\n.\r\n"},
		{"dots", 998, []part{{".", false}, {"..", false}, {"a.", false}}, "..\r\n...\r\na.\r\n.\r\n"},
		{"dot in parts", 998, []part{{"a", true}, {".", true}, {"", true}, {"b", false}, {"", true}, {".", false}}, "a.b\r\n..\r\n.\r\n"},
		{"at the limit", 4, []part{{"abcd", false}, {"abcde", false}}, "abcd\r\nabcd\r\n e\r\n.\r\n"},
		{"far beyond", 4, []part{{"abcdefghijk", false}}, "abcd\r\n efg\r\n hij\r\n k\r\n.\r\n"},
		{"beyond in parts", 4, []part{{"ab", true}, {"cd", true}, {"", true}, {".f", false}}, "abcd\r\n .f\r\n.\r\n"},
		{"no limit", 0, []part{{strings.Repeat("x", 5000), false}}, strings.Repeat("x", 5000) + "\r\n.\r\n"},
		{"bare ends", 998, []part{{"a\r", true}, {".\nb\r\n.", false}}, "a . b  .\r\n.\r\n"},
		{"open line", 998, []part{{"abc", true}}, "abc\r\n.\r\n"},
	}
	for _, tt := range tests {
		for _, size := range []int{4, 7, 64} {
			var out bytes.Buffer
			w := NewContentWriter(&out, make([]byte, 0, size), tt.limit)
			for _, p := range tt.parts {
				if err := w.Write([]byte(p.text), !p.more); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.End(); err != nil || out.String() != tt.want {
				t.Errorf("%s, buffer %d: got %q, error %v; want %q", tt.name, size, out.String(), err, tt.want)
			}
		}
	}
}

// FuzzContentWriter decodes what was written with the server's own reader: the
// lines must come back, and the end must be where it was put.
func FuzzContentWriter(f *testing.F) {
	f.Add([]byte("a\n.\n..b\n\n"), 998, 3)
	f.Add([]byte(".\r\n.\r\n"), 5, 1)
	f.Fuzz(func(t *testing.T, in []byte, limit, step int) {
		limit, step = limit&1023+2, step&63+1
		var out bytes.Buffer
		w := NewContentWriter(&out, make([]byte, 0, 16), limit)
		for line := range bytes.SplitSeq(in, []byte{'\n'}) {
			for len(line) > step {
				w.Write(line[:step], false)
				line = line[step:]
			}
			w.Write(line, true)
		}
		w.End()
		d := NewDataReader(NewReader(bytes.NewReader(out.Bytes()), make([]byte, 4096)), BareLFNormalize, 2048)
		var got []byte
		for {
			text, whole, err := d.Next()
			if err == io.EOF {
				break
			}
			if err != nil || !whole || len(text) > limit {
				t.Fatalf("line %q whole %v error %v", text, whole, err)
			}
			got = append(append(got, text...), '\n')
		}
		if d.SawBareLF() || d.Size() != int64(out.Len()) {
			t.Fatalf("bare LF or early end in %q", out.Bytes())
		}
		want := append(bytes.ReplaceAll(in, []byte("\r"), []byte(" ")), '\n')
		if longest(in) <= limit && !bytes.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func longest(in []byte) (n int) {
	for line := range bytes.SplitSeq(in, []byte{'\n'}) {
		n = max(n, len(line))
	}
	return n
}

func TestCommands(t *testing.T) {
	t.Parallel()
	line := func(b []byte, err error) string {
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	for want, got := range map[string]string{
		"MAIL FROM:<>\r\n": line(Mail{}.Append(nil)),
		"MAIL FROM:<a@b.test> SIZE=12 BODY=8BITMIME ENVID=x+2By RET=HDRS SMTPUTF8\r\n": line(Mail{Sender: "a@b.test", Size: 12,
			Body: mail.Encoding8Bit, EnvID: "x+y", Return: mail.ReturnHeaders, SMTPUTF8: true}.Append(nil)),
		"MAIL FROM:<\"a b\"@c.test> BODY=7BIT RET=FULL\r\n": line(Mail{Sender: "a b@c.test", Body: mail.Encoding7Bit, Return: mail.ReturnFull}.Append(nil)),
		ErrControl.Error():                    line(Mail{Sender: "a>\r\nRSET@b.test"}.Append(nil)),
		"RCPT TO:<a@b.test>\r\n":              line(Rcpt{Recipient: "a@b.test"}.Append(nil)),
		"RCPT TO:<a@b.test> NOTIFY=NEVER\r\n": line(Rcpt{Recipient: "a@b.test", Original: "junk", Notify: mail.NotifyNever}.Append(nil)),
		"RCPT TO:<a@b.test> ORCPT=rfc822;\"a+20b\"@c NOTIFY=SUCCESS,DELAY\r\n": line(Rcpt{"a@b.test", OriginalRecipient("a b@c"), mail.NotifySuccess | mail.NotifyDelay}.Append(nil)),
		"RCPT TO:<é@b.test> ORCPT=utf-8;é\\x{2b}@c NOTIFY=FAILURE\r\n":         line(Rcpt{"é@b.test", OriginalRecipient("é+@c"), mail.NotifyFailure}.Append(nil)),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, err := (Rcpt{Recipient: "a@b.test", Original: "rfc822;a\nb"}).Append(nil); err == nil {
		t.Error("a line feed in ORCPT was accepted")
	}
}

func TestXForward(t *testing.T) {
	t.Parallel()
	got := strings.Join(XForwardCommands([]XForward{{"NAME", "a.test"}, {"ADDR", ""}, {"HELO", strings.Repeat("x", 490)}, {"IDENT", "a\nb"}}), "|")
	want := "XFORWARD NAME=a.test ADDR=[UNAVAILABLE]|XFORWARD HELO=" + strings.Repeat("x", 490) + "|XFORWARD IDENT=a+0Ab"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
