package smtp

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestDataEnd is the table of ways to end data (security catalogue B.1).
func TestDataEnd(t *testing.T) {
	const normalize, allow = BareLFNormalize, BareLFAllow
	for _, c := range []struct {
		seq                 string
		endNormal, endAllow bool
	}{
		{"\r\n.\r\n", true, true},
		{"\n.\n", false, true},
		{"\n.\r\n", false, true},
		{"\r\n.\n", false, true},
		{"\n.\r", false, false}, {"\r.\n", false, false}, {"\r.\r", false, false}, {"\r.\r\n", false, false},
		{"\r\n.\r\r\n", false, false},
		{"\r\r\n.\r\n", true, true},
		{"\r\n\x00.\r\n", false, false}, {"\r\n.\x00\r\n", false, false},
		{"\u0085.\u0085", false, false}, {"\u2028.\u2028", false, false}, {"\v.\v", false, false}, {"\f.\f", false, false}, {"\x1c.\x1c", false, false},
		{"\r\n..\r\n", false, false},
		{strings.Repeat("A", 2048) + ".\r\n", false, false},
	} {
		for _, policy := range []BareLFPolicy{normalize, allow} {
			want := c.endNormal
			if policy == allow {
				want = c.endAllow
			}
			in := "text" + c.seq + "MAIL FROM:<evil>\r\n.\r\nrest"
			_, rest, err := decodeData(strings.NewReader(in), policy, 2048)
			if err != nil {
				t.Fatal(err)
			}
			if ended := rest != "rest"; ended != want {
				t.Errorf("%q, policy %d: ended early = %v", c.seq, policy, ended)
			}
		}
	}
}

func TestDataContent(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{".\r\n", ""},
		{"a\r\n.\r\n", "[a]"},
		{"..\r\n...a\r\n.b\r\n.\r\n", "[.][..a][b]"},
		{"a\n.\nb\r\n.\r\n", "[a][b]"},
		{"a\r\r\nb\rc\r\n.\r\n", "[a\r][b\rc]"},
		{"0123456789abc\r\n.\r\n", "(01234567)[89abc]"},
		{"01234567\r\n.\r\n", "[01234567]"},
		{"01234567.\r\n.\r\n", "(01234567)[.]"},
		{".01234567\r\n.\r\n", "(0123456)[7]"},
	} {
		got, _, err := decodeData(strings.NewReader(c.in), BareLFNormalize, 8)
		if err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.in, got, err, c.want)
		}
	}
	if _, _, err := decodeData(strings.NewReader("a\r\n.\r"), BareLFNormalize, 8); err != io.ErrUnexpectedEOF {
		t.Errorf("cut off: %v", err)
	}
}

// decodeData shows lines as [line] and pieces as (piece), and what follows.
func decodeData(src io.Reader, policy BareLFPolicy, limit int) (got, rest string, err error) {
	in := NewReader(src, make([]byte, limit+7))
	d := NewDataReader(in, policy, limit)
	got, err = collect(d.Next)
	var b strings.Builder
	for err == nil {
		b.Write(in.Buffered())
		in.r = in.w
		if in.Fill() != nil {
			break
		}
	}
	return got, b.String(), err
}

func collect(next func() ([]byte, bool, error)) (string, error) {
	var b strings.Builder
	for {
		text, whole, err := next()
		switch {
		case err == io.EOF:
			return b.String(), nil
		case err != nil:
			return b.String(), err
		case whole:
			fmt.Fprintf(&b, "[%s]", text)
		default:
			fmt.Fprintf(&b, "(%s)", text)
		}
	}
}

