package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"posthaste/test/harness"
	"posthaste/test/peer"
)

// main.cf of all trials: everything goes by the transport slow.
const baseMain = `mydestination =
default_transport = slow:[127.0.0.1]:@SINK@
smtpd_recipient_limit = 100000
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
smtp_connection_cache_on_demand = no
smtp_skip_5xx_greeting = yes
minimal_backoff_time = 300s
`

// delivery is what a sink saw: to whom, and when it began and was accepted.
type delivery struct {
	to         string
	begun, end time.Time
}

// site is a running instance with a sink.
type site struct {
	*harness.Instance
	sink *peer.Sink

	mu   sync.Mutex
	seen []delivery
}

// newSink is a sink that takes a time for each delivery and notes it.
func (s *site) newSink(each time.Duration) (*peer.Sink, error) {
	p, err := peer.NewSink()
	if err != nil {
		return nil, err
	}
	p.Judge(func(verb string, t peer.Transaction) string {
		if verb != "." {
			return ""
		}
		time.Sleep(each)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, to := range t.Recipients {
			s.seen = append(s.seen, delivery{to, t.Begin, time.Now()})
		}
		return ""
	})
	return p, nil
}

// begin starts an instance whose transport slow has so many places.
func begin(system harness.System, places int, each time.Duration, settings ...string) (*site, error) {
	s := &site{}
	var err error
	if s.sink, err = s.newSink(each); err != nil {
		return nil, err
	}
	s.Instance, err = harness.New(harness.Config{
		System: system, Main: baseMain + strings.Join(settings, "\n") + "\n",
		Master: fmt.Sprintf("slow unix - - n - %d smtp\n", places),
		Values: map[string]string{"SINK": fmt.Sprint(s.sink.Port)},
	})
	if err != nil {
		s.sink.Close()
		return nil, err
	}
	if err := s.Start(); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

func (s *site) end() {
	s.Stop()
	s.sink.Close()
}

// deliveries is what was delivered so far to addresses with a suffix.
func (s *site) deliveries(suffix string) (list []delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.seen {
		if strings.HasSuffix(d.to, suffix) {
			list = append(list, d)
		}
	}
	return list
}

// wait waits until there are so many.
func (s *site) wait(suffix string, n int, limit time.Duration) error {
	return harness.Until(limit, func() error {
		if have := len(s.deliveries(suffix)); have < n {
			return fmt.Errorf("%d of %d deliveries to %s", have, n, suffix)
		}
		return nil
	})
}

// logged counts the lines of the log that contain a text.
func (s *site) logged(text string) int { return strings.Count(s.LogText(), text) }
