// Package pickup takes in what local users dropped into the maildrop queue
// (pickup(8)): it reads each file, hands it to the one door, and removes it
// when the message is durable there. Users can write anything into maildrop;
// nothing here trusts it.
package pickup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strconv"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// Message is a message on its way in.
type Message interface {
	ID() mail.QueueID
	Recipient(ctx context.Context, r mail.Recipient) error
	Line(text []byte) error
	Fragment(part []byte) error
	Commit(ctx context.Context) error
	Discard()
	// Of a message that is refused: the sender and the recipients as the door made
	// them (none when they are too many), and whether the content was the reason.
	Sender() mail.Address
	Recipients() []mail.Recipient
	ContentRefused() bool
}

// Queue is the part of the queue that pickup uses; *queue.Queue has it.
type Queue interface {
	List(queue.Name) iter.Seq2[mail.QueueID, error]
	Open(queue.Name, mail.QueueID) (*queue.Message, error)
	Stat(queue.Name, mail.QueueID) (queue.Stat, error)
	Delete(mail.QueueID, queue.Name) error
	Move(id mail.QueueID, from, to queue.Name) error
	LockMaildrop(context.Context) (io.Closer, error)
}

// Log is the operator's log.
type Log interface {
	Info(format string, args ...any)
	Warning(format string, args ...any)
}

// Rejected is a submission that will never be taken, for the report to its
// sender.
type Rejected struct {
	ID         mail.QueueID
	Envelope   mail.Envelope
	Recipients []mail.Recipient
	Content    record.Content
	Reason     *mail.Error
}

// Deps are what pickup needs from others.
type Deps struct {
	Queue Queue
	Open  func(ctx context.Context, e mail.Envelope) (Message, error) // the one door
	// Reject logs what became of each recipient and tells the sender; when it
	// returns nil the file is removed.
	Reject  func(ctx context.Context, r Rejected) error
	Trusted func(uid uint32) bool // root and mail_owner, whose files are not user input
	Log     Log
	Now     func() time.Time
}

// Service is pickup.
type Service struct {
	deps   Deps
	wake   chan struct{}
	begun  time.Time // for a clock that does not jump
	seldom maillog.Seldom
}

// New makes the service.
func New(d Deps) *Service { return &Service{deps: d, wake: make(chan struct{}, 1), begun: time.Now()} }

// Wake asks for a scan soon. It never blocks.
func (s *Service) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Serve scans maildrop at once, at each Wake and at every interval, until the
// context ends.
func (s *Service) Serve(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		s.Scan(ctx)
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-tick.C:
		}
	}
}

// Scan takes in all that lies ready, while no other process does.
func (s *Service) Scan(ctx context.Context) {
	lock, err := s.deps.Queue.LockMaildrop(ctx)
	switch {
	case err == nil:
		defer lock.Close()
	case ctx.Err() != nil:
		return
	} // else the list tells what is wrong with the directory
	for id, err := range s.deps.Queue.List(queue.Maildrop) {
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = s.take(ctx, id)
		}
		if err != nil {
			s.warn(id, err)
		}
	}
}

// warn tells of a file that cannot be taken, once: it may lie there for long.
func (s *Service) warn(id mail.QueueID, err error) {
	news, last := s.seldom.News(string(id), time.Since(s.begun))
	if news {
		s.deps.Log.Warning("%s: %v", id, err)
	}
	if last {
		s.deps.Log.Warning("of further files in maildrop that cannot be taken nothing is said for a while")
	}
}

// take takes in one file. What it returns is for the log; the file is then
// either gone, set aside, or left for the next scan.
func (s *Service) take(ctx context.Context, id mail.QueueID) error {
	f, err := s.open(id)
	if errors.Is(err, queue.ErrGone) {
		return nil
	}
	if f == nil {
		return err
	}
	defer f.Close()
	if !f.Stat.Mode.IsRegular() {
		return errors.New("maildrop: not a regular file, left alone")
	}
	if !f.Stat.Ready() {
		return nil
	}
	trusted := s.deps.Trusted(f.Stat.UID)
	sub, err := record.ReadSubmission(f, trusted)
	if err != nil {
		return s.spoiled(id, err)
	}
	origin := ""
	if trusted && !f.Stat.Dropped() {
		origin = " orig_id=" + string(id)
		if some, err := anybody(sub); err != nil || !some {
			return s.finished(id, err)
		}
	}
	return s.submit(ctx, id, f.Stat.UID, sub, origin)
}

// open opens a file. While it is being written only its user may; then there is
// neither a file nor an error.
func (s *Service) open(id mail.QueueID) (*queue.Message, error) {
	f, err := s.deps.Queue.Open(queue.Maildrop, id)
	if !errors.Is(err, fs.ErrPermission) {
		return f, err
	}
	if st, e := s.deps.Queue.Stat(queue.Maildrop, id); e == nil && st.Mode.IsRegular() && !st.Ready() {
		return nil, nil
	}
	return s.deps.Queue.Open(queue.Maildrop, id) // it may have become ready meanwhile
}