// slowData is DATA decoding as the table says it, a byte at a time.
func slowData(in string, policy BareLFPolicy, limit int) (got, rest string, ok bool) {
	var b strings.Builder
	prev := "\r\n"
	for len(in) > 0 {
		i := strings.IndexByte(in, '\n')
		if i < 0 {
			return b.String(), "", false
		}
		line, end := in[:i], "\n"
		if strings.HasSuffix(line, "\r") {
			line, end = line[:i-1], "\r\n"
		}
		in = in[i+1:]
		if line == "." {
			if policy == BareLFAllow || prev == "\r\n" && end == "\r\n" {
				return b.String(), in, true
			}
			prev = end
			continue
		}
		prev = end
		first := true
		for len(line) > limit {
			piece := line[:limit]
			line = line[limit:]
			if first {
				piece = strings.TrimPrefix(piece, ".")
			}
			first = false
			b.WriteString("(" + piece + ")")
		}
		if first {
			line = strings.TrimPrefix(line, ".")
		}
		b.WriteString("[" + line + "]")
	}
	return b.String(), "", false
}

func FuzzData(f *testing.F) {
	for _, s := range []string{"a\r\n.\r\nb", "\n.\n", "..\r\n.\r\n", "0123456789\r\n.\r\n", "0123456\r\r\n.\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, policy := range []BareLFPolicy{BareLFAllow, BareLFNormalize} {
			want, rest, ok := slowData(string(in), policy, 8)
			for name, src := range map[string]io.Reader{
				"whole": bytes.NewReader(in), "bytes": iotest.OneByteReader(bytes.NewReader(in)), "halves": iotest.HalfReader(bytes.NewReader(in)),
			} {
				got, after, err := decodeData(src, policy, 8)
				if ok != (err == nil) || ok && (got != want || after != rest) {
					t.Fatalf("%q, %s, policy %d: got %q rest %q (%v), want %q rest %q (%v)", in, name, policy, got, after, err, want, rest, ok)
				}
			}
		}
	})
}

func TestParseBDAT(t *testing.T) {
	for in, ok := range map[string]bool{
		"0": true, "5 LAST": true, "5 last": true, "": false, "-1": false, "+1": false, "1 LAST X": false,
		"1 FOO": false, "9223372036854775808": false, "0x10": false,
	} {
		if _, _, err := ParseBDAT(in); (err == nil) != ok {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// FuzzBDAT cuts content into chunks: the lines do not depend on where.
func FuzzBDAT(f *testing.F) {
	f.Add([]byte("a\r\nb\nc"), uint8(1), uint8(2))
	f.Add([]byte("0123456789\r\n.\r\n"), uint8(9), uint8(3))
	f.Add([]byte("01234567\r\n"), uint8(9), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, a, b uint8) {
		want, err := decodeChunks(in, bytes.NewReader(append(in, "NEXT"...)), []int{len(in)})
		if err != nil {
			t.Fatal(err)
		}
		x := min(int(a), len(in))
		y := min(int(b), len(in)-x)
		cuts := []int{x, y, len(in) - x - y}
		for name, src := range map[string]io.Reader{
			"whole": bytes.NewReader(append(in, "NEXT"...)), "bytes": iotest.OneByteReader(bytes.NewReader(append(in, "NEXT"...))),
		} {
			got, err := decodeChunks(in, src, cuts)
			if err != nil || got != want {
				t.Fatalf("%q cut %v, %s: got %q, %v; want %q", in, cuts, name, got, err, want)
			}
		}
	})
}

func decodeChunks(in []byte, src io.Reader, sizes []int) (string, error) {
	r := NewReader(src, make([]byte, 8+7))
	c := NewChunkReader(r, 8)
	all := ""
	for i, n := range sizes {
		c.Begin(int64(n), i == len(sizes)-1)
		got, err := collect(c.Next)
		if err != nil {
			return "", err
		}
		all += got
	}
	for len(r.Buffered()) < 4 {
		if err := r.Fill(); err != nil {
			return "", fmt.Errorf("out of step: %w, rest %q", err, r.Buffered())
		}
	}
	if s := string(r.Buffered()); s != "NEXT" {
		return "", fmt.Errorf("out of step: %q", s)
	}
	return all, nil
}
