package smtp

import (
	"bytes"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"

	"posthaste/internal/protocol/mime"

	"posthaste/internal/mail"
)

// collector is the end of a chain of line writers.
type collector struct{ b bytes.Buffer }

func (c *collector) Write(part []byte, complete bool) error {
	c.b.Write(part)
	if complete {
		c.b.WriteByte('\n')
	}
	return nil
}

func (c *collector) End() error { return nil }

// convert runs text through the downgrader; lines longer than step come in
// pieces.
func convert(text string, step int) string {
	var c collector
	d := newDowngrader(&c, mime.Limits{Nesting: 100, Boundary: 2048})
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		for len(line) > step {
			d.Write([]byte(line[:step]), false)
			line = line[step:]
		}
		d.Write([]byte(line), true)
	}
	d.End()
	return c.b.String()
}

func TestDowngrade(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"7bit is left alone", "Subject: x\nContent-Transfer-Encoding: 7bit\n\ncafé = \n", "Subject: x\nContent-Transfer-Encoding: 7bit\n\ncafé = \n"},
		{"no MIME", "Subject: x\n\ncafé\n", "Subject: x\n\ncafé\n"},
		{"text", "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\nSubject: x\n\ncafé = a \n\t\n.\n",
			"Content-Type: text/plain; charset=utf-8\nSubject: x\nContent-Transfer-Encoding: quoted-printable\n\ncaf=C3=A9 =3D a=20\n=09\n.\n"},
		{"folded field", "content-transfer-encoding:\n  8BIT (yes)\nA: b\n\né\n", "A: b\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A9\n"},
		{"folded field stays", "Content-Transfer-Encoding:\n base64\nA: b\n\né\n", "Content-Transfer-Encoding:\n base64\nA: b\n\né\n"},
		{"long line", "Content-Transfer-Encoding: binary\n\n" + strings.Repeat("x", 80) + "\n",
			"Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("x", 73) + "=\n" + strings.Repeat("x", 7) + "\n"},
		{"header only", "Content-Transfer-Encoding: 7bit\n", "Content-Transfer-Encoding: 7bit\n"},
		{"no empty line", "Content-Transfer-Encoding: 8bit\nfoo é\n", "Content-Transfer-Encoding: quoted-printable\n\nfoo =C3=A9\n"},
		{"multipart", `Content-Type: multipart/mixed; boundary="a\"b (x)"
Content-Transfer-Encoding: 8bit

preamble é
--a"b (x)
Content-Type: text/plain
Content-Transfer-Encoding: 8bit

é
--a"b (x)

plain é
--a"b (x)  
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: inner
Content-Type: Multipart/Alternative;
	boundary=in

--in
Content-Transfer-Encoding: 8bit

é
--in--
--a"b (x)--
epilogue é
--in
Content-Transfer-Encoding: 8bit

é
`, `Content-Type: multipart/mixed; boundary="a\"b (x)"
Content-Transfer-Encoding: 7bit

preamble é
--a"b (x)
Content-Type: text/plain
Content-Transfer-Encoding: quoted-printable

=C3=A9
--a"b (x)

plain é
--a"b (x)  
Content-Type: message/rfc822
Content-Transfer-Encoding: 7bit

Subject: inner
Content-Type: Multipart/Alternative;
	boundary=in

--in
Content-Transfer-Encoding: quoted-printable

=C3=A9
--in--
--a"b (x)--
epilogue é
--in
Content-Transfer-Encoding: 8bit

é
`},
		{"digest", "Content-Type: multipart/digest; boundary=d\n\n--d\n\nContent-Transfer-Encoding: 8bit\n\né\n--d--\n",
			"Content-Type: multipart/digest; boundary=d\n\n--d\n\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A9\n--d--\n"},
	}
	for _, tt := range tests {
		for _, step := range []int{1000, 40} {
			if got := convert(tt.in, step); got != tt.want {
				t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
			}
		}
	}
}

// FuzzDowngrade checks that a converted text decodes to what it was, and that
// any content comes out in bounded time.
func FuzzDowngrade(f *testing.F) {
	f.Add("é = \n\t\n.\n", 10)
	f.Add("--a\n\n--a--\n", 1)
	f.Fuzz(func(t *testing.T, body string, step int) {
		body = strings.ReplaceAll(body, "\r", "")
		step = step&1023 + 100
		convert(body, step)
		convert("Content-Type: multipart/mixed; boundary=a\n\n--a\n"+body, step)
		if body == "" {
			return
		}
		out := convert("Content-Transfer-Encoding: 8bit\n\n"+body, step)
		_, text, _ := strings.Cut(out, "\n\n")
		for line := range strings.SplitSeq(text, "\n") {
			if len(line) > 76 || !mail.IsASCII(line) {
				t.Fatalf("encoded line %q", line)
			}
		}
		back, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(text)))
		if want := strings.TrimSuffix(body, "\n") + "\n"; err != nil || string(back) != want {
			t.Fatalf("decodes to %q, error %v; want %q", back, err, want)
		}
	})
}

func TestConversionForOldServer(t *testing.T) {
	t.Parallel()
	lines := []string{"Content-Transfer-Encoding: 8bit", "", "é"}
	for _, tt := range []struct {
		ehlo string
		off  bool
		want string
	}{
		{"250 mx\r\n", false, "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9\r\n"},
		{"250 mx\r\n", true, "Content-Transfer-Encoding: 8bit\r\n\r\né\r\n"},
		{"250-mx\r\n250 8BITMIME\r\n", false, "Content-Transfer-Encoding: 8bit\r\n\r\né\r\n"},
	} {
		srv := serve(t, "", map[string][]string{"EHLO": {tt.ehlo}})
		p := params()
		p.NoConversion = tt.off
		a := newSetup(t, p, nil, false)
		r := request(t, srv.addr.String(), "a@b.test")
		r.Envelope.Encoding, r.Content = mail.Encoding8Bit, content(t, lines...)
		a.results(t, r)
		commands, messages, _ := srv.said()
		if len(messages) != 1 || messages[0] != tt.want || strings.Contains(commands[1], "BODY=8BITMIME") != strings.Contains(tt.ehlo, "8BITMIME") {
			t.Errorf("%q: got %q, %q", tt.ehlo, commands, messages)
		}
	}
}
