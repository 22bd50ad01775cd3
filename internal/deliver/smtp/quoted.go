package smtp

// quotedPrintable encodes lines (RFC 2045 section 6.7).
type quotedPrintable struct {
	out   lineWriter
	buf   []byte // the encoded line so far
	blank byte   // a space or tab that is not written yet: at a line's end it is encoded
}

// fullLine is how long an encoded line is when a soft break ends it: one more
// encoded character and the '=' make 76, the most that RFC 2045 allows. Postfix
// breaks at the same places.
const fullLine = 73

// Write encodes a part of a line.
func (q *quotedPrintable) Write(part []byte, complete bool) error {
	for _, c := range part {
		if q.blank != 0 {
			if err := q.plain(q.blank); err != nil {
				return err
			}
			q.blank = 0
		}
		var err error
		switch {
		case c == ' ' || c == '\t':
			q.blank = c
		case c > ' ' && c < 0x7f && c != '=':
			err = q.plain(c)
		default:
			err = q.hex(c)
		}
		if err != nil {
			return err
		}
	}
	if !complete {
		return nil
	}
	if q.blank != 0 {
		if err := q.hex(q.blank); err != nil {
			return err
		}
		q.blank = 0
	}
	err := q.out.Write(q.buf, true)
	q.buf = q.buf[:0]
	return err
}

func (q *quotedPrintable) plain(c byte) error {
	if err := q.room(); err != nil {
		return err
	}
	q.buf = append(q.buf, c)
	return nil
}

func (q *quotedPrintable) hex(c byte) error {
	const digits = "0123456789ABCDEF"
	if err := q.room(); err != nil {
		return err
	}
	q.buf = append(q.buf, '=', digits[c>>4], digits[c&15])
	return nil
}

// room makes a soft line break when the line is full.
func (q *quotedPrintable) room() error {
	if len(q.buf) < fullLine {
		return nil
	}
	q.buf = append(q.buf, '=')
	err := q.out.Write(q.buf, true)
	q.buf = q.buf[:0]
	return err
}
