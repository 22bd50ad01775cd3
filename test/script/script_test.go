// Package script runs the scenarios in testdata: each file holds a
// configuration, what is done, and what must come of it, so that a mail
// administrator can read it. With -oracle the same files run against the real
// Postfix; a scenario says `[oracle] skip …` where the two differ on purpose,
// and docs/compatibility.md has the reason.
package script

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"posthaste/test/harness"
	"posthaste/test/peer"
)

var oracle = flag.Bool("oracle", false, "run against the real Postfix instead")

// patience is how long a scenario waits for something to happen.
const patience = 20 * time.Second

// scene is one running scenario.
type scene struct {
	i     *harness.Instance
	sinks map[string]*peer.Sink
}

type sceneKey struct{}

func TestScenarios(t *testing.T) {
	system := harness.Ours
	if *oracle {
		system = harness.Postfix
	}
	if _, err := os.Stat(filepath.Join(harness.Binaries(), "postfix")); system == harness.Ours && err != nil {
		t.Fatalf("the commands are not built: run `make build` first: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup:               func(env *testscript.Env) error { return setup(env, system) },
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "oracle":
				return *oracle, nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": cmdStart, "halt": cmdHalt, "smtp": cmdSMTP, "log": cmdLog, "sink": cmdSink,
			"maildir": cmdMaildir, "queue": cmdQueue, "match": cmdMatch,
		},
	})
}

// setup lays the instance out with the scenario's main.cf and master.cf.
func setup(env *testscript.Env, system harness.System) error {
	read := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(env.WorkDir, name))
		return string(b)
	}
	s := &scene{sinks: map[string]*peer.Sink{}}
	values := map[string]string{"WORK": env.WorkDir}
	for _, name := range []string{"SINK", "SINK2"} {
		sink, err := peer.NewSink()
		if err != nil {
			return err
		}
		s.sinks[name] = sink
		values[name] = strconv.Itoa(sink.Port)
		env.Defer(sink.Close)
	}
	dead, err := harness.FreePort()
	if err != nil {
		return err
	}
	values["DEAD"] = strconv.Itoa(dead)
	if err := os.Chmod(env.WorkDir, 0o755); err != nil {
		return err
	}
	s.i, err = harness.New(harness.Config{System: system, Main: read("main.cf"), Master: read("master.cf"), Values: values})
	if errors.Is(err, harness.ErrUnavailable) {
		if t, ok := env.T().(interface{ Logf(string, ...any) }); ok {
			t.Logf("SKIPPED: %v", err)
		}
		env.T().Skip("SKIPPED: ", err)
	}
	if err != nil {
		return err
	}
	env.Defer(func() {
		if err := s.i.Stop(); err != nil {
			env.T().Log("stop:", err)
		}
	})
	env.Values[sceneKey{}] = s
	env.Setenv("MAIL_CONFIG", s.i.Conf)
	env.Setenv("CONF", s.i.Conf)
	env.Setenv("DIR", s.i.Dir)
	env.Setenv("SPOOL", s.i.Spool)
	env.Setenv("PATH", filepath.Dir(s.i.Program("postfix"))+":"+filepath.Dir(s.i.Program("mailq"))+":"+os.Getenv("PATH"))
	return nil
}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

// cmdStart starts the system and waits until it answers.
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	err := sceneOf(ts).i.Start()
	if neg != (err != nil) {
		ts.Fatalf("start: %v", err)
	}
}

// cmdHalt stops the system; its files stay.
func cmdHalt(ts *testscript.TestScript, neg bool, args []string) { ts.Check(sceneOf(ts).i.Halt()) }

// cmdSMTP plays dialogues: smtp [-from ADDRESS] FILE…
func cmdSMTP(ts *testscript.TestScript, neg bool, args []string) {
	from := ""
	if len(args) > 2 && args[0] == "-from" {
		from, args = args[1], args[2:]
	}
	for _, file := range args {
		if err := peer.Dialogue(ts.ReadFile(file), from, sceneOf(ts).i.Addr()); err != nil {
			ts.Fatalf("%s: %v\nlog:\n%s", file, err, sceneOf(ts).i.LogText())
		}
	}
}

// cmdLog waits until a line of the mail log contains the pattern, in which {*}
// stands for any text; with ! it must not be there now.
func cmdLog(ts *testscript.TestScript, neg bool, args []string) {
	s := sceneOf(ts)
	for _, pattern := range args {
		found := func() bool {
			for l := range strings.SplitSeq(s.i.LogText(), "\n") {
				if peer.Match("{*}"+pattern+"{*}", l) {
					return true
				}
			}
			return false
		}
		if neg {
			if found() {
				ts.Fatalf("log has a line %q:\n%s", pattern, s.i.LogText())
			}
			continue
		}
		err := harness.Until(patience, func() error {
			if !found() {
				return errors.New("not there")
			}
			return nil
		})
		if err != nil {
			ts.Fatalf("log has no line %q:\n%s", pattern, s.i.LogText())
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

// cmdQueue waits until a queue holds N messages: queue NAME N.
func cmdQueue(ts *testscript.TestScript, neg bool, args []string) {
	s := sceneOf(ts)
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	err = harness.Until(patience, func() error {
		have := 0
		filepath.WalkDir(filepath.Join(s.i.Spool, args[0]), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && messageFile.MatchString(d.Name()) {
				have++
			}
			return nil
		})
		if have != want {
			return fmt.Errorf("%d messages in %s, not %d", have, args[0], want)
		}
		return nil
	})
	if err != nil {
		ts.Fatalf("%v\nlog:\n%s", err, s.i.LogText())
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
