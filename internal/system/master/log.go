package master

import (
	"fmt"
	"os"
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/maillog"
	"posthaste/internal/system/host"
)

// openLog opens maillog_file; nil: syslog.
func openLog(p *Params) (*os.File, error) {
	path := p.Common.MaillogFile
	if path == "" {
		return nil, nil
	}
	allowed := false
	for _, prefix := range p.LogPrefixes {
		allowed = allowed || path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
	}
	if !allowed || strings.Contains("/"+path+"/", "/../") {
		return nil, fmt.Errorf("maillog_file '%s' does not match a prefix in maillog_file_prefixes", path)
	}
	mode, err := p.logMode()
	if err != nil {
		return nil, err
	}
	if path == "/dev/stdout" {
		return maillog.OpenFile(path)
	}
	_, missing := os.Stat(path)
	f, err := maillog.OpenFile(path)
	if err != nil {
		return nil, fmt.Errorf("maillog_file: %w", err)
	}
	if missing != nil {
		if err := f.Chmod(mode); err != nil {
			f.Close()
			return nil, fmt.Errorf("maillog_file: %w", err)
		}
	}
	return f, nil
}

func newLog(c *config.Common, file *os.File) (*maillog.Logger, error) {
	sink, err := host.Sink(c, file != nil, file)
	if err != nil {
		return nil, err
	}
	return maillog.NewBase(sink, c.SyslogName).Named("master"), nil
}

// emergencyLog is for a configuration that does not say where to log to: the
// system log, and whoever looks at our standard error.
func (m *Master) emergencyLog() *maillog.Logger {
	sink, err := maillog.NewSyslog(maillog.SyslogSocket, "mail")
	if err != nil {
		return maillog.New(maillog.NewFile(os.Stderr, "localhost"), "postfix/master")
	}
	return maillog.New(sink, "postfix/master")
}
