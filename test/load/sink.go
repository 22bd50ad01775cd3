package main

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// sink accepts every message and counts them by their X-Load-Id.
type sink struct {
	loop    *loop
	port    int
	ended   atomic.Bool
	mu      sync.Mutex
	seen    map[string]int
	total   int
	newest  time.Time
	arrived chan struct{}
}

func startSink() (*sink, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	s := &sink{loop: l, seen: make(map[string]int), arrived: make(chan struct{}, 1)}
	s.port, err = l.listen(func(conn *stream) {
		conn.read = (&receiver{sink: s}).read
		l.write(conn, []byte("220 sink ESMTP\r\n"))
	})
	if err != nil {
		return nil, err
	}
	go l.run(s.ended.Load)
	return s, nil
}

func (s *sink) stop() { s.ended.Store(true) }

// receiver speaks as much SMTP as a relay needs.
type receiver struct {
	sink    *sink
	partial []byte // an unfinished line
	data    bool
	header  bool
	id      string
	out     []byte
}

var idHeader = []byte("X-Load-Id: ")

func (r *receiver) read(s *stream, data []byte) bool {
	r.out = r.out[:0]
	goOn := data != nil
	for len(data) > 0 && goOn {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			r.partial = append(r.partial, data...)
			break
		}
		line := data[:end+1]
		data = data[end+1:]
		if len(r.partial) > 0 {
			r.partial = append(r.partial, line...)
			line = r.partial
		}
		if r.data {
			r.content(line)
		} else {
			goOn = r.command(line)
		}
		r.partial = r.partial[:0]
	}
	if len(r.out) > 0 {
		r.sink.loop.write(s, r.out)
	}
	return goOn
}

// command answers a command; false ends the connection.
func (r *receiver) command(line []byte) bool {
	verb := ""
	if len(line) >= 4 {
		verb = string(bytes.ToUpper(line[:4]))
	}
	switch verb {
	case "EHLO":
		r.out = append(r.out, "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n"...)
	case "DATA":
		r.out = append(r.out, "354 go on\r\n"...)
		r.data, r.header, r.id = true, true, ""
	case "QUIT":
		r.out = append(r.out, "221 bye\r\n"...)
		return false
	default:
		r.out = append(r.out, "250 2.0.0 Ok\r\n"...)
	}
	return true
}

// content takes a line of a message.
func (r *receiver) content(line []byte) {
	switch {
	case len(line) == 3 && line[0] == '.':
		r.data = false
		r.sink.note(r.id)
		r.out = append(r.out, "250 2.0.0 Ok\r\n"...)
	case r.header && bytes.HasPrefix(line, idHeader):
		r.id = string(bytes.TrimSpace(line[len(idHeader):]))
	case len(line) == 2:
		r.header = false
	}
}

func (s *sink) note(id string) {
	s.mu.Lock()
	s.seen[id]++
	s.total++
	s.newest = time.Now()
	s.mu.Unlock()
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

func (s *sink) distinct() int   { s.mu.Lock(); defer s.mu.Unlock(); return len(s.seen) }
func (s *sink) received() int   { s.mu.Lock(); defer s.mu.Unlock(); return s.total }
func (s *sink) last() time.Time { s.mu.Lock(); defer s.mu.Unlock(); return s.newest }

// waitFor waits until that many different messages have arrived.
func (s *sink) waitFor(n int, limit time.Duration) error {
	timeout := time.After(limit)
	for s.distinct() < n {
		select {
		case <-s.arrived:
		case <-timeout:
			return fmt.Errorf("%d of %d messages arrived within %v", s.distinct(), n, limit)
		}
	}
	return nil
}
