package smtp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds of a server's reply.
const (
	// maxReplyLine is how much of a reply line is looked at (Postfix:
	// line_length_limit); the rest of the line is skipped.
	maxReplyLine = 2048
	// maxReplyKept is how much text of a multi-line reply is kept for logs and
	// notices. Lines beyond are read and dropped.
	maxReplyKept = 2048
	// maxReplyBytes ends a conversation with a server that never stops.
	maxReplyBytes = 256 << 10
)

// ErrReplyFlood says that a reply was so long that the connection must be
// closed.
var ErrReplyFlood = errors.New("endless reply")

// ServerReply is what a server said to a command. Text holds the lines as they
// came, with their codes, joined by line feeds; it has no other control byte
// and is valid UTF-8.
type ServerReply struct {
	Code     int    // 0 to 999; servers may send anything
	Enhanced string // RFC 3463 code of the last line, of the same class; `5.0.0` when none was given
	Text     string
}

// Class is the first digit of the code: 2 done, 3 go on, 4 and 5 refused.
func (r *ServerReply) Class() int { return r.Code / 100 }

// Line is the text on one line.
func (r *ServerReply) Line() string { return strings.ReplaceAll(r.Text, "\n", " ") }

// ReplyReader reads the replies of a server. It is not safe for concurrent use.
type ReplyReader struct {
	src  io.Reader
	buf  [4096]byte
	r, w int
	kept []byte // text of the current reply
	line []byte // copy of a line that did not fit the buffer
}

// NewReplyReader reads from src.
func NewReplyReader(src io.Reader) *ReplyReader { return &ReplyReader{src: src} }

// Reset forgets what was received and not read, and reads from src from now
// on. After STARTTLS this is a must: text that was sent ahead is forged.
func (r *ReplyReader) Reset(src io.Reader) { r.src, r.r, r.w = src, 0, 0 }

// Ahead tells whether a reply, or the start of one, was received and not read
// yet. Before a command is sent there should be none: then the server is out
// of step, or somebody put a reply in its mouth.
func (r *ReplyReader) Ahead() bool {
	for r.r < r.w {
		line := r.buf[r.r:r.w]
		i := bytes.IndexByte(line, '\n')
		if i < 0 {
			return line[0] >= '0' && line[0] <= '9'
		}
		if _, _, ok := parseReplyLine(trimReply(line[:i])); ok {
			return true
		}
		r.r += i + 1 // Read would skip it too
	}
	return false
}

// Read reads one reply (RFC 5321 section 4.2). Each line of it, without line
// end and cleaned of control bytes, is given to each unless that is nil; the
// slice is valid during the call. Lines that are no reply lines are skipped, as
// Postfix does. io.EOF means that the server left.
func (r *ReplyReader) Read(each func(line []byte)) (ServerReply, error) {
	r.kept = r.kept[:0]
	for total := 0; ; {
		line, n, err := r.readLine(maxReplyBytes - total)
		if err != nil {
			return ServerReply{}, err
		}
		total += n
		line = printable(line)
		code, last, ok := parseReplyLine(line)
		if !ok {
			continue
		}
		if len(r.kept) < maxReplyKept {
			if len(r.kept) > 0 {
				r.kept = append(r.kept, '\n')
			}
			r.kept = append(r.kept, line...)
		}
		if each != nil {
			each(line)
		}
		if last {
			return ServerReply{Code: code, Enhanced: enhancedOf(line), Text: string(r.kept)}, nil
		}
	}
}

// readLine returns the next line without its end, cut to maxReplyLine, and how
// many bytes it took; limit bounds those.
func (r *ReplyReader) readLine(limit int) (line []byte, n int, err error) {
	r.line = r.line[:0]
	for {
		if i := bytes.IndexByte(r.buf[r.r:r.w], '\n'); i >= 0 {
			part := r.buf[r.r : r.r+i]
			r.r += i + 1
			n += i + 1
			if len(r.line) > 0 {
				r.keep(part)
				part = r.line
			}
			return trimReply(part), n, nil
		}
		part := r.buf[r.r:r.w]
		n += len(part)
		r.keep(part)
		r.r, r.w = 0, 0
		if n > limit {
			return nil, n, ErrReplyFlood
		}
		if err := r.fill(); err != nil {
			return nil, n, err
		}
	}
}

func (r *ReplyReader) keep(part []byte) {
	if room := maxReplyLine + 1 - len(r.line); room > 0 { // one more for a CR
		r.line = append(r.line, part[:min(len(part), room)]...)
	}
}

func (r *ReplyReader) fill() error {
	for range 100 {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func trimReply(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line[:min(len(line), maxReplyLine)]
}

// printable replaces in place what must not reach a log: control bytes, and
// bytes that are no UTF-8. A C1 control character becomes two question marks.
func printable(line []byte) []byte {
	for i := 0; i < len(line); {
		c := line[i]
		if c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				line[i] = '?'
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(line[i:])
		if r == utf8.RuneError && size == 1 || r < 0xa0 || r == '\u2028' || r == '\u2029' {
			for j := range size {
				line[i+j] = '?'
			}
		}
		i += size
	}
	return line
}

// parseReplyLine splits `250-text`, `250 text` and `250`.
func parseReplyLine(line []byte) (code int, last, ok bool) {
	if len(line) < 3 {
		return 0, false, false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, false, false
		}
		code = code*10 + int(c-'0')
	}
	if len(line) == 3 || line[3] == ' ' {
		return code, true, true
	}
	return code, false, line[3] == '-'
}

// enhancedOf finds the enhanced status code (RFC 2034) of a reply line. A code
// whose class differs from that of the reply does not count.
func enhancedOf(line []byte) string {
	class := line[0]
	if class != '2' && class != '4' && class != '5' {
		return ""
	}
	if len(line) > 4 {
		text := bytes.TrimLeft(line[4:], " ")
		if n := EnhancedLength(text); n > 0 && text[0] == class {
			return string(text[:n])
		}
	}
	return string([]byte{class, '.', '0', '.', '0'})
}

// EnhancedLength is the length of the enhanced status code (RFC 3463 section
// 2) that text begins with, or 0.
func EnhancedLength(text []byte) int {
	if len(text) < 5 || text[0] != '2' && text[0] != '4' && text[0] != '5' || text[1] != '.' {
		return 0
	}
	i := digits(text, 2)
	if i == 2 || i >= len(text) || text[i] != '.' {
		return 0
	}
	j := digits(text, i+1)
	if j == i+1 || j < len(text) && text[j] != ' ' {
		return 0
	}
	return j
}

// digits is the index behind at most three digits from i on.
func digits(text []byte, i int) int {
	for end := min(i+3, len(text)); i < end && text[i] >= '0' && text[i] <= '9'; i++ {
	}
	return i
}
