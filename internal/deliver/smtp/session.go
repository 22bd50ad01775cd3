package smtp

import (
	"errors"
	"net"
	"time"

	"posthaste/internal/protocol/smtp"
)

// session is one connection to a server, used by one delivery at a time.
type session struct {
	agent   *Agent
	peer    peer
	conn    net.Conn
	replies *smtp.ReplyReader
	out     []byte // commands not sent yet

	offers    features
	sizeLimit int64 // from the SIZE keyword; 0: none

	since   time.Time // when the connection was made
	uses    int       // deliveries so far
	broken  bool      // must not be used further; closed without QUIT
	closing bool      // the server said that it will close: not kept

	history history

	wait  time.Duration // time limit for the reply that is being read
	armed bool          // the deadline for it is set

	// For cache, guarded by its lock.
	hopKey string
	timer  *time.Timer
}

// attach puts the session on a connection: the first one, or the same one
// wrapped in TLS. Bytes received before and not read are dropped, because what
// was sent ahead of a TLS handshake is forged (CVE-2011-0411).
func (s *session) attach(conn net.Conn) {
	s.conn = conn
	if s.replies == nil {
		s.replies = smtp.NewReplyReader(s)
		return
	}
	s.replies.Reset(s)
}

// Read feeds the reply reader. One deadline holds for a whole reply, so that a
// server cannot stretch the time limit byte by byte; a reply that has already
// arrived costs no deadline.
func (s *session) Read(p []byte) (int, error) {
	if !s.armed {
		s.armed = true
		if err := s.conn.SetReadDeadline(deadline(s.wait)); err != nil {
			return 0, err
		}
	}
	return s.conn.Read(p)
}

// deadline is the end of a time limit; 0 means none.
func deadline(limit time.Duration) time.Time {
	if limit == 0 {
		return time.Time{}
	}
	return time.Now().Add(limit)
}

// errAhead says that a server sent a reply that nothing asked for.
var errAhead = errors.New("reply ahead of the command")

// flush sends the commands collected in out. There must be no reply
// outstanding.
func (s *session) flush(limit time.Duration) error {
	if s.replies.Ahead() {
		return errAhead
	}
	if err := s.conn.SetWriteDeadline(deadline(limit)); err != nil {
		return err
	}
	s.remember("Out: ", s.out)
	_, err := s.conn.Write(s.out)
	s.out = s.out[:0]
	return err
}

// reply reads one reply; each sees its lines unless it is nil.
func (s *session) reply(limit time.Duration, each func([]byte)) (*smtp.ServerReply, error) {
	s.wait, s.armed = limit, false
	if s.agent.deps.tells() {
		inner := each
		each = func(line []byte) {
			s.remember("In:  ", line)
			if inner != nil {
				inner(line)
			}
		}
	}
	r, err := s.replies.Read(each)
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// command sends one command line and reads the reply.
func (s *session) command(line string, limit time.Duration, each func([]byte)) (*smtp.ServerReply, error) {
	s.out = append(append(s.out, line...), "\r\n"...)
	if err := s.flush(limit); err != nil {
		return nil, err
	}
	return s.reply(limit, each)
}

// interrupt makes all reading and writing fail at once. It may be called from
// another goroutine.
func (s *session) interrupt() { s.conn.Close() }

// quit ends the session as RFC 5321 section 4.1.1.10 wants, unless it is
// broken. The results of deliveries do not wait for it, nor depend on it.
func (s *session) quit() {
	defer s.conn.Close()
	if s.broken {
		return
	}
	s.out = append(s.out[:0], "QUIT\r\n"...)
	if err := s.flush(s.agent.params.QuitTimeout); err != nil || s.agent.params.SkipQuitResponse {
		return
	}
	s.reply(s.agent.params.QuitTimeout, nil)
}
