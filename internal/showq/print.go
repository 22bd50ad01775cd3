package showq

import (
	"bufio"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Text prints a listing as mailq(1) does. Finish prints the summary.
type Text struct {
	out      *bufio.Writer
	wide     bool // long queue ids
	messages int64
	bytes    int64
	reason   string // the last that was printed for this message
}

// NewText makes a printer; long tells whether queue ids are long
// (enable_long_queue_ids), which makes the columns wider.
func NewText(out *bufio.Writer, long bool) *Text { return &Text{out: out, wide: long} }

func (t *Text) line(id, size, at, text string) error {
	format := "%-11s %7s %-20s %s\n"
	if t.wide {
		format = "%-17s %8s %-19s %s\n"
	}
	_, err := fmt.Fprintf(t.out, format, id, size, at, text)
	return err
}

// Message prints the line of a message.
func (t *Text) Message(h Head) error {
	if t.messages == 0 {
		title := [...]string{"-Queue ID-", "--Size--", "----Arrival Time----", "-Sender/Recipient-------"}
		if t.wide {
			title = [...]string{"----Queue ID-----", "--Size--", "---Arrival Time----", "--Sender/Recipient------"}
		}
		if err := t.line(title[0], title[1], title[2], title[3]); err != nil {
			return err
		}
	} else if err := t.out.WriteByte('\n'); err != nil {
		return err
	}
	t.messages++
	t.bytes += h.Size
	t.reason = ""
	mark := ""
	switch h.Queue {
	case "active":
		mark = "*"
	case "hold":
		mark = "!"
	}
	if h.Expired {
		mark += "#"
	}
	at := h.Arrival.Format("Mon Jan _2 15:04:05")
	if !t.wide {
		at += " "
	}
	return t.line(h.ID+mark, fmt.Sprint(h.Size), at, h.Sender)
}

// reasonEnd is the column in which reasons end, when they are short enough.
const reasonEnd = 76

// Recipient prints a recipient, below the reason unless that is the same as
// for the one before.
func (t *Text) Recipient(address, reason string) error {
	if reason != t.reason {
		t.reason = reason
		if reason == "" {
			reason = "reason unavailable" // or that of the one before would seem to be it
		}
		if _, err := fmt.Fprintf(t.out, "%*s(%s)\n", max(reasonEnd-len(reason), 0), "", reason); err != nil {
			return err
		}
	}
	return t.line("", "", "", address)
}

// MessageEnd prints nothing.
func (t *Text) MessageEnd() error { return nil }

// Finish prints the summary.
func (t *Text) Finish() error {
	if t.messages == 0 {
		fmt.Fprintln(t.out, "Mail queue is empty")
	} else {
		plural := "s"
		if t.messages == 1 {
			plural = ""
		}
		fmt.Fprintf(t.out, "\n-- %d Kbytes in %d Request%s.\n", t.bytes/1024, t.messages, plural)
	}
	return t.out.Flush()
}

// JSON prints one object per message and line (postqueue -j).
type JSON struct {
	out   *bufio.Writer
	buf   []byte
	first bool // no recipient yet
}

// NewJSON makes a printer.
func NewJSON(out *bufio.Writer) *JSON { return &JSON{out: out} }

// Message prints the beginning of an object.
func (j *JSON) Message(h Head) error {
	j.first = true
	b := append(j.buf[:0], `{"queue_name": `...)
	b = quoteJSON(b, h.Queue)
	b = append(b, `, "queue_id": `...)
	b = quoteJSON(b, h.ID)
	b = append(b, `, "arrival_time": `...)
	b = strconv.AppendInt(b, h.Arrival.Unix(), 10)
	b = append(b, `, "message_size": `...)
	b = strconv.AppendInt(b, h.Size, 10)
	b = append(b, `, "forced_expire": `...)
	b = strconv.AppendBool(b, h.Expired)
	b = append(b, `, "sender": `...)
	b = quoteJSON(b, h.Sender)
	return j.write(append(b, `, "recipients": [`...))
}

// Recipient prints one of the recipients.
func (j *JSON) Recipient(address, reason string) error {
	b := j.buf[:0]
	if !j.first {
		b = append(b, ", "...)
	}
	j.first = false
	b = append(b, `{"address": `...)
	b = quoteJSON(b, address)
	if reason != "" {
		b = append(b, `, "delay_reason": `...)
		b = quoteJSON(b, reason)
	}
	return j.write(append(b, '}'))
}

// MessageEnd prints the end of an object.
func (j *JSON) MessageEnd() error { return j.write(append(j.buf[:0], "]}\n"...)) }

// Finish ends the listing.
func (j *JSON) Finish() error { return j.out.Flush() }

func (j *JSON) write(b []byte) error {
	j.buf = b
	_, err := j.out.Write(b)
	return err
}

// quoteJSON appends text as a JSON string, escaping what Postfix escapes and no
// more; bytes that are not UTF-8, which JSON cannot hold, become '?'.
func quoteJSON(b []byte, text string) []byte {
	const short = "\b\f\n\r\t"
	b = append(b, '"')
	for i := 0; i < len(text); {
		if plain := plainJSON(text[i:]); plain > 0 {
			b = append(b, text[i:i+plain]...)
			i += plain
			continue
		}
		c := text[i]
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			b = append(b, '?')
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ':
			b = append(b, text[i:i+n]...)
		default:
			escape := byte(0)
			for k := range len(short) {
				if short[k] == c {
					escape = "bfnrt"[k]
				}
			}
			if escape != 0 {
				b = append(b, '\\', escape)
			} else {
				b = fmt.Appendf(b, `\u%04X`, c)
			}
		}
		i += n
	}
	return append(b, '"')
}

// plainJSON is how many bytes at the beginning of a text need no thought.
func plainJSON(text string) int {
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return i
		}
	}
	return len(text)
}
