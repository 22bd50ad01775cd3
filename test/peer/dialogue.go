package peer

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Dialogue plays a written SMTP dialogue. Each line begins with
//
//	C:  what the client sends, with CRLF; consecutive C lines go in one write
//	C+  what the client sends as a Go string without its quotes: \r \n \x00 are
//	    its bytes, nothing is added
//	S:  a line the server must send next; {*} stands for any text
//	S-  the server must close the connection
//	#   a comment
//
// from is the client's address, empty for the default.
func Dialogue(script, from, to string) error {
	s, err := Dial(from, to)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Play(script)
}

// Session is a client's connection on which dialogues are played, one after
// the other. It is not safe for concurrent use.
type Session struct {
	conn       net.Conn
	r          *bufio.Reader
	pending    string
	transcript strings.Builder
}

// Dial connects to a server; from is the client's address, empty for the
// default.
func Dial(from, to string) (*Session, error) {
	d := net.Dialer{Timeout: 30 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := d.Dial("tcp", to)
	if err != nil {
		return nil, err
	}
	return &Session{conn: conn, r: bufio.NewReader(conn)}, nil
}

// Close closes the connection.
func (p *Session) Close() error { return p.conn.Close() }

// Play plays a dialogue, as Dialogue says, and leaves the connection open.
func (p *Session) Play(script string) error {
	for n, line := range strings.Split(script, "\n") {
		if err := p.line(strings.TrimRight(line, "\r")); err != nil {
			return fmt.Errorf("line %d: %s: %w\ntranscript:\n%s", n+1, line, err, p.transcript.String())
		}
	}
	return p.flush()
}

// replyLimit is how long a reply may take: tarpits are of seconds.
const replyLimit = time.Minute

func (p *Session) line(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	if len(line) < 2 {
		return fmt.Errorf("bad line")
	}
	rest := strings.TrimPrefix(line[2:], " ")
	switch line[:2] {
	case "C:":
		p.pending += rest + "\r\n"
		return nil
	case "C+":
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(rest, `"`, `\"`) + `"`)
		p.pending += text
		return err
	case "S:":
		return p.expect(rest)
	case "S-":
		return p.expectClose()
	}
	return fmt.Errorf("bad line")
}

func (p *Session) flush() error {
	if p.pending == "" {
		return nil
	}
	p.transcript.WriteString("C: " + strconv.Quote(p.pending) + "\n")
	p.conn.SetWriteDeadline(time.Now().Add(replyLimit))
	_, err := p.conn.Write([]byte(p.pending))
	p.pending = ""
	return err
}

func (p *Session) read() (string, error) {
	if err := p.flush(); err != nil {
		return "", err
	}
	p.conn.SetReadDeadline(time.Now().Add(replyLimit))
	line, err := p.r.ReadString('\n')
	p.transcript.WriteString("S: " + strings.TrimRight(line, "\r\n") + "\n")
	return line, err
}

func (p *Session) expect(want string) error {
	line, err := p.read()
	if err != nil {
		return fmt.Errorf("no reply: %w", err)
	}
	if !strings.HasSuffix(line, "\r\n") {
		return fmt.Errorf("reply does not end in CRLF: %q", line)
	}
	if got := strings.TrimSuffix(line, "\r\n"); !Match(want, got) {
		return fmt.Errorf("server said %q", got)
	}
	return nil
}

func (p *Session) expectClose() error {
	line, err := p.read()
	if err == nil {
		return fmt.Errorf("server did not close but said %q", line)
	}
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return fmt.Errorf("server did not close the connection")
	}
	return nil
}

// Match compares a text with a pattern in which {*} stands for any text.
func Match(pattern, text string) bool {
	parts := strings.Split(pattern, "{*}")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	ok, err := regexp.MatchString(`\A(?s:`+strings.Join(parts, ".*")+`)\z`, text)
	return ok && err == nil
}
