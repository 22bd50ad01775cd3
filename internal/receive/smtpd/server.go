// Package smtpd is the SMTP server (Postfix smtpd(8)): it speaks SMTP with
// clients, decides by the restriction lists what they may send, and hands
// accepted mail to the door of the queue. It may touch its connections and,
// through what it is given, tables, names and the door; it knows nothing of
// the queue, and writes no file.
//
// A session is one goroutine with one loop (session.go); every command has a
// method that returns its reply. server.go accepts connections.
package smtpd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"posthaste/internal/gang"
	"posthaste/internal/ipc"
	"posthaste/internal/receive/smtpd/restrictions"
	"posthaste/internal/table"
)

// Server is an SMTP server for one row of master.cf.
type Server struct {
	p        Params
	deps     Deps
	check    *restrictions.Checker
	anvil    *Anvil
	noLimits *table.AddressList // smtpd_client_event_limit_exceptions
	verp     *table.AddressList // smtpd_authorized_verp_clients
	oldLF    *table.AddressList // smtpd_forbid_bare_newline_exclusions
	forbid   *table.StringList
	keywords *table.Maps
	bareLF   bareLFMode
	big      sync.Pool // buffers for content: *[]byte

	slots    chan struct{} // one token per session; nil: no limit
	active   atomic.Int64
	draining atomic.Bool

	mu       sync.Mutex
	sessions map[*session]struct{} // guarded by mu
	gang     *gang.Gang            // runs sessions
	wg       sync.WaitGroup        // one per session
	serving  int                   // guarded by mu: calls of Serve, and connections that they accepted
	idle     chan struct{}         // guarded by mu: closed when serving is 0; nil: nobody waits
}

// bigBuffer is the usual size of a buffer for content.
const bigBuffer = 32 << 10

// New makes a server. Errors are those of the configuration: no relay control
// (restrictions.ErrNoRelayControl), an undefined restriction class, a bad value.
func New(p Params, deps Deps) (*Server, error) {
	p.Access.Common = p.Common
	s := &Server{p: p, deps: deps, anvil: deps.Anvil, sessions: map[*session]struct{}{}, gang: gang.New()}
	var err error
	if s.bareLF, err = parseBareLF(p.ForbidBareLF); err != nil {
		return nil, err
	}
	newChecker := restrictions.New
	if deps.StandAlone {
		newChecker = restrictions.None
	}
	s.check, err = newChecker(p.Access, restrictions.Deps{
		Log: deps.Log, Tables: deps.Tables, Resolver: deps.Resolver, Class: deps.Class, IsOwn: deps.IsOwn, Sleep: sleep,
	})
	if err != nil {
		return nil, err
	}
	list := func(param, value string) *table.AddressList {
		return table.NewAddressList(deps.Tables, param, value,
			table.ParentMatches(deps.Tables, p.Common.ParentMatches, param))
	}
	s.noLimits = list("smtpd_client_event_limit_exceptions", p.Anvil.Exceptions)
	s.oldLF = list("smtpd_forbid_bare_newline_exclusions", p.ForbidBareLFExcept)
	s.verp = list("smtpd_authorized_verp_clients", p.VERPClients)
	s.forbid = table.NewStringList(deps.Tables, "smtpd_forbidden_commands", p.ForbiddenCommands)
	s.keywords = table.NewMaps(deps.Tables, "smtpd_discard_ehlo_keyword_address_maps", p.DiscardKeywordMaps)
	if s.anvil == nil {
		s.anvil = NewAnvil(p.Anvil.TimeUnit)
	}
	if deps.MaxSessions > 0 {
		s.slots = make(chan struct{}, deps.MaxSessions)
	}
	size := max(bigBuffer, p.Common.LineLengthLimit+2)
	s.big.New = func() any { b := make([]byte, size); return &b }
	return s, nil
}

// bareLFMode is smtpd_forbid_bare_newline.
type bareLFMode uint8

const (
	bareLFAllow bareLFMode = iota
	bareLFNote
	bareLFNormalize
	bareLFReject
)

func parseBareLF(value string) (bareLFMode, error) {
	switch strings.ToLower(value) {
	case "no":
		return bareLFAllow, nil
	case "note":
		return bareLFNote, nil
	case "normalize", "yes":
		return bareLFNormalize, nil
	case "reject":
		return bareLFReject, nil
	}
	return 0, fmt.Errorf("bad parameter value: 'smtpd_forbid_bare_newline = %s'", value)
}

// Serve accepts connections until ctx is done or the listener fails. It can be
// called for several listeners, which then share the limit of sessions.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.enter()
	defer s.leave()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for ctx.Err() == nil {
		if s.slots != nil {
			select {
			case s.slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
		}
		conn, err := ipc.Accept(ctx, ln, func(err error) { s.deps.Log.Warning("accept connection: %v", err) })
		if err != nil {
			s.release()
			if s.draining.Load() || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		s.enter()
		s.gang.Go(func() {
			defer s.leave()
			s.ServeConn(context.WithoutCancel(ctx), conn)
			s.release()
		})
	}
	return nil
}

func (s *Server) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving++
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving--; s.serving == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

func (s *Server) release() {
	if s.slots != nil {
		<-s.slots
	}
}

// ServeConn serves one connection and closes it.
func (s *Server) ServeConn(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ses := s.newSession(ctx, conn)
	if !s.register(ses) { // it was accepted a moment too late
		ses.readError(errDrain)
		ses.link.flush()
		conn.Close()
		return
	}
	defer s.wg.Done()
	s.active.Add(1)
	defer s.active.Add(-1)
	ses.serve()
	s.mu.Lock()
	delete(s.sessions, ses)
	s.mu.Unlock()
}

func (s *Server) register(ses *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.sessions[ses] = struct{}{}
	s.wg.Add(1)
	return true
}

// stressed tells whether all sessions are in use.
func (s *Server) stressed() bool {
	return s.deps.MaxSessions > 0 && s.active.Load() >= int64(s.deps.MaxSessions)
}

// Finish returns when the listeners have been closed and all sessions have come
// to their end, also those that were accepted at the last moment, or when ctx is
// done. It asks no client to leave.
func (s *Server) Finish(ctx context.Context) {
	s.mu.Lock()
	if s.serving == 0 {
		s.mu.Unlock()
		return
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// Drain lets sessions finish the transaction they are in, tells their clients
// to come back later, and returns when all have ended or ctx is done. The
// listeners should be closed first.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	for ses := range s.sessions {
		ses.link.wake()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sleep waits, but not longer than ctx.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
