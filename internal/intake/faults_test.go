package intake_test

import (
	"context"
	"strings"
	"testing"

	"posthaste/internal/intake"
	"posthaste/internal/mail"
)

const strict = "strict_8bitmime = yes\nstrict_mime_encoding_domain = yes\nmime_nesting_limit = 1\n"

// deep is a message whose multiparts are nested one deeper than strict allows.
var deep = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n" +
	"Content-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: multipart/mixed; boundary=d\n\n--d\nX: ä\n"

// TestFaults has what scenarios cannot say: which options turn the strictness off,
// and what lines longer than line_length_limit do.
func TestFaults(t *testing.T) {
	const header, body = "improper use of 8-bit data in message header", "improper use of 8-bit data in message body"
	const inDelimiter = "Content-Type: multipart/mixed; boundary=a\n\n--a%\nX: ä\n\ntext\n"
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name, main, content string
		options             intake.Options
		want                string // empty: taken
	}{
		{"header", strict, "X: ä\n\ntext\n", intake.Options{}, header},
		{"no checks", strict, "X: ä\n\nä\n", intake.Options{NoHeaderBodyChecks: true}, ""},
		{"of our own", strict, "X: ä\n\nä\n", intake.Options{Internal: true}, ""},
		{"no MIME", strict + "disable_mime_input_processing = yes\n", "X: ä\n\nä\n", intake.Options{}, ""},
		{"off", "mime_nesting_limit = 1\n", deep, intake.Options{}, ""},
		{"deep", "mime_nesting_limit = 1\nmime_header_checks = static:DUNNO\n", deep, intake.Options{}, "MIME nesting exceeds safety limit"},
		{"deep, body_checks", "mime_nesting_limit = 1\nbody_checks = static:DUNNO\n", deep, intake.Options{}, ""},
		{"deep, no checks", strict, deep, intake.Options{NoHeaderBodyChecks: true}, ""},
		{"late in a long line", strict, "X: a\n\n" + long + "ä\n", intake.Options{}, body},
		{"late in a long header", strict, "X: " + long + "ä\n\ntext\n", intake.Options{}, header},
		{"behind a NUL", strict, "X: a\x00ä\n\ntext\n", intake.Options{}, header},
		{"below a long delimiter", strict, strings.Replace(inDelimiter, "%", long, 1), intake.Options{}, header},
		{"late in a long delimiter", strict, strings.Replace(inDelimiter, "%", long+"ä", 1), intake.Options{}, header},
		{"no body", strict, "X: a\nContent-Type: multipart/mixed\nContent-Transfer-Encoding: base64", intake.Options{},
			"invalid message/* or multipart/* encoding domain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			door, q, log := setup(t, c.main, nil)
			_, err := send(door.With(c.options), remote("joe@far.test"), c.content, mail.Recipient{Address: "ann@example.com"})
			switch {
			case c.want == "" && (err != nil || !q.last.committed):
				t.Errorf("not taken: %v", err)
			case c.want == "":
			case err == nil || err.Error() != "550 5.6.0 "+c.want:
				t.Errorf("error %v, want %s", err, c.want)
			case !strings.Contains(strings.Join(log.lines, "\n"), "reject: mime-error "+c.want+": "):
				t.Errorf("log %q", log.lines)
			}
			if c.want != "" && q.last.committed {
				t.Error("taken")
			}
			if c.want == "" && strings.Contains(strings.Join(log.lines, "\n"), "mime-error") {
				t.Errorf("log %q", log.lines)
			}
		})
	}
}

// TestLongDelimiter keeps a delimiter whole that is longer than line_length_limit.
func TestLongDelimiter(t *testing.T) {
	text := "Content-Type: multipart/mixed; boundary=a\n\n--a" + strings.Repeat("x", 5000) + "\nX: b\n\ntext\n"
	door, q, _ := setup(t, "mime_header_checks = static:IGNORE\n", nil)
	if _, err := send(door, remote("joe@far.test"), text, mail.Recipient{Address: "ann@example.com"}); err != nil {
		t.Fatal(err)
	}
	if got := content(t, q.last); !strings.HasSuffix(got, strings.Replace(text, "X: b\n", "", 1)) {
		t.Errorf("content\n%s", got)
	}
}

// FuzzFaults gives the door content in pieces of any size. Content without 8-bit
// bytes is never refused for any, and what is taken has none that was not declared.
func FuzzFaults(f *testing.F) {
	for _, text := range []string{deep, "X: ä\n\nä\n", "Content-Type: multipart/mixed; boundary=a\n\n--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nX: ä\n",
		"Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\nno header\n"} {
		f.Add([]byte(text), byte(7))
	}
	door, _, log := setup(f, strict+"line_length_limit = 16\n", nil)
	f.Fuzz(func(t *testing.T, data []byte, size byte) {
		log.lines = nil
		ctx := context.Background()
		m, err := door.Open(ctx, remote("joe@far.test"))
		if err != nil {
			t.Fatal(err)
		}
		m.Recipient(ctx, mail.Recipient{Address: "ann@example.com"})
		eightBit, declared := false, strings.Contains(strings.ToLower(string(data)), "content-transfer-encoding")
		for _, c := range data {
			eightBit = eightBit || c >= 0x80
		}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSuffix(line, "\n")
			for n := int(size); n > 0 && len(line) > n; line = line[n:] {
				m.Fragment([]byte(line[:n]))
			}
			m.Line([]byte(line))
		}
		err = m.Commit(ctx)
		switch {
		case err == nil && eightBit && !declared:
			t.Errorf("taken: %q", data)
		case err != nil && !eightBit && strings.Contains(err.Error(), "8-bit"):
			t.Errorf("%v: %q", err, data)
		}
	})
}
