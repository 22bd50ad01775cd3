package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/ipc"
	"posthaste/internal/mail"
)

// Log is the operator's log.
type Log interface {
	Warning(format string, args ...any)
	Panic(format string, args ...any)
}

// Server calls an agent for requests that come over a socket. It is safe for
// concurrent use; Serve may run for several listeners.
type Server struct {
	agent deliver.Agent
	log   Log

	places   chan struct{} // one token per connection
	shed     chan struct{} // asks a connection that has nothing to do to end
	quit     chan struct{} // closed when no new request is taken
	quitOnce sync.Once
	hand     context.Context // ends when deliveries in hand are cut off
	cut      context.CancelFunc
	wg       sync.WaitGroup // one per connection
}

// NewServer makes a server for agent, with the most connections at a time: each
// needs descriptors, and one that is left without could not even be told so.
func NewServer(agent deliver.Agent, log Log, most int) *Server {
	hand, cut := context.WithCancel(context.Background())
	return &Server{agent: agent, log: log, places: make(chan struct{}, most), shed: make(chan struct{}),
		quit: make(chan struct{}), hand: hand, cut: cut}
}

// Serve accepts connections until ctx ends or the listener fails. It closes
// the listener; deliveries in hand go on, see Drain. While there are as many
// connections as there may be, others wait in the backlog for one to end.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for s.place(ctx) {
		conn, err := ipc.Accept(ctx, l, func(err error) { s.log.Warning("accept on %s: %s", l.Addr(), err) })
		if err != nil {
			<-s.places
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		u, ok := conn.(*net.UnixConn)
		if !ok {
			conn.Close()
			<-s.places
			return fmt.Errorf("%s is not a unix socket", l.Addr())
		}
		s.wg.Go(func() {
			s.connection(ipc.New(u))
			<-s.places
		})
	}
	return nil
}

// place waits until there may be one more connection; false: ctx has ended.
// Meanwhile connections that have nothing to do make room.
func (s *Server) place(ctx context.Context) bool {
	select {
	case s.places <- struct{}{}:
		return true
	default:
	}
	for {
		select {
		case s.places <- struct{}{}:
			return true
		case s.shed <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
}

// Drain ends kept connections that have nothing to do, and waits for
// deliveries in hand until ctx ends; then it cuts them off. Serve must have
// returned or be about to.
func (s *Server) Drain(ctx context.Context) error {
	s.quitOnce.Do(func() { close(s.quit) })
	ended := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		s.cut()
		<-ended
		return ctx.Err()
	}
}

// incoming is a request as it was received.
type incoming struct {
	frame []byte
	files []*os.File
}

// connection serves one connection until it ends.
func (s *Server) connection(conn *ipc.Conn) {
	defer conn.Close()
	if err := allowed(conn); err != nil {
		s.log.Warning("delivery request refused: %s", err)
		return
	}
	// A goroutine of its own reads all the time, so that a scheduler that
	// goes away is noticed in the middle of a delivery, which then stops: what
	// it would still deliver, nobody would know of.
	ctx, cancel := context.WithCancel(s.hand)
	defer cancel()
	requests, leave := make(chan incoming), make(chan struct{})
	go func() {
		defer close(requests)
		defer cancel()
		for {
			frame, files, err := conn.Receive()
			if err != nil {
				return
			}
			select {
			case requests <- incoming{frame, files}:
			case <-ctx.Done():
				ipc.CloseAll(files)
				return
			case <-leave:
				ipc.CloseAll(files)
				send(conn, answer{kind: answerNotTaken})
				return
			}
		}
	}()
	var shed chan struct{} // the first request of a connection is on its way
	for {
		select {
		case in, ok := <-requests:
			if !ok || !s.request(ctx, conn, in) {
				return
			}
			shed = s.shed
			continue
		case <-s.quit:
		case <-shed:
		}
		// A request that was read just now is answered by the reader, one that was
		// not is reset by the end of the connection.
		close(leave)
		conn.SetReadDeadline(time.Unix(1, 0))
		<-ctx.Done()
		return
	}
}

// allowed lets in root and the user of this process. The socket's directory
// keeps others out as well.
func allowed(conn *ipc.Conn) error {
	peer, err := conn.Peer()
	if err != nil {
		return err
	}
	if peer.UID != 0 && int(peer.UID) != os.Geteuid() {
		return fmt.Errorf("process %d of user %d", peer.PID, peer.UID)
	}
	return nil
}

// request runs one delivery; false ends the connection.
func (s *Server) request(ctx context.Context, conn *ipc.Conn, in incoming) bool {
	defer ipc.CloseAll(in.files)
	if len(in.files) != 1 {
		s.log.Warning("delivery request with %d files", len(in.files))
		return false
	}
	r, err := decodeRequest(in.frame, in.files[0])
	if err != nil {
		s.log.Warning("delivery request: %s", err)
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &results{conn: conn, reported: make([]bool, len(r.Recipients)), missing: len(r.Recipients), lost: cancel}
	err = s.call(ctx, r, w.done)
	end := answer{kind: answerDone}
	var site *deliver.SiteError
	switch {
	case errors.As(err, &site):
		end = answer{kind: answerSite, status: site.Status}
	case err != nil:
		end = answer{kind: answerFailure, text: err.Error()}
	}
	return w.end(end) == nil
}

// call calls the agent. A panic in it ends this delivery only.
func (s *Server) call(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Panic("%s: %s: %v; stack: %s", r.ID, r.Service, p, debug.Stack())
			err = errors.New("internal error in the delivery agent")
		}
	}()
	return s.agent.Deliver(ctx, r, done)
}

// results sends the results of one delivery. After the delivery's end it sends
// nothing more, whatever a stray goroutine of an agent does. The result that is
// the last one waits for the end, which most often follows at once.
type results struct {
	conn *ipc.Conn
	lost func() // called when the scheduler is gone

	mu       sync.Mutex
	reported []bool
	missing  int
	last     *answer
	over     bool
}

func (w *results) done(i mail.RecipientIndex, st mail.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || i < 0 || int(i) >= len(w.reported) || w.reported[i] {
		return
	}
	w.reported[i] = true
	a := answer{kind: answerResult, index: int(i), status: st}
	if w.missing--; w.missing == 0 {
		w.last = &a
		return
	}
	if send(w.conn, a) != nil {
		w.lost()
	}
}

func (w *results) end(a answer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.last != nil && a.kind == answerDone {
		w.last.kind = answerLast
		return send(w.conn, *w.last)
	}
	if w.last != nil {
		if err := send(w.conn, *w.last); err != nil {
			return err
		}
	}
	return send(w.conn, a)
}

func send(conn *ipc.Conn, a answer) error {
	conn.SetWriteDeadline(time.Now().Add(sendTime))
	return conn.Send(a.encode())
}
