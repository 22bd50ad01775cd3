package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"sync"
	"time"
)

// sink accepts every message and counts them by their X-Load-Id.
type sink struct {
	listener net.Listener
	port     int
	mu       sync.Mutex
	seen     map[string]int
	total    int
	newest   time.Time
	arrived  chan struct{}
}

func startSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{listener: l, port: l.Addr().(*net.TCPAddr).Port, seen: make(map[string]int), arrived: make(chan struct{}, 1)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s, nil
}

func (s *sink) stop() { s.listener.Close() }

var idHeader = []byte("X-Load-Id: ")

// serve speaks as much SMTP as a relay needs.
func (s *sink) serve(conn net.Conn) {
	defer conn.Close()
	r, w := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriter(conn)
	reply := func(text string) {
		w.WriteString(text)
		if r.Buffered() == 0 {
			w.Flush()
		}
	}
	reply("220 sink ESMTP\r\n")
	for {
		line, err := r.ReadSlice('\n')
		if err != nil || len(line) < 4 {
			return
		}
		switch string(bytes.ToUpper(line[:4])) {
		case "EHLO":
			reply("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n")
		case "DATA":
			reply("354 go on\r\n")
			w.Flush()
			id, ok := readData(r)
			if !ok {
				return
			}
			s.note(id)
			reply("250 2.0.0 Ok\r\n")
		case "QUIT":
			reply("221 bye\r\n")
			w.Flush()
			return
		default:
			reply("250 2.0.0 Ok\r\n")
		}
	}
}

// readData reads up to the final dot and returns the message's number.
func readData(r *bufio.Reader) (id string, ok bool) {
	header := true
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return "", false
		}
		if header && bytes.HasPrefix(line, idHeader) {
			id = string(bytes.TrimSpace(line[len(idHeader):]))
		}
		header = header && len(line) > 2
		if len(line) == 3 && line[0] == '.' {
			return id, true
		}
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
