package command

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"posthaste/internal/queue/record"
)

// buffer is a file in memory that is written in order.
type buffer struct{ bytes.Buffer }

func (b *buffer) WriteAt(p []byte, _ int64) (int, error) { return b.Write(p) }

// readMessage runs input through a messageReader and returns the text of its
// records, one a line, `\` at the end of a fragment, and the recipients found.
func readMessage(t *testing.T, input string, m messageReader) (string, []string) {
	t.Helper()
	var out buffer
	m.in = bufio.NewReader(strings.NewReader(input))
	m.w = record.NewMaildropWriter(&out)
	if m.limit == 0 {
		m.limit = 2048
	}
	if m.endings == "" {
		m.endings = "always"
	}
	if err := m.read(); err != nil {
		t.Fatal(err)
	}
	if err := m.w.End(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	in := record.NewStream(&out, 1<<20)
	for {
		rec, err := in.Next()
		if err != nil {
			t.Fatal(err)
		}
		switch rec.Type {
		case record.End:
			var to []string
			for _, a := range m.recipients() {
				to = append(to, string(a))
			}
			return text.String(), to
		case record.Text:
			fmt.Fprintf(&text, "%s\n", rec.Data)
		default:
			fmt.Fprintf(&text, "%s\\\n", rec.Data)
		}
	}
}

// TestReadMessage has what the real sendmail made of the same input.
func TestReadMessage(t *testing.T) {
	for _, c := range []struct {
		in     string
		reader messageReader
		text   string
		to     string
	}{
		{in: "From x\n>From y\nTo: a\n", reader: messageReader{extract: true}, text: "To: a\n", to: "[a]"},
		{in: "bad\nTo: x\n", reader: messageReader{extract: true}, text: "\nbad\nTo: x\n", to: "[]"},
		{in: " lead\nTo: x\n", reader: messageReader{extract: true}, text: "\n lead\nTo: x\n", to: "[]"},
		{in: "To: x\n\ty z\n\r\nTo: w\n", reader: messageReader{extract: true}, text: "To: x\n\ty z\n\nTo: w\n", to: "[x y z]"},
		{in: "To: x\nResent-To:\n\n", reader: messageReader{extract: true}, text: "To: x\nResent-To:\n\n", to: "[]"},
		{in: "a\n.\r\nb\n", text: "a\n"},
		{in: "a\n.", text: "a\n"},
		{in: "To: <>, x@y, ,\n\n", reader: messageReader{extract: true}, text: "To: <>, x@y, ,\n\n", to: "[x@y]"},
		{in: "a\n.\nb", reader: messageReader{allDots: true}, text: "a\n.\nb\\\n"},
		{in: "a\rb\r\n", text: "a\rb\n"},
		{in: "a\r\nb\n", reader: messageReader{endings: "never"}, text: "a\r\nb\n"},
		{in: "a\r\nb\r\n", reader: messageReader{endings: "strict"}, text: "a\nb\n"},
		{in: "a\nb\r\n", reader: messageReader{endings: "strict"}, text: "a\nb\r\n"},
		{in: "h\x00i\n", text: "h\x00i\n"},
		{in: "123456789\n.\n", reader: messageReader{limit: 4}, text: "1234\\\n5678\\\n9\n"},
		{in: "", text: ""},
	} {
		text, to := readMessage(t, c.in, c.reader)
		if text != c.text || c.to != "" && fmt.Sprint(to) != c.to {
			t.Errorf("%q: %q %v, want %q %s", c.in, text, to, c.text, c.to)
		}
	}
}

// TestManyRecipients is -t with a header of 100,000 addresses.
func TestManyRecipients(t *testing.T) {
	const n = 100_000
	var b strings.Builder
	b.WriteString("To: u0@x.test")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, ",\n u%d@x.test", i)
	}
	b.WriteString("\n\ntext\n")
	_, to := readMessage(t, b.String(), messageReader{extract: true})
	if len(to) != n || to[n-1] != fmt.Sprintf("u%d@x.test", n-1) {
		t.Errorf("%d recipients", len(to))
	}
}
