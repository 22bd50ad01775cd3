package smtp

import (
	"errors"
	"io"
	"sync"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/mime"
	"posthaste/internal/protocol/smtp"
)

// contentBuffer is how much content goes out in one write.
const contentBuffer = 64 << 10

var contentBuffers = sync.Pool{New: func() any { return new([contentBuffer]byte) }}

// earlyReply is how long to look for what a server said before it hung up in
// the middle of the content.
const earlyReply = 5 * time.Second

// timedWriter gives each write its own time limit.
type timedWriter struct {
	s     *session
	limit time.Duration
}

func (w timedWriter) Write(p []byte) (int, error) {
	if err := w.s.conn.SetWriteDeadline(deadline(w.limit)); err != nil {
		return 0, err
	}
	return w.s.conn.Write(p)
}

// readError is a failure of our own while content is sent.
type readError struct{ err error }

func (e *readError) Error() string { return "unreadable mail queue entry: " + e.err.Error() }

func (e *readError) Unwrap() error { return e.err }

// sendContent sends the message and reads the server's word on it.
func (t *transaction) sendContent() {
	err := t.copyContent()
	var own *readError
	switch {
	case errors.As(err, &own):
		// Without the final dot, the server must not take what it got.
		t.session.broken = true
		t.session.conn.Close()
		t.fault = own
	case err != nil:
		t.brokenOff(err)
	case t.agent.lmtp:
		t.lmtpResults()
	default:
		t.result()
	}
}

// copyContent writes the content and the final dot. A *readError means that
// the dot was not sent.
func (t *transaction) copyContent() error {
	if t.session.replies.Ahead() {
		return errAhead // it must not be taken for the reply to the content
	}
	lines := t.req.Content.Lines()
	defer lines.Close()
	buf := contentBuffers.Get().(*[contentBuffer]byte)
	defer contentBuffers.Put(buf)
	w := smtp.NewContentWriter(timedWriter{t.session, t.agent.params.DataXferTimeout}, buf[:0], t.agent.params.LineLengthLimit)
	var out lineWriter = w
	if t.converts() {
		out = newDowngrader(w, mime.Limits{Nesting: t.agent.params.Common.MIMENesting, Boundary: t.agent.params.Common.MIMEBoundary})
	}
	for {
		line, complete, err := lines.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return &readError{err}
		}
		if err := out.Write(line, complete); err != nil {
			return err
		}
	}
	t.session.remember("Out: ", []byte("."))
	err := out.End()
	if w.Broke() { // signatures of the message may be void now
		t.agent.deps.Log.Info("%s: breaking line > %d bytes with <CR><LF>SPACE", t.req.ID, t.agent.params.LineLengthLimit)
	}
	return err
}

// converts tells whether the content must become 7-bit (RFC 6152 section 3).
func (t *transaction) converts() bool {
	return t.session.offers&offers8BitMIME == 0 && t.req.Envelope.Encoding != mail.Encoding7Bit && !t.agent.params.NoConversion
}

// lineWriter is the next stage for content.
type lineWriter interface {
	Write(part []byte, complete bool) error
	End() error
}

// brokenOff handles a connection that failed before the final dot was out. The
// server may have said why; a "yes" at this point is not believed.
func (t *transaction) brokenOff(err error) {
	s := t.session
	s.broken = true
	r, replyErr := s.reply(min(earlyReply, t.agent.params.DataDoneTimeout), nil)
	if replyErr == nil && (r.Class() == 4 || r.Class() == 5) {
		t.fails(s.refused(r, inReplyToDot))
		return
	}
	t.fails(s.lost(err, doingBody))
}

// result reads the one reply of an SMTP server (RFC 5321 section 4.2.5).
func (t *transaction) result() {
	r, err := t.session.reply(t.agent.params.DataDoneTimeout, nil)
	switch {
	case err != nil:
		t.fails(t.session.lost(err, doingDot))
	case r.Class() != 2:
		t.fails(t.session.refused(r, inReplyToDot))
	default:
		for _, i := range t.accepted {
			t.succeed(i, r)
		}
	}
}

// lmtpResults reads a reply for each accepted recipient (RFC 2033 section 4.2).
func (t *transaction) lmtpResults() {
	for _, i := range t.accepted {
		r, err := t.session.reply(t.agent.params.DataDoneTimeout, nil)
		if err != nil {
			t.fails(t.session.lost(err, doingDot))
			return
		}
		if r.Class() == 2 {
			t.succeed(i, r)
			continue
		}
		f := t.session.refused(r, inReplyToDot)
		if f.broken && r.Code != 421 {
			t.fails(f)
			return
		}
		t.session.broken = t.session.broken || f.broken
		t.failOne(i, f)
	}
}

// sendNothing ends the content that a server asked for although it has no
// recipient (RFC 2920 section 3.1).
func (t *transaction) sendNothing() {
	s := t.session
	s.out = append(s.out, ".\r\n"...)
	err := s.flush(t.agent.params.DataXferTimeout)
	if err == nil {
		_, err = s.reply(t.agent.params.DataDoneTimeout, nil)
	}
	s.broken = s.broken || err != nil
}
