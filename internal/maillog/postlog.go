package maillog

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Postlog is a sink that hands lines to the postlog service of the running
// mail system, for programs that cannot reach its log: one datagram a line,
// formatted as in a log file.
type Postlog struct {
	path, host, pid string
	now             func() time.Time
}

// NewPostlog makes a sink for the socket at path. When nobody listens there,
// lines are lost.
func NewPostlog(path, host string) *Postlog {
	host, _, _ = strings.Cut(host, ".")
	return &Postlog{path: path, host: Sanitize(host), pid: strconv.Itoa(os.Getpid()), now: time.Now}
}

// Write implements Sink.
func (p *Postlog) Write(_ Level, tag, text string) {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: p.path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(logTimeout))
	c.Write(appendLine(nil, p.now().AppendFormat(nil, fileStamp), p.host, tag, p.pid, text))
}
