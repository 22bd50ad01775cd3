package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue/record"
)

// agent is an agent made of one function.
type agent func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error

func (f agent) Deliver(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	return f(ctx, r, done)
}

// site is a running server and a client of it.
type site struct {
	t      *testing.T
	path   string
	server *Server
	client *Client
	log    *maillog.Memory
	stop   func()
	most   int // connections of the server
}

func newSite(t *testing.T, a deliver.Agent) *site {
	dir, err := os.MkdirTemp("", "remote") // a short path: sun_path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &site{t: t, most: 100, path: filepath.Join(dir, "smtp"), log: new(maillog.Memory)}
	s.client = NewClient(s.path, 10)
	t.Cleanup(s.client.Close)
	s.start(a)
	return s
}

// start starts a server at the site's path.
func (s *site) start(a deliver.Agent) {
	os.Remove(s.path)
	l, err := net.Listen("unix", s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	s.server = NewServer(a, maillog.New(s.log, "postfix/smtp"), s.most)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	server := s.server
	go func() { ended <- server.Serve(ctx, l) }()
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				s.t.Error(err)
			}
			now, cancel := context.WithCancel(context.Background())
			cancel()
			server.Drain(now)
		})
	}
	s.t.Cleanup(s.stop)
}

// request makes a request for n recipients with a content file.
func request(t *testing.T, n int) deliver.Request {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	f.WriteString("head content tail")
	r := deliver.Request{
		ID: "4abcDEF", Service: "smtp", Nexthop: "[mx.c.test]:25", Size: 7,
		Envelope: mail.Envelope{Sender: "a@b.test", Arrival: time.Unix(5, 6000)},
		Content:  record.Content{File: f, Offset: 5, Length: 7, Digest: 9, Summed: true},
	}
	for i := range n {
		r.Recipients = append(r.Recipients, mail.Recipient{Address: mail.Address(fmt.Sprintf("r%d@c.test", i))})
	}
	return r
}

func TestDelivery(t *testing.T) {
	type seen struct {
		request deliver.Request
		content string
	}
	calls := make(chan seen, 1)
	s := newSite(t, agent(func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		b := make([]byte, r.Content.Length)
		r.Content.File.ReadAt(b, r.Content.Offset)
		calls <- seen{r, string(b)}
		done(1, mail.Bounce("5.1.1", "no such user"))
		done(0, mail.Sent("2.0.0", "ok"))
		done(0, mail.Sent("2.0.0", "again"))
		done(7, mail.Sent("2.0.0", "nobody"))
		return nil
	}))
	want := request(t, 3)
	for range 2 { // the second time over the same connection
		var results []string
		err := s.client.Deliver(t.Context(), want, func(i mail.RecipientIndex, st mail.Status) {
			results = append(results, fmt.Sprintf("%d %d %s %s", i, st.Action, st.Code, st.Reason))
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"1 2 5.1.1 no such user", "0 1 2.0.0 ok"}; !slices.Equal(results, want) {
			t.Errorf("%q", results)
		}
		got := <-calls
		if got.content != "content" {
			t.Errorf("content %q", got.content)
		}
		got.request.Content.File = want.Content.File
		if !reflect.DeepEqual(got.request, want) {
			t.Errorf("got  %+v\nwant %+v", got.request, want)
		}
	}
	if n := len(s.client.idle); n != 1 {
		t.Errorf("%d kept connections", n)
	}
}

func TestOutcome(t *testing.T) {
	answers := make(chan error, 1)
	s := newSite(t, agent(func(context.Context, deliver.Request, func(mail.RecipientIndex, mail.Status)) error {
		answer := <-answers
		if answer == nil {
			panic("oops")
		}
		return answer
	}))
	none := func(mail.RecipientIndex, mail.Status) {}
	answers <- &deliver.SiteError{Status: mail.Defer("4.4.1", "connection refused")}
	var se *deliver.SiteError
	if err := s.client.Deliver(t.Context(), request(t, 1), none); !errors.As(err, &se) || se.Status.Reason != "connection refused" {
		t.Errorf("%v", err)
	}
	answers <- errors.New("disk on fire")
	if err := s.client.Deliver(t.Context(), request(t, 1), none); err == nil || err.Error() != "disk on fire" || Unavailable(err) {
		t.Errorf("%v", err)
	}
	answers <- nil
	if err := s.client.Deliver(t.Context(), request(t, 1), none); err == nil || Unavailable(err) || !s.log.Contains("panic: 4abcDEF: smtp: oops") {
		t.Errorf("%v, log %s", err, s.log)
	}
}

func TestUnavailable(t *testing.T) {
	c := NewClient(filepath.Join(t.TempDir(), "smtp"), 1)
	err := c.Deliver(t.Context(), request(t, 1), nil)
	if !Unavailable(err) {
		t.Errorf("%v", err)
	}
}

// A server that is replaced between two requests is not noticed.
func TestReplacedServer(t *testing.T) {
	var calls atomic.Int32
	a := agent(func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		calls.Add(1)
		return nil
	})
	s := newSite(t, a)
	for range 3 {
		if err := s.client.Deliver(t.Context(), request(t, 1), nil); err != nil {
			t.Fatal(err)
		}
		s.stop()
		s.start(a)
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls", n)
	}
}

