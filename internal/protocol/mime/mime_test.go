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
				t.EndHeader()
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
		{"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=y\n\n--y\nA: b\n\n--x\nC: d\n\n--y\nE: f\n",
			"own own body part part body part part body part part body body"},
	} {
		if got := places(c.message); got != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.message, got, c.want)
		}
	}
}

func TestContentType(t *testing.T) {
	for _, c := range []struct{ field, kind, boundary string }{
		{"Content-Type: text/plain", "text/plain", ""},
		{"Content-Type:", "", ""},
		{"Content-Type", "", ""},
		{"Content-Type: multipart / mixed;\n\tcharset=x; boundary = \"a\\\"b;(c\" (comment; boundary=d)", "multipart/mixed", "a\"b;(c"},
	} {
		if kind, boundary, _ := ContentType([]byte(c.field)); kind != c.kind || boundary != c.boundary {
			t.Errorf("%q: %q %q", c.field, kind, boundary)
		}
	}
}

// However deep a message nests, what is kept of it is bounded.
func TestNesting(t *testing.T) {
	m := NewTracker(Limits{100, 2048})
	for range 1000 {
		m.Field([]byte("Content-Type: multipart/mixed; boundary=x"))
		m.EndHeader()
		m.Line([]byte("--x"))
		m.Field([]byte("Content-Type: message/rfc822"))
		m.EndHeader()
	}
	if len(m.around) > 102 {
		t.Errorf("%d multiparts", len(m.around))
	}
}

func FuzzTracker(f *testing.F) {
	f.Add([]byte("Content-Type: multipart/mixed; boundary=\"x\n\n--x\nA: b\n\n--x--\n"))
	f.Add([]byte("Content-Type: message/rfc822; (\\\n\n\nContent-Type: ;boundary=\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n := strings.Count(places(string(data)), " "); n > bytes.Count(data, []byte("\n")) {
			t.Errorf("%d lines", n)
		}
		Encoding(data)
	})
}
