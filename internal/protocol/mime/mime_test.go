package mime

import (
	"bytes"
	"strings"
	"testing"
)

// places follows a message, a line at a time, and names the place of each line.
func places(message string) string {
	t := NewTracker(Limits{100, 2048})
	var out []string
	header := true
	for line := range strings.Lines(message) {
		line = strings.TrimSuffix(line, "\n")
		at := map[Place]string{Body: "body", PartHeader: "part", NestedHeader: "nested"}[t.Place()]
		if header {
			at = "own"
		}
		out = append(out, at)
		switch {
		case header || t.Place() != Body:
			if line == "" {
				header = false
				t.EndHeader(true)
			} else {
				t.Field([]byte(line))
			}
		default:
			t.Line([]byte(line))
		}
	}
	return strings.Join(out, " ")
}

func TestTracker(t *testing.T) {
	for _, c := range []struct{ message, want string }{
		{"A: b\n\ntext\n--x\n", "own own body body"},
		{"Content-type : Multipart/Mixed (c); Boundary=\"x y\"\n\n--x y\nA: b\n\ntext\n--x y-- \nA: b\n",
			"own own body part part body body body"},
		{"Content-Type: multipart/mixed\n\n--\nA: b\n", "own own body body"},
		{"Content-Type: multipart/mixed; boundary=x\n\n--xy\nA: b\n--x\nB: c\n", "own own body part part part"},
		{"Content-Type: message/rfc822\n\nA: b\n\ntext\n", "own own nested nested body"},
		{"Content-Type: multipart/digest; boundary=x\n\n--x\n\nA: b\n\ntext\n", "own own body part nested nested body"},
		{"Content-Type: multipart/digest; boundary=x\n\n--x\nContent-Type:\n\nA: b\n", "own own body part part body"},
		{"Content-Type: multipart/digest; boundary=x\n\n--x\nContent-Type: \"text/plain\"\n\nA: b\n", "own own body part part nested"},
		{"Content-Type: multipart/mixed; boundary=x\nContent-Type: multipart/mixed; boundary=y\n\n--x\nA: b\n\n--y\nA: b\n",
			"own own own body part part body body"},
		{"Content-Type: multipart/mixed; boundary=x\nContent-Type: message/rfc822\n\nA: b\n\n--x\nA: b\n", "own own own nested nested body part"},
		{"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=y\n\n--y\nA: b\n\n--x\nC: d\n\n--y\nE: f\n",
			"own own body part part body part part body part part body body"},
	} {
		if got := places(c.message); got != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.message, got, c.want)
		}
	}
}

// However deep a message nests, what is kept of it is bounded.
func TestNesting(t *testing.T) {
	m := NewTracker(Limits{100, 2048})
	for range 1000 {
		m.Field([]byte("Content-Type: multipart/mixed; boundary=x"))
		m.EndHeader(true)
		m.Line([]byte("--x"))
		m.Field([]byte("Content-Type: message/rfc822"))
		m.EndHeader(true)
	}
	if len(m.around) > 102 {
		t.Errorf("%d multiparts", len(m.around))
	}
}

// encodings follows a message, a line at a time, and tells of each line of a body
// whether it has to be 7-bit text, and of each header what encoding is wrong in it.
func encodings(message string) string {
	t := NewTracker(Limits{100, 2048})
	var out []string
	header := true
	for line := range strings.Lines(message) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case !header && t.Place() == Body:
			out = append(out, map[bool]string{true: "7", false: "8"}[t.SevenBit()])
			t.Line([]byte(line))
		case line == "" || !strings.Contains(line, ":"):
			header = false
			if wrong := t.EndHeader(line == ""); wrong != "" {
				out = append(out, wrong)
			}
			if line != "" {
				out = append(out, map[bool]string{true: "7", false: "8"}[t.SevenBit()])
				t.Line([]byte(line))
			}
		default:
			t.Field([]byte(line))
		}
	}
	return strings.Join(out, " ")
}