// anybody tells whether a message has a recipient who is not done.
func anybody(sub *record.Submission) (bool, error) {
	found := errors.New("found")
	err := sub.Recipients(func(mail.Recipient) error { return found })
	if err == found {
		return true, nil
	}
	return false, err
}

// finished removes a message that was moved here during its delivery, which has
// come to its end: without recipients it would be returned to its sender.
func (s *Service) finished(id mail.QueueID, err error) error {
	if err != nil {
		return s.spoiled(id, err)
	}
	if err := s.deps.Queue.Delete(id, queue.Maildrop); err != nil {
		if errors.Is(err, queue.ErrGone) {
			return nil
		}
		return err
	}
	s.deps.Log.Info("%s: removed: it was requeued while its last recipient was served", id)
	return nil
}

// spoiled deals with a file that cannot be read: damaged ones are set aside,
// since a user's mail should not vanish for a bug of some program; after an
// I/O error the file stays.
func (s *Service) spoiled(id mail.QueueID, err error) error {
	if !errors.Is(err, record.ErrDamaged) {
		return err
	}
	if e := s.deps.Queue.Move(id, queue.Maildrop, queue.Corrupt); e != nil && !errors.Is(e, queue.ErrGone) {
		return errors.Join(err, e)
	}
	return fmt.Errorf("maildrop file moved to the corrupt queue: %w", err)
}

// submit hands a message to the door; origin is added to the log line.
func (s *Service) submit(ctx context.Context, id mail.QueueID, uid uint32, sub *record.Submission, origin string) error {
	e := sub.Envelope
	e.Created = s.deps.Now().Truncate(time.Second)
	e.Origin.UserID = strconv.FormatUint(uint64(uid), 10)
	m, err := s.deps.Open(ctx, e)
	if err != nil {
		return s.failed(ctx, id, sub, nil, err)
	}
	defer m.Discard()
	s.deps.Log.Info("%s: uid=%d from=<%s>%s", m.ID(), uid, e.Sender.Quoted(), origin)
	err = sub.Recipients(func(r mail.Recipient) error { return m.Recipient(ctx, r) })
	made := m
	if err != nil {
		made = nil // of some recipients at least the door knows nothing
	} else {
		err = feed(m, sub.Content)
	}
	switch {
	case errors.Is(err, record.ErrDamaged):
		return s.spoiled(id, err)
	case err != nil:
		return s.failed(ctx, id, sub, made, err)
	}
	if err := m.Commit(ctx); err != nil {
		return s.failed(ctx, id, sub, m, err)
	}
	// From here on the message is in the queue. Should the removal fail, it
	// is taken again at the next scan: rather twice than never.
	if err := s.deps.Queue.Delete(id, queue.Maildrop); err != nil && !errors.Is(err, queue.ErrGone) {
		return err
	}
	return nil
}

// feed hands over the content.
func feed(m Message, content record.Content) error {
	lines := content.Lines()
	defer lines.Close()
	for {
		text, complete, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if complete {
			err = m.Line(text)
		} else {
			err = m.Fragment(text)
		}
		if err != nil {
			return err
		}
	}
}

// failed deals with a refusal: a temporary one leaves the file for the next
// scan, a permanent one goes back to the sender. m is the message as far as the
// door made it; nil: not with all recipients.
func (s *Service) failed(ctx context.Context, id mail.QueueID, sub *record.Submission, m Message, err error) error {
	var refused *mail.Error
	if !errors.As(err, &refused) || refused.Temporary() {
		return fmt.Errorf("maildrop file is kept for later: %w", err)
	}
	r := Rejected{ID: id, Envelope: sub.Envelope, Content: sub.Content, Reason: refused}
	if e := sub.Recipients(func(to mail.Recipient) error {
		r.Recipients = append(r.Recipients, to)
		return nil
	}); e != nil {
		return s.spoiled(id, e)
	}
	if m != nil {
		r.asMade(m)
	}
	if e := s.deps.Reject(ctx, r); e != nil {
		return fmt.Errorf("%w; its sender could not be told: %w", err, e)
	}
	if e := s.deps.Queue.Delete(id, queue.Maildrop); e != nil && !errors.Is(e, queue.ErrGone) {
		return e
	}
	if len(r.Recipients) > 0 {
		return nil // each has its line in the log
	}
	return fmt.Errorf("returned to sender <%s>: %w", sub.Envelope.Sender.Quoted(), err)
}

// asMade puts what the door made of the message in place of what was submitted:
// addresses are complete, and aliases are expanded.
func (r *Rejected) asMade(m Message) {
	r.ID, r.Envelope.Sender = m.ID(), m.Sender()
	if m.ContentRefused() && r.Envelope.Sender != "" {
		// What is in it may be the reason not to send it to anybody.
		r.Envelope.Return = mail.ReturnHeaders
	}
	if made := m.Recipients(); len(made) > 0 {
		r.Recipients = made
	}
}