// A connection that is lost in the middle keeps the results so far.
func TestLostConnection(t *testing.T) {
	began := make(chan struct{})
	s := newSite(t, agent(func(ctx context.Context, _ deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		done(0, mail.Sent("2.0.0", "ok"))
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}))
	l, err := net.Listen("unix", s.path+".relay")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // passes on one request and dies when the delivery has begun
		c, err := l.Accept()
		if err != nil {
			return
		}
		in := ipc.New(c.(*net.UnixConn))
		out, err := ipc.Dial(s.path)
		if err != nil {
			return
		}
		frame, files, _ := in.Receive()
		out.Send(frame, files...)
		frame, _, _ = out.Receive()
		in.Send(frame)
		<-began
		in.Close()
		out.Close() // the server's agent is told
	}()
	var results []mail.RecipientIndex
	c := NewClient(s.path+".relay", 1)
	err = c.Deliver(t.Context(), request(t, 2), func(i mail.RecipientIndex, _ mail.Status) { results = append(results, i) })
	if err == nil || Unavailable(err) || !slices.Equal(results, []mail.RecipientIndex{0}) {
		t.Errorf("%v %v", err, results)
	}
}

// A server that is about to leave takes nothing more; the request goes to its
// successor.
func TestNotTaken(t *testing.T) {
	var called atomic.Int32
	s := newSite(t, agent(func(_ context.Context, _ deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		called.Add(1)
		done(0, mail.Sent("2.0.0", "ok"))
		return nil
	}))
	l, err := net.Listen("unix", s.path+".leaving")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		leaving := ipc.New(c.(*net.UnixConn))
		_, files, _ := leaving.Receive()
		ipc.CloseAll(files)
		os.Rename(s.path, s.path+".leaving")
		send(leaving, answer{kind: answerNotTaken})
		leaving.Close()
	}()
	c := NewClient(s.path+".leaving", 1)
	defer c.Close()
	sent := 0
	err = c.Deliver(t.Context(), request(t, 1), func(mail.RecipientIndex, mail.Status) { sent++ })
	if n := called.Load(); err != nil || sent != 1 || n != 1 {
		t.Errorf("%v, %d results, %d calls", err, sent, n)
	}
}

// Drain waits for a delivery in hand, and cuts it off when its time is over.
func TestDrain(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	s := newSite(t, agent(func(ctx context.Context, _ deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		began <- struct{}{}
		select {
		case <-goOn:
			done(0, mail.Sent("2.0.0", "ok"))
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}))
	ended := make(chan error)
	ask := func() {
		ended <- s.client.Deliver(context.Background(), request(t, 1), func(mail.RecipientIndex, mail.Status) {})
	}
	go ask()
	<-began
	go func() { goOn <- struct{}{} }()
	if err := s.server.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s.stop()
	s.start(s.server.agent)
	go ask()
	<-began
	now, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.server.Drain(now); err == nil {
		t.Error("nothing was cut off")
	}
	if err := <-ended; err == nil {
		t.Error("the delivery that was cut off has no error")
	}
}

// A cancelled delivery tells the agent.
func TestCancel(t *testing.T) {
	began, told := make(chan struct{}), make(chan struct{})
	s := newSite(t, agent(func(ctx context.Context, _ deliver.Request, _ func(mail.RecipientIndex, mail.Status)) error {
		close(began)
		<-ctx.Done()
		close(told)
		return ctx.Err()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if err := s.client.Deliver(ctx, request(t, 1), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-told
}

func TestConcurrent(t *testing.T) {
	s := newSite(t, agent(func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		for i, rcpt := range r.Recipients {
			done(mail.RecipientIndex(i), mail.Sent("2.0.0", "%s", rcpt.Address))
		}
		return nil
	}))
	var wg sync.WaitGroup
	r := request(t, 20)
	for range 30 {
		wg.Go(func() {
			n := 0
			err := s.client.Deliver(t.Context(), r, func(i mail.RecipientIndex, st mail.Status) {
				if st.Reason == string(r.Recipients[i].Address) {
					n++
				}
			})
			if err != nil || n != 20 {
				t.Errorf("%d results, %v", n, err)
			}
		})
	}
	wg.Wait()
	if n := len(s.client.idle); n > 10 {
		t.Errorf("%d kept connections", n)
	}
}

// Connections that have nothing to do make room for others, and a request that
// comes meanwhile is served all the same.
func TestFewConnections(t *testing.T) {
	a := agent(func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		time.Sleep(time.Millisecond)
		done(0, mail.Sent("2.0.0", "ok"))
		return nil
	})
	s := newSite(t, a)
	s.stop()
	s.most = 2
	s.start(a)
	other := NewClient(s.path, 10)
	defer other.Close()
	r := request(t, 1)
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			for range 20 {
				err := []*Client{s.client, other}[n%2].Deliver(t.Context(), r, func(mail.RecipientIndex, mail.Status) {})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(s.server.places); n > 2 {
		t.Errorf("%d connections", n)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(encodeRequest(&deliver.Request{ID: "4a", Recipients: []mail.Recipient{{Address: "a@b"}}}))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, frame []byte) {
		r, err := decodeRequest(frame, nil)
		if err == nil && (!r.ID.Valid() || r.Content.Offset < 0) {
			t.Errorf("%+v", r)
		}
		if a, err := decodeAnswer(frame, 3); err == nil && a.index > 2 {
			t.Errorf("%+v", a)
		}
	})
}
