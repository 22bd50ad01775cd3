// Package maillog writes the operator's log: one line per event, in Postfix's
// words, because people and log analysers search for them. Lines that an
// analyser reads have a typed function here (delivery.go and one file per
// area). It may touch its log file or the syslog socket, nothing else.
//
// Nothing that came from outside reaches the log as it is: control bytes and
// bytes that are not valid UTF-8 become '?'.
package maillog

import "fmt"

// Level is the weight of a line.
type Level uint8

// The levels, and the word Postfix puts in front of a line of that level.
const (
	Info    Level = iota
	Warning       // "warning: "
	Error         // "error: "
	Fatal         // "fatal: "; the process ends soon after
	Panic         // "panic: "; a fault in the program
)

var prefixes = [...]string{"", "warning: ", "error: ", "fatal: ", "panic: "}

// Sink takes finished lines. It is safe for concurrent use and never fails
// towards its caller: mail goes on when the log does not.
type Sink interface {
	// Write logs one line. tag is `postfix/smtpd`; text is sanitised and has
	// no line end.
	Write(level Level, tag, text string)
}

// LaterSink is a Sink that may let a line wait a moment for company. What waits is
// lost when the process is killed, so it must not be all that tells of a message.
type LaterSink interface {
	Later(tag, text string)
	Flush() // writes what waits
}

// Logger writes lines under one tag. A nil *Logger discards. It is safe for
// concurrent use.
type Logger struct {
	sink Sink
	base string // syslog_name
	tag  string
}

// New makes a Logger whose tag is `postfix` or `postfix/smtpd`; what is before
// its last '/' is the base for Named.
func New(sink Sink, tag string) *Logger {
	base := tag
	for i := len(tag) - 1; i >= 0; i-- {
		if tag[i] == '/' {
			base = tag[:i]
			break
		}
	}
	return &Logger{sink: sink, base: Sanitize(base), tag: Sanitize(tag)}
}

// NewBase makes a Logger for a syslog_name that may itself contain '/'
// (`postfix/submission`); Named adds to the whole of it.
func NewBase(sink Sink, syslogName string) *Logger {
	name := Sanitize(syslogName)
	return &Logger{sink: sink, base: name, tag: name}
}

// Named returns a Logger for another service on the same sink: its tag is
// syslog_name/service.
func (l *Logger) Named(service string) *Logger {
	if l == nil {
		return nil
	}
	return &Logger{sink: l.sink, base: l.base, tag: l.base + "/" + Sanitize(service)}
}

// WithBase returns a Logger for another syslog_name (a row of master.cf with
// its own) on the same sink.
func (l *Logger) WithBase(syslogName string) *Logger {
	if l == nil {
		return nil
	}
	return NewBase(l.sink, syslogName)
}

// Info logs a line without a prefix.
func (l *Logger) Info(format string, args ...any) { l.log(Info, format, args) }

// Later logs a line without a prefix that may wait a moment, and comes before
// the next line in any case.
func (l *Logger) Later(format string, args ...any) {
	if l == nil || l.sink == nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	if s, ok := l.sink.(LaterSink); ok {
		s.Later(l.tag, Sanitize(text))
		return
	}
	l.write(Info, text)
}

// Flush writes what waits, for a process that ends.
func (l *Logger) Flush() {
	if l == nil {
		return
	}
	if s, ok := l.sink.(LaterSink); ok {
		s.Flush()
	}
}

// Warning logs a line that begins with "warning: ".
func (l *Logger) Warning(format string, args ...any) { l.log(Warning, format, args) }

// Error logs a line that begins with "error: ".
func (l *Logger) Error(format string, args ...any) { l.log(Error, format, args) }

// Fatal logs a line that begins with "fatal: ". It does not end the process:
// its caller does.
func (l *Logger) Fatal(format string, args ...any) { l.log(Fatal, format, args) }

// Panic logs a line that begins with "panic: ". It does not panic.
func (l *Logger) Panic(format string, args ...any) { l.log(Panic, format, args) }

// Relay logs a line that another program has formatted already, with time and
// tag, as postlogd does. A sink that makes those itself gets it as text.
func (l *Logger) Relay(line string) {
	if l == nil || l.sink == nil {
		return
	}
	if s, ok := l.sink.(interface{ Relay(line string) }); ok {
		s.Relay(Sanitize(line))
		return
	}
	l.write(Info, line)
}

func (l *Logger) log(level Level, format string, args []any) {
	if l == nil || l.sink == nil {
		return
	}
	l.write(level, fmt.Sprintf(format, args...))
}

func (l *Logger) write(level Level, text string) {
	l.sink.Write(level, l.tag, Sanitize(prefixes[level]+text))
}
