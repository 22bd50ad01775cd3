package script

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"posthaste/test/harness"
	"posthaste/test/peer"
)

// cmdStart starts the system and waits until it answers.
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	err := sceneOf(ts).i.Start()
	if neg != (err != nil) {
		ts.Fatalf("start: %v", err)
	}
}

// cmdHalt stops the system; its files stay.
func cmdHalt(ts *testscript.TestScript, neg bool, args []string) { ts.Check(sceneOf(ts).i.Halt()) }

// cmdSMTP plays dialogues: smtp [-from ADDRESS] [-port PORT] [-keep NAME] FILE…
// With -keep the connection stays open, and a later smtp -keep with the same
// name goes on with it.
func cmdSMTP(ts *testscript.TestScript, neg bool, args []string) {
	s := sceneOf(ts)
	from, to, keep := "", s.i.Addr(), ""
	for len(args) > 2 && args[0][0] == '-' {
		switch args[0] {
		case "-from":
			from = args[1]
		case "-port":
			to = "127.0.0.1:" + args[1]
		case "-keep":
			keep = args[1]
		default:
			ts.Fatalf("smtp: %s?", args[0])
		}
		args = args[2:]
	}
	for _, file := range args {
		session := s.sessions[keep]
		if session == nil {
			var err error
			session, err = peer.Dial(from, to)
			ts.Check(err)
		}
		err := session.Play(ts.ReadFile(file))
		if keep == "" {
			session.Close()
		} else {
			s.sessions[keep] = session
		}
		if err != nil {
			ts.Fatalf("%s: %v\nlog:\n%s", file, err, s.i.LogText())
		}
	}
}

// cmdLog waits until a line of the mail log contains the pattern, in which {*}
// stands for any text; with ! it must not be there now. With -count N it waits
// until exactly N lines contain it: log [-count N] PATTERN…
func cmdLog(ts *testscript.TestScript, neg bool, args []string) {
	s, want := sceneOf(ts), 0
	if len(args) > 2 && args[0] == "-count" {
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		want, args = n, args[2:]
	}
	for _, pattern := range args {
		found := func() (n int) {
			for l := range strings.SplitSeq(s.i.LogText(), "\n") {
				if peer.Match("{*}"+pattern+"{*}", l) {
					n++
				}
			}
			return n
		}
		if neg {
			if found() > 0 {
				ts.Fatalf("log has a line %q:\n%s", pattern, s.i.LogText())
			}
			continue
		}
		err := harness.Until(patience, func() error {
			if n := found(); n == 0 || want > 0 && n != want {
				return fmt.Errorf("log has %d lines %q", n, pattern)
			}
			return nil
		})
		if err != nil {
			ts.Fatalf("%v:\n%s", err, s.i.LogText())
		}
	}
}

// cmdSink steers the sinks:
//
//	sink SINK reply VERB "REPLY"…   set the next replies; the last one stays
//	sink SINK keywords WORD…        what EHLO announces
//	sink SINK got N FILE            wait for N messages, write the N-th to FILE
//	sink SINK count N               exactly N messages have arrived
//	sink SINK sessions N            there were exactly N connections
func cmdSink(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: sink NAME reply|keywords|got|count|sessions …")
	}
	sink := sceneOf(ts).sinks[args[0]]
	if sink == nil {
		ts.Fatalf("no sink %q", args[0])
	}
	rest := args[2:]
	number := func() int {
		n, err := strconv.Atoi(rest[0])
		ts.Check(err)
		return n
	}
	switch args[1] {
	case "reply":
		sink.Reply(rest[0], rest[1:]...)
	case "keywords":
		sink.Keywords(rest...)
	case "got":
		n := number()
		if err := sink.Wait(n, patience); err != nil {
			ts.Fatalf("%v\nlog:\n%s", err, sceneOf(ts).i.LogText())
		}
		if len(rest) > 1 {
			ts.Check(os.WriteFile(ts.MkAbs(rest[1]), []byte(sink.Messages()[n-1]), 0o644))
		}
	case "count":
		if got := len(sink.Messages()); got != number() {
			ts.Fatalf("%d messages have arrived", got)
		}
	case "sessions":
		if got := sink.Sessions(); got != number() {
			ts.Fatalf("there were %d connections", got)
		}
	default:
		ts.Fatalf("sink: %q?", args[1])
	}
}

