package smtp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
)

// connUse delivers one message and tells how often its connection was used.
func (s *setup) connUse(t *testing.T, r deliver.Request) int {
	t.Helper()
	use := 0
	err := s.Deliver(t.Context(), r, func(_ mail.RecipientIndex, st mail.Status) {
		if st.Action != mail.Passed {
			t.Errorf("result is %s", render(st))
		}
		use = st.ConnUse
	})
	if err != nil {
		t.Errorf("deliver: %v", err)
	}
	return use
}

func TestConnectionIsKept(t *testing.T) {
	t.Parallel()
	for _, pipelining := range []string{"250-PIPELINING\r\n", ""} {
		srv := serve(t, "", map[string][]string{"EHLO": {"250-mx.test\r\n" + pipelining + "250 DSN\r\n"}})
		a := newSetup(t, params(), nil, false)
		for i, want := range []int{1, 1, 2, 3} { // the second message shows that mail is frequent
			if got := a.connUse(t, request(t, srv.addr.String(), "a@b.test")); got != want {
				t.Errorf("message %d: connection used %d times, want %d", i, got, want)
			}
		}
		commands, messages, sessions := srv.said()
		text := strings.Join(commands, " ")
		if sessions != 2 || len(messages) != 4 || strings.Count(text, "DATA RSET MAIL") != 2 {
			t.Errorf("%d sessions, %d messages, commands %s; want 2, 4, and RSET between messages", sessions, len(messages), text)
		}
	}
}

func TestKeptConnectionDies(t *testing.T) {
	t.Parallel()
	for _, rset := range []string{"DROP", "421 4.4.2 idle\r\n", "500 what\r\n"} {
		for _, pipelining := range []string{"250-PIPELINING\r\n", ""} {
			srv := serve(t, "", map[string][]string{"RSET": {rset}, "EHLO": {"250-mx.test\r\n" + pipelining + "250 DSN\r\n"}})
			a := newSetup(t, params(), nil, false)
			for i := range 4 {
				if got := a.connUse(t, request(t, srv.addr.String(), "a@b.test")); got != 1 {
					t.Errorf("message %d: connection used %d times, want a new one", i, got)
				}
			}
			if _, messages, _ := srv.said(); len(messages) != 4 {
				t.Errorf("RSET answered by %q: %d messages arrived, want 4", rset, len(messages))
			}
		}
	}
}

func TestConnectionIsKeptWhenListed(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", nil)
	p := params()
	p.CacheOnDemand, p.CacheDestinations = false, "127.0.0.1"
	a := newSetup(t, p, nil, false)
	for want := 1; want < 4; want++ {
		if got := a.connUse(t, request(t, srv.addr.String(), "a@b.test")); got != want {
			t.Errorf("connection used %d times, want %d", got, want)
		}
	}
	// Another destination with the same server gets the same connection.
	if got := a.connUse(t, request(t, "["+srv.addr.Addr().String()+"]:"+fmt.Sprint(srv.addr.Port()), "a@c.test")); got != 4 {
		t.Errorf("by address: connection used %d times, want 4", got)
	}
}

func TestReuseLimits(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", nil)
	p := params()
	p.CacheDestinations, p.ReuseCountLimit = "127.0.0.1", 2
	a := newSetup(t, p, nil, false)
	for i, want := range []int{1, 2, 3, 1} {
		if got := a.connUse(t, request(t, srv.addr.String(), "a@b.test")); got != want {
			t.Errorf("message %d: connection used %d times, want %d", i, got, want)
		}
	}
	p.ReuseCountLimit, p.ReuseTimeLimit = 0, 0
	a = newSetup(t, p, nil, false)
	for range 2 {
		if got := a.connUse(t, request(t, srv.addr.String(), "a@b.test")); got != 1 {
			t.Errorf("time limit: connection used %d times, want 1", got)
		}
	}
}

// A connection nobody takes is closed with QUIT when its time is over, and all
// are when the agent is closed.
func TestKeptConnectionIsClosed(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{20 * time.Millisecond, time.Hour} {
		srv := serve(t, "", nil)
		p := params()
		p.CacheDestinations, p.CacheTimeLimit = "127.0.0.1", limit
		a := newSetup(t, p, nil, false)
		a.connUse(t, request(t, srv.addr.String(), "a@b.test"))
		if limit == time.Hour {
			a.Close()
		}
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			commands, _, _ := srv.said()
			if commands[len(commands)-1] == "QUIT" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("limit %v: no QUIT in %q", limit, commands)
			}
		}
		if s := a.cache.takePeer(srv.addr.String()); s != nil {
			t.Errorf("limit %v: a closed connection is still kept", limit)
		}
	}
}

func TestDemandIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache(0)
	for i := range maxDemand + 5 {
		key := fmt.Sprint(i)
		c.begin(key)
		c.end(key)
	}
	if n := len(c.demand); n > maxDemand {
		t.Errorf("%d destinations are remembered, want at most %d", n, maxDemand)
	}
}

// TestKeptConnectionCannotTakeMail shows that a kept connection to the only
// server says the last word, once, about mail that the server cannot take.
func TestKeptConnectionCannotTakeMail(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", map[string][]string{"EHLO": {"250-mx.test\r\n250 DSN\r\n"}})
	p := params()
	p.CacheOnDemand, p.CacheDestinations = false, "127.0.0.1"
	a := newSetup(t, p, nil, false)
	a.connUse(t, request(t, srv.addr.String(), "a@b.test"))
	r := request(t, srv.addr.String(), "a@b.test")
	r.Envelope.Options |= mail.OptionSMTPUTF8 | mail.OptionUTF8Header
	var results []mail.Status
	if err := a.Deliver(t.Context(), r, func(_ mail.RecipientIndex, st mail.Status) { results = append(results, st) }); err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 || results[0].Action != mail.Bounced || results[0].Code != "5.6.7" {
		t.Errorf("results are %v, want one with 5.6.7", results)
	}
	if got := a.connUse(t, request(t, srv.addr.String(), "a@b.test")); got != 3 {
		t.Errorf("the next message used the connection %d times, want 3", got)
	}
}
