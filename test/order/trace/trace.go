// Package trace reads what strace wrote (-f -ttt -yy) as a sequence of moments: each
// system call begins and ends. It knows nothing of mail and touches no files.
//
// The order is the true one where it matters: strace holds a thread at the
// beginning and at the end of each call, so that whatever a program does because a
// call has returned comes later in the trace than its end.
package trace

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Call is one system call.
type Call struct {
	PID    int // of the thread
	Name   string
	Args   []string // as strace wrote them; those that the kernel fills in are there at the end only
	Result int64    // -1 with an error; valid at the end
	Errno  string   // EIO, …
	// Injected tells that strace gave the result and the call was not made.
	Injected bool
	Finished bool // false: the thread was killed in it, or the trace ends
	text     string
}

// Event is the beginning or the end of a call, and where it stands.
type Event struct {
	*Call
	End  bool
	Line int
	At   time.Time
}

// Trace is what one run of strace saw.
type Trace struct {
	Events []Event
	parent map[int]int // of threads: the thread that made it
}

// Process is the id of the process that a thread belongs to: its first thread
// that the trace knows of.
func (t *Trace) Process(thread int) int {
	for n := 0; n < len(t.parent); n++ {
		p, ok := t.parent[thread]
		if !ok {
			break
		}
		thread = p
	}
	return thread
}

// Belongs says which process a thread belongs to that is older than the trace.
func (t *Trace) Belongs(thread, process int) {
	if thread != process {
		t.parent[thread] = process
	}
}

// maxLine bounds a line: one buffer as strace prints it is less.
const maxLine = 16 << 20

// Read reads a trace. Lines about signals and exits are skipped; a line that is
// none of strace's is an error. A torn last line counts as not written.
func Read(r io.Reader) (*Trace, error) {
	p := parser{trace: &Trace{parent: map[int]int{}}, open: map[int]*Call{}}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 1<<16), maxLine)
	var failed error
	for n := 1; s.Scan(); n++ {
		if failed != nil {
			return nil, failed // it was not the last line
		}
		if err := p.line(n, s.Text()); err != nil {
			failed = fmt.Errorf("line %d: %w", n, err)
		}
	}
	return p.trace, s.Err()
}

type parser struct {
	trace *Trace
	open  map[int]*Call // by thread
}

func (p *parser) line(n int, line string) error {
	pid, rest, ok := strings.Cut(line, " ")
	thread, err := strconv.Atoi(pid)
	stamp, what, ok2 := strings.Cut(strings.TrimLeft(rest, " "), " ")
	at, err2 := seconds(stamp)
	if !ok || !ok2 || err != nil || err2 != nil {
		return fmt.Errorf("not a line of strace -f -ttt: %.80q", line)
	}
	switch {
	case strings.HasPrefix(what, "+++"), strings.HasPrefix(what, "---"):
		return nil
	case strings.HasPrefix(what, "<... "):
		c := p.open[thread]
		_, more, found := strings.Cut(what, " resumed>")
		if c == nil || !found {
			return nil // it began before the trace did
		}
		delete(p.open, thread)
		if err := c.finish(c.text + more); err != nil {
			return err
		}
		p.end(Event{Call: c, End: true, Line: n, At: at})
		return nil
	}
	name, _, found := strings.Cut(what, "(")
	if !found {
		return fmt.Errorf("no system call: %.80q", what)
	}
	c := &Call{PID: thread, Name: name}
	if text, unfinished := strings.CutSuffix(what, " <unfinished ...>"); unfinished {
		c.text = text
		c.Args = split(text[len(name)+1:])
		p.open[thread] = c
		p.trace.Events = append(p.trace.Events, Event{Call: c, Line: n, At: at})
		return nil
	}
	if err := c.finish(what); err != nil {
		return err
	}
	p.trace.Events = append(p.trace.Events, Event{Call: c, Line: n, At: at})
	p.end(Event{Call: c, End: true, Line: n, At: at})
	return nil
}

func (p *parser) end(e Event) {
	p.trace.Events = append(p.trace.Events, e)
	if strings.HasPrefix(e.Name, "clone") && e.Result > 0 && strings.Contains(strings.Join(e.Args, " "), "CLONE_THREAD") {
		p.trace.parent[int(e.Result)] = e.PID
	}
}

func seconds(stamp string) (time.Time, error) {
	whole, part, _ := strings.Cut(stamp, ".")
	s, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	us, err := strconv.ParseInt(part, 10, 64)
	return time.Unix(s, us*1000), err
}

// finish takes arguments and result from a whole call.
func (c *Call) finish(text string) error {
	at := strings.LastIndex(text, " = ")
	for at >= 0 && inString(text[:at]) { // " = " may stand in a buffer
		at = strings.LastIndex(text[:at], " = ")
	}
	if at < 0 {
		return fmt.Errorf("no result: %.80q", text)
	}
	args := strings.TrimSuffix(strings.TrimRight(text[len(c.Name)+1:at], " "), ")")
	c.Args = split(args)
	c.text = ""
	return c.result(text[at+3:])
}

// result reads what stands behind the equals sign.
func (c *Call) result(s string) error {
	c.Injected = strings.Contains(s, "(INJECTED)")
	end := strings.IndexAny(s, " <")
	if end < 0 {
		end = len(s)
	}
	word := s[:end]
	if word == "?" { // it never returned
		if rest := strings.TrimSpace(s[end:]); strings.HasPrefix(rest, "E") {
			c.Result, c.Errno, c.Finished = -1, rest, true
		}
		return nil
	}
	n, err := strconv.ParseInt(word, 0, 64)
	if err != nil {
		return fmt.Errorf("result %q: %w", s, err)
	}
	c.Result, c.Finished = n, true
	if n == -1 {
		c.Errno, _, _ = strings.Cut(strings.TrimLeft(s[end:], " "), " ")
	}
	return nil
}