// cmdMaildir waits for mail: maildir DIR N [FILE] waits until N messages are in
// DIR/new below the instance's directory and writes the newest to FILE.
func cmdMaildir(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: maildir DIR N [FILE]")
	}
	s := sceneOf(ts)
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	pattern := filepath.Join(s.i.Dir, args[0], "new", "*")
	var files []string
	err = harness.Until(patience, func() error {
		files, _ = filepath.Glob(pattern)
		if len(files) < want || want == 0 && len(files) > 0 {
			return fmt.Errorf("%d messages in %s", len(files), pattern)
		}
		return nil
	})
	if err != nil || len(files) != want {
		ts.Fatalf("%d messages in %s, not %d\nlog:\n%s", len(files), pattern, want, s.i.LogText())
	}
	if len(args) > 2 && want > 0 {
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), newest(files), 0o644))
	}
}

func newest(files []string) []byte {
	var best string
	var at time.Time
	for _, f := range files {
		if st, err := os.Stat(f); err == nil && !st.ModTime().Before(at) {
			best, at = f, st.ModTime()
		}
	}
	b, _ := os.ReadFile(best)
	return b
}

var messageFile = regexp.MustCompile(`^[0-9A-Za-z]{6,}$`)

// messages are the queue ids in one of the queues, hashed or not.
func (s *scene) messages(queue string) (ids []string) {
	filepath.WalkDir(filepath.Join(s.i.Spool, queue), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && messageFile.MatchString(d.Name()) {
			ids = append(ids, d.Name())
		}
		return nil
	})
	return ids
}

// waitQueue waits until a queue holds n messages.
func waitQueue(ts *testscript.TestScript, queue string, n int) (ids []string) {
	s := sceneOf(ts)
	err := harness.Until(patience, func() error {
		if ids = s.messages(queue); len(ids) != n {
			return fmt.Errorf("%d messages in %s, not %d", len(ids), queue, n)
		}
		return nil
	})
	if err != nil {
		ts.Fatalf("%v\nlog:\n%s", err, s.i.LogText())
	}
	return ids
}

// cmdQueue waits until a queue holds N messages: queue NAME N.
func cmdQueue(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: queue NAME N")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	waitQueue(ts, args[0], want)
}

// cmdID waits until a queue holds one message and sets a variable to its queue
// id: id VARIABLE QUEUE.
func cmdID(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: id VARIABLE QUEUE")
	}
	ts.Setenv(args[0], waitQueue(ts, args[1], 1)[0])
}

// cmdArrives waits until a file is like a pattern file, in which {*} stands for
// any text: arrives FILE PATTERN.
func cmdArrives(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: arrives FILE PATTERN")
	}
	pattern, text := strings.TrimSpace(ts.ReadFile(args[1])), ""
	err := harness.Until(patience, func() error {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		text = string(b)
		if err == nil && !peer.Match(pattern, strings.TrimSpace(text)) {
			err = errors.New("it is different")
		}
		return err
	})
	if err != nil {
		ts.Fatalf("%s: %v: it is\n%s\nand should be like\n%s\nlog:\n%s", args[0], err, text, pattern, sceneOf(ts).i.LogText())
	}
}

// cmdStatus runs a command that must end with an exit status:
// status N COMMAND ARGUMENT…
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND ARGUMENT…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s ended with status %d, not %d", args[1], got, want)
	}
}

// cmdMatch compares a file with a pattern file, in which {*} stands for any
// text: match FILE PATTERN.
func cmdMatch(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: match FILE PATTERN")
	}
	text, pattern := ts.ReadFile(args[0]), ts.ReadFile(args[1])
	if peer.Match(strings.TrimSpace(pattern), strings.TrimSpace(text)) == neg {
		ts.Fatalf("%s is\n%s\nand should be like\n%s", args[0], text, pattern)
	}
}
