package maillog

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Syslog is a sink that speaks RFC 3164 to the local syslog socket. The
// connection is made at once, so that it outlives a chroot, and again when it
// was lost (syslogd restarted).
type Syslog struct {
	path     string
	facility int
	pid      int
	now      func() time.Time

	mu   sync.Mutex
	conn *net.UnixConn // nil: not connected
}

// SyslogSocket is where syslogd listens.
const SyslogSocket = "/dev/log"

var facilities = map[string]int{
	"auth": 4, "authpriv": 10, "cron": 9, "daemon": 3, "ftp": 11, "kern": 0,
	"local0": 16, "local1": 17, "local2": 18, "local3": 19,
	"local4": 20, "local5": 21, "local6": 22, "local7": 23,
	"lpr": 6, "mail": 2, "news": 7, "security": 4, "syslog": 5, "user": 1, "uucp": 8,
}

// NewSyslog makes a sink for a syslog_facility on the socket at path. A
// missing syslogd is no error: lines are lost until it is there.
func NewSyslog(path, facility string) (*Syslog, error) {
	n, found := facilities[strings.ToLower(facility)]
	if !found {
		return nil, fmt.Errorf("unknown syslog facility: %s", Sanitize(facility))
	}
	s := &Syslog{path: path, facility: n, pid: os.Getpid(), now: time.Now}
	s.connect()
	return s, nil
}

func (s *Syslog) connect() {
	if c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.path, Net: "unixgram"}); err == nil {
		s.conn = c
	}
}

// severities: info, warning, err, and crit twice.
var severities = [...]int{6, 4, 3, 2, 2}

// logTimeout bounds how long a busy syslogd may hold up mail.
const logTimeout = 5 * time.Second

// Write implements Sink.
func (s *Syslog) Write(level Level, tag, text string) {
	line := fmt.Appendf(nil, "<%d>%s %s[%d]: %s", s.facility<<3|severities[level],
		s.now().Format(syslogStamp), tag, s.pid, text)
	s.mu.Lock()
	defer s.mu.Unlock()
	for range 2 {
		if s.conn == nil {
			s.connect()
		}
		if s.conn == nil {
			return
		}
		s.conn.SetWriteDeadline(time.Now().Add(logTimeout))
		if _, err := s.conn.Write(line); err == nil {
			return
		}
		s.conn.Close()
		s.conn = nil
	}
}

// Close ends the connection.
func (s *Syslog) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
