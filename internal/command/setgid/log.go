package setgid

import (
	"bytes"
	"net"

	"posthaste/internal/maillog"
)

// openLog opens the log under a tag. Without a way to log there is none: the
// command goes on.
func (c *command) openLog(name string) {
	common := &c.p.Common
	if common.MaillogFile == "" {
		if sink, err := maillog.NewSyslog(maillog.SyslogSocket, common.SyslogFacility); err == nil {
			c.log = maillog.NewBase(sink, common.SyslogName).Named(name)
		}
		return
	}
	c.log = maillog.NewBase(c.fileSink(), common.SyslogName).Named(name)
}

// fileSink makes lines for maillog_file.
func (c *command) fileSink() maillog.Sink {
	return maillog.NewFile(&lineSender{c: c, socket: "public/" + c.p.PublicPostlog}, c.p.Common.MyHostname)
}

// lineSender sends lines to the service that writes the log file. While that is
// down, somebody with no more rights than his own writes the file himself.
type lineSender struct {
	c      *command
	socket string
	conn   *net.UnixConn
}

func (s *lineSender) Write(line []byte) (int, error) {
	if s.conn == nil {
		s.conn, _ = net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	}
	if s.conn != nil {
		if _, err := s.conn.Write(bytes.TrimRight(line, "\n")); err == nil {
			return len(line), nil
		}
	}
	if s.c.Raised {
		return len(line), nil
	}
	f, err := maillog.OpenFile(s.c.p.Common.MaillogFile)
	if err != nil {
		return len(line), nil
	}
	if s.c.p.Common.MaillogFile != "/dev/stdout" { // which is whom the command answers
		f.Write(line)
		f.Close()
	}
	return len(line), nil
}