func TestEncodings(t *testing.T) {
	const cte, multipart = "Content-Transfer-Encoding: ", "Content-Type: multipart/mixed; boundary=x\n"
	for _, c := range []struct{ message, want string }{
		{"A: b\n\ntext\n", "7"},
		{cte + "8bit\n\ntext\n", "8"},
		{cte + "Binary (c)\n\ntext\n", "8"},
		{cte + "base64\n\ntext\n", "8"},
		{cte + "7BIT\n\ntext\n", "7"},
		{cte + "x-other\n\ntext\n", "7"},
		{cte + "8bit\n" + cte + "x-other\n\ntext\n", "8"},
		{cte + "8bit\n" + cte + "7bit\n\ntext\n", "7"},
		// A multipart of whatever encoding: only its parts may be 8-bit text.
		{multipart + cte + "8bit\n\npre\n--x\n" + cte + "8bit\n\ntext\n--x\n\ntext\n--x--\nepilogue\n", "7 7 8 8 7 7 7"},
		{multipart + cte + "8bit\n\n--x\n" + cte + "8bit\n\n1\n2\n--x--\nepilogue\n", "7 8 8 8 7"},
		{"Content-Type: multipart/mixed\n" + cte + "8bit\n\ntext\n", "7"},
		{"Content-Type: message/rfc822\n" + cte + "8bit\n\nA: b\n\ntext\n", "7"},
		{"Content-Type: message/rfc822\n\n" + cte + "8bit\n\ntext\n", "8"},
		// Without an empty line it is text as declared, as far as a delimiter.
		{multipart + cte + "8bit\ntext\n\n--x\ntext\n", "8 8 8 7"},
		{multipart + cte + "8bit\n--x--\ntext\n", "8 7"},
		{"Content-Type: message/rfc822\n" + cte + "binary\ntext\nA: b\n\ntext\n", "8 8 8 8"},
		{multipart + cte + "base64\n--x\n", "base64 8"},
		{multipart + cte + "base64\n\n", "base64"},
		{"Content-Type: multipart\n" + cte + "quoted-printable\n\n", "quoted-printable"},
		{"Content-Type: message/rfc822\n" + cte + "BASE64\n\n", "base64"},
		{"Content-Type: message/rfc822\n" + cte + "binary\n\n", ""},
		{"Content-Type: message/partial\n" + cte + "8bit\n\n", "8bit"},
		{"Content-Type: message/external-body\n" + cte + "binary\n\n", "binary"},
		{"Content-Type: message/partial\n" + cte + "base64\n\n", ""},
		{"Content-Type: message/global\n" + cte + "base64\n\n", ""},
		{"Content-Type: message/delivery-status\n" + cte + "base64\n\n", ""},
		{"Content-Type: text/plain\n" + cte + "base64\n\n", ""},
		{"Content-Type: multipart/digest; boundary=x\n\n--x\n" + cte + "base64\n\n", "7 base64"},
		{"Content-Type: multipart/digest; boundary=x\n\n--x\nContent-Type: text/plain\n" + cte + "base64\n\n", "7"},
		{"Content-Type: message/rfc822\nContent-Type: text/plain\n" + cte + "base64\n\n", ""},
	} {
		if got := encodings(c.message); got != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.message, got, c.want)
		}
	}
}

func FuzzTracker(f *testing.F) {
	f.Add([]byte("Content-Type: multipart/mixed; boundary=\"x\n\n--x\nA: b\n\n--x--\n"))
	f.Add([]byte("Content-Type: message/rfc822; (\\\n\n\nContent-Type: ;boundary=\n"))
	f.Add([]byte("Content-Type: message/partial\nContent-Transfer-Encoding: (a) 8bit.\n\n\xff\n"))
	f.Add([]byte("Content-Type: multipart;boundary=\"\";boundary=x\nContent-Transfer-Encoding: base64\n\n----\n--\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n := strings.Count(places(string(data)), " "); n > bytes.Count(data, []byte("\n")) {
			t.Errorf("%d lines", n)
		}
		for _, word := range strings.Fields(encodings(string(data))) {
			switch word {
			case "7", "8", "8bit", "binary", "base64", "quoted-printable":
			default:
				t.Errorf("encoding %q", word)
			}
		}
		if typ, ok := ContentType(data); ok && !strings.Contains(typ.Kind, "/") {
			t.Errorf("type %q", typ.Kind)
		}
	})
}
