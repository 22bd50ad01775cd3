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

// TestParsePath holds what Postfix 3.7 makes of these, but for the cases marked.
func TestParsePath(t *testing.T) {
	for in, want := range map[string]string{
		`<>`:                                        ``,
		`<a@example.test>`:                          `a@example.test`,
		`<@a,@b:a@example.test>`:                    `a@example.test`,
		`<"a b"@example.test>`:                      `a b@example.test`,
		`<"a@b"@example.test>`:                      `a@b@example.test`,
		`<a..b@example.test>`:                       `a..b@example.test`,
		`<.a@example.test>`:                         `.a@example.test`,
		`<a.@example.test>`:                         `a.@example.test`,
		`<a(c)b@example.test>`:                      `!`,
		`<a b@example.test>`:                        `!`,
		`<a@b@example.test>`:                        `a@b@example.test`,
		`a@example.test`:                            `a@example.test`,
		`<postmaster>`:                              `postmaster`,
		`<a@[127.0.0.1]>`:                           `a@[127.0.0.1]`,
		`<a@[1.2.3.4>`:                              `!`, // Postfix closes the bracket
		`<@>`:                                       `!`,
		`<a@>`:                                      `!`,
		`<@example.test>`:                           `@example.test`,
		`<a@example.test>x`:                         `!`,
		`<a\ b@example.test>`:                       `a b@example.test`,
		`<"a\"b"@example.test>`:                     `a"b@example.test`,
		`<a%b@example.test>`:                        `a%b@example.test`,
		`<b!a@example.test>`:                        `b!a@example.test`,
		`<-oX@example.test>`:                        `-oX@example.test`,
		`<|cmd@example.test>`:                       `|cmd@example.test`,
		`<:include:/x@example.test>`:                `:include:/x@example.test`,
		`<a@example.test.>`:                         `a@example.test.`,
		`<a@@example.test>`:                         `!`,
		`<a;b@example.test>`:                        `!`,
		`<a,b@example.test>`:                        `!`,
		`<a:b@example.test>`:                        `a:b@example.test`,
		`<<a@example.test>>`:                        `a@example.test`,
		`<a@exa mple.test>`:                         `!`,
		`<a@example..test>`:                         `!`,
		`<a@-example.test>`:                         `!`,
		`<"a"b@example.test>`:                       `!`,
		`<"ab@example.test>`:                        `!`,
		`< a@example.test >`:                        `a@example.test`,
		`<a @example.test>`:                         `a@example.test`,
		`"a b"@example.test`:                        `a b@example.test`,
		`<é@example.test>`:                          `é@example.test`,
		`<a>b@example.test>`:                        `!`,
		`<@a:>`:                                     ``,
		`<a(c)@example.test>`:                       `a@example.test`,
		`<a@example.test(c(d))>`:                    `a@example.test`,
		`<a(c@example.test>`:                        `!`,
		`<a@example.test>>`:                         `a@example.test`,
		`<a]@example.test>`:                         `a]@example.test`,
		"<a\xff@example.test>":                      `!`,
		`<"">`:                                      `!`,
		`<""@example.test>`:                         `@example.test`,
		`<a@[IPv6:::1]>`:                            `a@[IPv6:::1]`,
		`<a@[IPv6:zz]>`:                             `!`,
		`<a[b]@example.test>`:                       `!`,
		`<g:a@example.test;>`:                       `!`, // Postfix takes the group's member
		"<a\x00b@example.test>":                     `!`,
		`<a@` + strings.Repeat("x", 64) + `.test>`:  `!`,
		`<` + strings.Repeat("x", 100) + `@a.test>`: strings.Repeat("x", 100) + `@a.test`,
	} {
		got, err := ParsePath(in, false)
		if err != nil {
			got = "!"
		}
		if string(got) != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	for _, in := range []string{`a@b.test`, `<a(c)@b.test>`, `<a@b.test(c)>`, `<""@b.test>`, `<@b.test>`} {
		if a, err := ParsePath(in, true); err == nil {
			t.Errorf("strict: %s gives %q", in, a)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{`<>`, `<@a,@b:a@c.test>`, `<"a\"b"@c.test>`, `a b`, `<a@[IPv6:::1]>`} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Add(`"0@"`, false)
	f.Fuzz(func(t *testing.T, s string, strict bool) {
		addr, err := ParsePath(s, strict)
		if err != nil {
			return
		}
		if strings.ContainsAny(string(addr), "\x00\r\n") {
			t.Fatalf("%q gives %q", s, addr)
		}
		// What was understood once is understood again in its external form.
		if again, err := ParsePath("<"+addr.Quoted()+">", false); addr.Local() != "" && (err != nil || again != addr) {
			t.Fatalf("%q gives %q, which gives %q, %v", s, addr, again, err)
		}
	})
}

func FuzzCommand(f *testing.F) {
	f.Add("MAIL FROM:<a@b> SIZE=1 RET=FULL ENVID=x ORCPT=rfc822;a NOTIFY=NEVER")
	f.Add("rcpt to: \"a b\"@c X")
	f.Fuzz(func(t *testing.T, line string) {
		verb, args := SplitCommand(line)
		if strings.ContainsAny(verb, " \t") {
			t.Fatalf("verb %q", verb)
		}
		for _, keyword := range []string{"FROM:", "TO:"} {
			path, words, ok := SplitPath(args, keyword)
			if !ok {
				continue
			}
			ParsePath(path, false)
			var m MailParams
			var r RcptParams
			for _, w := range words {
				if m.Set(w) == nil && (m.Size < 0 || strings.ContainsAny(m.EnvID, "\x00\r\n")) {
					t.Fatalf("%q gives %+v", w, m)
				}
				if r.Set(w) == nil && strings.ContainsAny(r.DSNOriginal, "\x00\r\n") {
					t.Fatalf("%q gives %+v", w, r)
				}
			}
		}
		ParseBDAT(args)
	})
}

func TestParams(t *testing.T) {
	for _, c := range []struct {
		param string
		err   error
	}{
		{"SIZE=0", nil}, {"SIZE=9223372036854775807", nil}, {"SIZE=9223372036854775808", ErrParamTooBig},
		{"SIZE=-1", ErrParamSize}, {"SIZE=1e9", ErrParamSize}, {"SIZE", ErrParamUnknown}, {"AUTH=<>", nil}, {"AUTH", ErrParamUnknown},
		{"body=8bitmime", nil}, {"BODY=BINARYMIME", ErrParamUnknown}, {"SMTPUTF8", nil}, {"SMTPUTF8=1", ErrParamUnknown},
		{"RET=hdrs", nil}, {"RET=", ErrParamReturn}, {"ENVID=", ErrParamEnvID}, {"ENVID=a+0Ab", ErrParamEnvID},
		{"BY=10;R", ErrParamUnknown}, {"MT-PRIORITY=3", ErrParamUnknown},
	} {
		var m MailParams
		if err := m.Set(c.param); err != c.err {
			t.Errorf("%s: %v, want %v", c.param, err, c.err)
		}
	}
	var r RcptParams
	if err := errors.Join(r.Set("NOTIFY=success,FAILURE"), r.Set("ORCPT=rfc822;a+2Bb@c")); err != nil ||
		r.Notify != mail.NotifySuccess|mail.NotifyFailure || r.DSNOriginal != "rfc822;a+b@c" {
		t.Errorf("%+v %v", r, err)
	}
}

// TestParamsOnce holds that the parameters of DSN may come once each, as Postfix
// has it.
func TestParamsOnce(t *testing.T) {
	var m MailParams
	var r RcptParams
	for _, c := range []struct {
		set         func(string) error
		param       string
		first, then error
	}{
		{m.Set, "RET=FULL", nil, ErrParamReturn}, {m.Set, "ENVID=x=y", nil, ErrParamEnvID},
		{r.Set, "NOTIFY=SUCCESS,,DELAY", nil, ErrParamNotify}, {r.Set, "ORCPT=a_b;", nil, ErrParamORCPT},
		{r.Set, "NOTIFY=,", ErrParamNotify, ErrParamNotify}, {r.Set, "NOTIFY", ErrParamUnknown, ErrParamUnknown},
		{r.Set, "ORCPT=;x", ErrParamORCPT, ErrParamORCPT}, {r.Set, "ORCPT=a;b+0A", ErrParamORCPT, ErrParamORCPT},
	} {
		if first, then := c.set(c.param), c.set(c.param); first != c.first || then != c.then {
			t.Errorf("%s: %v, %v", c.param, first, then)
		}
	}
}

func TestXtext(t *testing.T) {
	for in, want := range map[string]string{"a+2Bb": "a+b", "a+3D": "a=", "a+": "!", "a+zz": "!", "a b": "!", "a+00": "!", "a=b": "a=b"} {
		got, err := DecodeXtext(in)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	all := "a+b=c é ~"
	if got, err := DecodeXtext(string(AppendXtext(nil, all))); got != all || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestReadCommand(t *testing.T) {
	in := "NOOP\r\nbare\n" + strings.Repeat("x", 100) + "\r\nRSET\r\nhalf"
	for _, src := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
		r := NewReader(src, make([]byte, 32))
		line, end, err := r.ReadCommand()
		if string(line) != "NOOP" || end != CRLF || err != nil {
			t.Fatal(line, end, err)
		}
		if line, end, err = r.ReadCommand(); string(line) != "bare" || end != BareLF || err != nil {
			t.Fatal(line, end, err)
		}
		if _, _, err = r.ReadCommand(); err != ErrLineTooLong {
			t.Fatal(err)
		}
		if line, _, err = r.ReadCommand(); string(line) != "RSET" || err != nil {
			t.Fatal(line, err)
		}
		if _, _, err = r.ReadCommand(); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
	}
}

// endless is a client that never ends its line.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	e.read += len(b)
	return len(b), nil
}

func TestReadCommandBounded(t *testing.T) {
	src := &endless{}
	r := NewReader(src, make([]byte, 2048))
	if _, _, err := r.ReadCommand(); err != ErrLineFlood || src.read > skipLimit+4096 {
		t.Fatalf("%v after %d bytes", err, src.read)
	}
}

func TestReply(t *testing.T) {
	got := string(Reply{Code: 550, Enhanced: "5.1.1", Text: "a\r\n250 b\x1b\x00"}.Append(nil))
	if got != "550 5.1.1 a??250 b??\r\n" {
		t.Errorf("%q", got)
	}
	if got := string(AppendMultiline(nil, 250, []string{"a", "b"})); got != "250-a\r\n250 b\r\n" {
		t.Errorf("%q", got)
	}
	if n := len(Reply{Code: 550, Text: strings.Repeat("x", 1<<20)}.Append(nil)); n > 2100 {
		t.Errorf("reply of %d bytes", n)
	}
}

func TestUse(t *testing.T) {
	small, big := make([]byte, 8), make([]byte, 64)
	r := NewReader(strings.NewReader("abc\r\n0123456789\r\nxy\r\n"), small)
	r.ReadCommand()
	if old, ok := r.Use(big); !ok || &old[0] != &small[0] {
		t.Fatal("not exchanged")
	}
	if line, _, err := r.ReadCommand(); string(line) != "0123456789" || err != nil {
		t.Fatal(string(line), err)
	}
	if _, ok := r.Use(small); !ok || !bytes.Equal(r.Buffered(), []byte("xy\r\n")) {
		t.Fatalf("lost bytes: %q", r.Buffered())
	}
}
