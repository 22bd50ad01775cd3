package maillog

import (
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// File is a sink that writes lines as Postfix's postlogd does:
//
//	Nov 23 23:45:01 host postfix/smtpd[123]: text
//
// Each line is one write. The file is opened for appending, so that several
// processes can share it.
type File struct {
	file io.Writer
	host string
	pid  string
	now  func() time.Time
}

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
	b := make([]byte, 0, len(fileStamp)+len(f.host)+len(tag)+len(text)+16)
	f.file.Write(append(appendLine(b, f.now(), f.host, tag, f.pid, text), '\n'))
}

// appendLine formats a line as it stands in a log file, without its end.
func appendLine(b []byte, now time.Time, host, tag, pid, text string) []byte {
	b = now.AppendFormat(b, fileStamp)
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
func (f *File) Relay(line string) { f.file.Write([]byte(line + "\n")) }
