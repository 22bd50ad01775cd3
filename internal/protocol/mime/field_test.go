package mime

import (
	"strings"
	"testing"
)

func TestContentType(t *testing.T) {
	for _, c := range []struct{ field, kind, boundaries string }{
		{"Content-Type: text/plain", "text/plain", ""},
		{"Content-Type", "none", ""},
		{"Content-Type:", "/", ""},
		{"Content-Type: ;text/plain", "/", ""},
		{"Content-Type: \"text/plain\"", "none", ""},
		{"Content-Type: multipart / mixed;\n\tcharset=x; boundary = \"a\\\"b;(c\" (comment; boundary=d)", "multipart/mixed", "a\"b;(c"},
		{"Content-Type: (a (b\\) ;) c) Multipart/Mixed", "multipart/mixed", ""},
		{"Content-Type: multipart/mixed (no end; boundary=a", "multipart/mixed", ""},
		{"Content-Type: multipart; boundary=a", "multipart/", "a"},
		{"Content-Type: multipart/mixed boundary=a", "multipart/mixed", ""},
		{"Content-Type: multipart/mixed, boundary=a", "multipart/mixed", ""},
		{"Content-Type: multipart.mixed; boundary=a", "multipart.mixed/", "a"},
		{"Content-Type: multi(c)part/mixed", "multi/", ""},
		{"Content-Type: multipart/\"mixed\"; boundary=a", "multipart/", "a"},
		{"Content-Type: multipart/mixed; boundary=a/b", "multipart/mixed", "a"},
		{"Content-Type: multipart/mixed; boundary=\"a", "multipart/mixed", "a"},
		{"Content-Type: multipart/mixed; boundary=\" a\n b \"", "multipart/mixed", " a b "},
		{"Content-Type: multipart/mixed; boundary=\"\"; BOUNDARY=a; boundary=", "multipart/mixed", ",a"},
		{"Content-Type: multipart/mixed; x=y boundary=a; boundary*=b; boundary=@", "multipart/mixed", ""},
		{"Content-Type: message/rfc822\x01", "message/rfc822", ""},
		{"Content-Type: message/rfc822.x", "message/rfc822.x", ""},
		{"Content-Type: message//rfc822", "message/", ""},
		{"Content-Type: text/plain\x00; boundary=a", "text/plain", ""},
	} {
		typ, ok := ContentType([]byte(c.field))
		if !ok {
			typ.Kind = "none"
		}
		if got := strings.Join(typ.Boundaries, ","); typ.Kind != c.kind || got != c.boundaries {
			t.Errorf("%q: %q %q", c.field, typ.Kind, got)
		}
	}
}

// What Postfix 3.7 takes for 8bit: the first word, which ends at a blank, a control
// character or one of the specials of RFC 822.
func TestEncoding(t *testing.T) {
	for _, value := range []string{"8bit", " 8BIT ", "\n 8bit\n x", "8bit;a=b", "8bit (c)", "(c) 8bit", "(a\\)b(c))8bit", "8bit(a", "8bit,7bit",
		"8bit.", "8bit]", "8bit\\", "8bit@", "8bit\"a\"", "8bit\x7f"} {
		if got := Encoding([]byte("Content-Transfer-Encoding:" + value)); got != "8bit" {
			t.Errorf("%q: %q", value, got)
		}
	}
	for _, value := range []string{"", "(a)", "\"8bit\"", "8 bit", "8\\bit", "8bit/", "8bit=", "8bit?", "8bit{", "8bit-", "8bit\xc3\xa4", "=8bit", ".8bit",
		";8bit", "[8bit]", "\x018bit", "(8bit"} {
		if got := Encoding([]byte("Content-Transfer-Encoding:" + value)); got == "8bit" {
			t.Errorf("%q: %q", value, got)
		}
	}
}
