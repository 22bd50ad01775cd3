package maillog

import (
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// File is a sink that writes lines as Postfix's postlogd does:
//
//	Nov 23 23:45:01 host postfix/smtpd[123]: text
//
// Each line is one write; after Gather, lines given to Later wait for the next.
// The file is opened for appending, so that several processes can share it.
type File struct {
	file io.Writer
	host string
	pid  string
	now  func() time.Time

	mu      sync.Mutex
	second  int64  // the stamp is of
	stamp   []byte // as it stands in a line
	gather  bool
	waiting []byte      // lines of Later
	timer   *time.Timer // writes them when no other line comes; nil: none waited yet
}

// company is how long a line of Later waits at most.
const company = 5 * time.Millisecond

// NewFile makes a sink on an open file, which stays its owner's, or on anything
// else that takes one line per Write. host is
// myhostname; the log shows its first label.
func NewFile(f io.Writer, host string) *File {
	host, _, _ = strings.Cut(host, ".")
	return &File{file: f, host: Sanitize(host), pid: strconv.Itoa(os.Getpid()), now: time.Now}
}

// OpenFile opens a log file for a File sink and creates it, mode 0600, when it
// is missing; /dev/stdout is this process's standard output. For any other
// file the parent directory must exist.
func OpenFile(path string) (*os.File, error) {
	if path == "/dev/stdout" {
		return os.Stdout, nil
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
}

// stamp is the time format of both sinks that print one. Postfix's file log
// has a zero before a one-digit day; syslog (RFC 3164) a space.
const (
	fileStamp   = "Jan 02 15:04:05"
	syslogStamp = time.Stamp
)

// Write implements Sink. An error is not reported: there is no place to.
func (f *File) Write(_ Level, tag, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(tag, text)
	f.flush()
}

// Gather lets lines of Later wait, and returns f; a process that calls it must
// call Flush in the end. Of a message's seven lines only three then have to be a
// write of their own.
func (f *File) Gather() *File {
	f.gather = true
	return f
}

// Later implements LaterSink.
func (f *File) Later(tag, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := len(f.waiting) == 0
	f.add(tag, text)
	switch {
	case !f.gather:
		f.flush()
	case !first:
	case f.timer == nil:
		f.timer = time.AfterFunc(company, f.Flush)
	default:
		f.timer.Reset(company)
	}
}

// Flush implements LaterSink.
func (f *File) Flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flush()
}

func (f *File) add(tag, text string) {
	if now := f.now(); now.Unix() != f.second || len(f.stamp) == 0 {
		f.second, f.stamp = now.Unix(), now.AppendFormat(f.stamp[:0], fileStamp)
	}
	f.waiting = append(appendLine(f.waiting, f.stamp, f.host, tag, f.pid, text), '\n')
}

func (f *File) flush() {
	if len(f.waiting) > 0 {
		f.file.Write(f.waiting)
		f.waiting = f.waiting[:0]
	}
}

// appendLine formats a line as it stands in a log file, without its end.
func appendLine(b, stamp []byte, host, tag, pid, text string) []byte {
	b = append(b, stamp...)
	b = append(b, ' ')
	b = append(b, host...)
	b = append(b, ' ')
	b = append(b, tag...)
	b = append(b, '[')
	b = append(b, pid...)
	b = append(b, "]: "...)
	return append(b, text...)
}

// Relay writes a line that has its time and tag already.
func (f *File) Relay(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(append(f.waiting, line...), '\n')
	f.flush()
}
