package smtp

import "strconv"

// Reply is the answer to a command. Enhanced may be empty. Text is one line;
// Close says that the connection ends after it.
type Reply struct {
	Code     int
	Enhanced string
	Text     string
	Close    bool
}

// maxReplyText keeps a reply line within RFC 5321 section 4.5.3.1.5 with room
// for what some clients add when they show it.
const maxReplyText = 2000

// Append adds the reply as wire bytes. Control bytes in the text, which may
// stem from a client or a table, become '?', so that one reply stays one line.
func (r Reply) Append(b []byte) []byte {
	b = strconv.AppendInt(b, int64(r.Code), 10)
	b = append(b, ' ')
	if r.Enhanced != "" {
		b = append(b, r.Enhanced...)
		b = append(b, ' ')
	}
	return append(appendText(b, r.Text), '\r', '\n')
}

// AppendMultiline adds a multi-line reply (RFC 5321 section 4.2.1).
func AppendMultiline(b []byte, code int, lines []string) []byte {
	for i, l := range lines {
		b = strconv.AppendInt(b, int64(code), 10)
		if i < len(lines)-1 {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		b = append(appendText(b, l), '\r', '\n')
	}
	return b
}

// String is the reply without line end, as log lines show it.
func (r Reply) String() string {
	b := r.Append(nil)
	return string(b[:len(b)-2])
}

func appendText(b []byte, text string) []byte {
	for i := 0; i < len(text) && i < maxReplyText; i++ {
		c := text[i]
		if c < ' ' || c == 0x7f {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}
