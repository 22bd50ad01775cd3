package smtp

import (
	"bytes"
	"io"
)

// ContentWriter turns the lines of a message into the form they have on the
// wire after DATA (RFC 5321 section 4.5.2): CRLF at the end of each line, a dot
// before a line that begins with one, and lines beyond the limit broken by
// CRLF and a space (Postfix smtp_line_length_limit). A CR or LF inside a line,
// which an old queue file may hold, is sent as a space, so that no line can end
// where the receiver and we disagree (SMTP smuggling).
type ContentWriter struct {
	dst   io.Writer
	buf   []byte
	limit int // bytes in a line; 0: no limit
	used  int // bytes of the current line so far
	begun bool
	broke bool
}

// Broke tells whether a line was broken because of the limit.
func (w *ContentWriter) Broke() bool { return w.broke }

// NewContentWriter writes to dst through buf, which must have room for more
// than a few bytes; limit is in bytes, 0 means none.
func NewContentWriter(dst io.Writer, buf []byte, limit int) *ContentWriter {
	return &ContentWriter{dst: dst, buf: buf[:0], limit: limit}
}

// Write adds a part of a line, and the line's end when complete is set. An
// error is the destination's.
func (w *ContentWriter) Write(part []byte, complete bool) error {
	if !w.begun && len(part) > 0 {
		w.begun = true
		if part[0] == '.' {
			if err := w.put(dot); err != nil {
				return err
			}
		}
	}
	for w.limit > 0 && w.used+len(part) > w.limit {
		n := max(w.limit-w.used, 0)
		if err := w.text(part[:n]); err != nil {
			return err
		}
		if err := w.put(fold); err != nil {
			return err
		}
		part = part[n:]
		w.used, w.broke = 1, true // the space
	}
	if err := w.text(part); err != nil {
		return err
	}
	w.used += len(part)
	if !complete {
		return nil
	}
	w.used, w.begun = 0, false
	return w.put(crlf)
}

// End closes the content: a line that is still open, and the final dot.
// Everything is handed to the destination.
func (w *ContentWriter) End() error {
	if w.begun {
		if err := w.Write(nil, true); err != nil {
			return err
		}
	}
	if err := w.put(dotCRLF); err != nil {
		return err
	}
	return w.flush()
}

var (
	dot     = []byte(".")
	fold    = []byte("\r\n ")
	crlf    = []byte("\r\n")
	dotCRLF = []byte(".\r\n")
)

// text adds bytes of a line without line ends.
func (w *ContentWriter) text(b []byte) error {
	for {
		i := bytes.IndexByte(b, '\r')
		if j := bytes.IndexByte(b, '\n'); j >= 0 && (i < 0 || j < i) {
			i = j
		}
		if i < 0 {
			return w.put(b)
		}
		if err := w.put(b[:i]); err != nil {
			return err
		}
		if err := w.put(fold[2:]); err != nil {
			return err
		}
		b = b[i+1:]
	}
}

func (w *ContentWriter) put(b []byte) error {
	for len(b) > cap(w.buf)-len(w.buf) {
		n := cap(w.buf) - len(w.buf)
		w.buf = append(w.buf, b[:n]...)
		b = b[n:]
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.buf = append(w.buf, b...)
	return nil
}

func (w *ContentWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.dst.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}
