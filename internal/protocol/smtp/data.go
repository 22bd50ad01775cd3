package smtp

import "io"

// BareLFPolicy says what a line feed without carriage return means in
// content (Postfix smtpd_forbid_bare_newline).
type BareLFPolicy uint8

// The policies. With BareLFAllow any of LF and CRLF may end the lines around
// the final dot; that is open to SMTP smuggling and only for trusted clients.
// With BareLFNormalize only CRLF.CRLF ends the data; other lines may end in LF.
// A caller that rejects bare line feeds uses BareLFNormalize and looks at
// SawBareLF when the data has ended, so that it stays in step with the client.
const (
	BareLFAllow BareLFPolicy = iota
	BareLFNormalize
)

// DataReader decodes the content after DATA (RFC 5321 section 4.5.2): it finds
// the end and removes the dots the client added.
type DataReader struct {
	in      *Reader
	policy  BareLFPolicy
	limit   int
	prev    LineEnd // how the line before ended
	inLine  bool    // the piece before did not end its line
	sawBare bool
	size    int64
}

// NewDataReader decodes content from in. Lines longer than limit bytes are
// given in pieces; the buffer of in must hold limit+2 bytes.
func NewDataReader(in *Reader, policy BareLFPolicy, limit int) *DataReader {
	return &DataReader{in: in, policy: policy, limit: limit, prev: CRLF}
}

// SawBareLF tells whether a line so far ended in a bare LF.
func (d *DataReader) SawBareLF() bool { return d.sawBare }

// Size is the number of wire bytes so far, for log lines.
func (d *DataReader) Size() int64 { return d.size }

// Next returns the next line without its end, or a piece of a long line with
// whole false: it goes on with the next call. io.EOF is the proper end of the
// data; a client that leaves earlier gives io.ErrUnexpectedEOF.
func (d *DataReader) Next() (text []byte, whole bool, err error) {
	for {
		text, end, err := d.cut()
		if err != nil {
			return nil, false, err
		}
		start, prev := !d.inLine, d.prev
		d.inLine = end == NoEnd
		if end != NoEnd {
			d.prev = end
			d.sawBare = d.sawBare || end == BareLF
		}
		if !start || len(text) == 0 || text[0] != '.' {
			return text, end != NoEnd, nil
		}
		if len(text) > 1 || end == NoEnd {
			return text[1:], end != NoEnd, nil
		}
		if d.policy == BareLFAllow || prev == CRLF && end == CRLF {
			return nil, false, io.EOF
		}
		// A lone dot that is not CRLF.CRLF: the dot goes as dot-stuffing
		// does, and the line with it; the data goes on.
	}
}

func (d *DataReader) cut() ([]byte, LineEnd, error) {
	for {
		n, text, end := cutLine(d.in.Buffered(), d.limit)
		if n > 0 {
			d.in.r += n
			d.size += int64(n)
			return text, end, nil
		}
		if err := d.in.Fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, NoEnd, err
		}
	}
}
