package setgid

import (
	"bufio"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"posthaste/internal/getopt"
	"posthaste/internal/maillog"
)

var postlogHelp = help{"postlog [-c config_dir] [-i] [-p priority] [-t tag] [-v] [text]", []string{
	"-c DIR       configuration directory",
	"-i           accepted; the process id is always logged",
	"-p PRIORITY  info (default), warn, error, fatal or panic",
	"-t TAG       what the line begins with, instead of postfix/postlog",
	"-v           accepted; nothing more is logged",
	"Without a text, each line of standard input is logged.",
}}

// Postlog is postlog(1): it logs a text or the lines of standard input. It
// returns the exit status.
func Postlog(env Env) int {
	c := &command{Env: env, name: "postlog", code: 1}
	return c.run(postlogHelp, c.postlog)
}

// priorities are the words for -p.
var priorities = map[string]struct {
	prefix string
	log    func(*maillog.Logger, string, ...any)
}{
	"info":    {"", (*maillog.Logger).Info},
	"warn":    {"warning: ", (*maillog.Logger).Warning},
	"warning": {"warning: ", (*maillog.Logger).Warning},
	"error":   {"error: ", (*maillog.Logger).Error},
	"fatal":   {"fatal: ", (*maillog.Logger).Fatal},
	"panic":   {"panic: ", (*maillog.Logger).Panic},
}

func (c *command) postlog() error {
	options, dir, tag, priority := getopt.New(c.Args[min(1, len(c.Args)):], "c!ip:t:v"), "", "", "info"
	for {
		flag, value, err := options.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		switch flag {
		case 'c':
			dir = value
		case 't':
			tag = value
		case 'p':
			priority = value
		}
	}
	if err := c.open(dir); err != nil {
		return err
	}
	level, found := priorities[strings.ToLower(priority)]
	if !found {
		return c.fail("bad severity: \"%s\"", priority)
	}
	shown := "postlog"
	if tag != "" {
		shown = tag
		c.log = c.log.WithBase(tag)
	}
	shows := isTerminal(c.Stderr)
	record := func(text string) {
		level.log(c.log, "%s", text)
		if !shows {
			return
		}
		io.WriteString(c.Stderr, maillog.Sanitize(shown+": "+level.prefix+text)+"\n")
	}
	if text := options.Rest(); len(text) > 0 {
		record(strings.Join(text, " "))
		return nil
	}
	return eachLine(c.Stdin, record)
}

// isTerminal tells whether somebody reads what is written there.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// logLine is how much of a line is logged as one.
const logLine = 2000

// eachLine calls each for every line, long ones in pieces.
func eachLine(r io.Reader, each func(string)) error {
	in := bufio.NewReaderSize(r, logLine)
	fresh := true
	for {
		part, err := in.ReadSlice('\n')
		text := strings.TrimRight(string(part), "\r\n")
		if text != "" || fresh && err == nil {
			each(text)
		}
		fresh = err == nil
		if err != nil && err != bufio.ErrBufferFull {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}
