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
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"posthaste/test/harness"
	"posthaste/test/peer"
)

var (
	oracle    = flag.Bool("oracle", false, "run against the real Postfix instead")
	scenarios = flag.String("dir", "testdata", "`directory` of the scenarios")
)

// patience is how long a scenario waits for something to happen. What happens at
// once on a machine of one's own may take long on a busy one.
const patience = time.Minute

// scene is one running scenario.
type scene struct {
	i        *harness.Instance
	sinks    map[string]*peer.Sink
	sessions map[string]*peer.Session // connections kept open by smtp -keep
	clock    time.Time                // see clock
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
		Dir:                 *scenarios,
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
			"start": cmdStart, "halt": cmdHalt, "smtp": cmdSMTP, "await": cmdAwait, "log": cmdLog, "sink": cmdSink,
			"maildir": cmdMaildir, "queue": cmdQueue, "id": cmdID, "match": cmdMatch,
			"arrives": cmdArrives, "status": cmdStatus, "send": cmdSend,
			"freeze": cmdFreeze, "thaw": cmdThaw, "clock": cmdClock, "elapsed": cmdElapsed,
		},
	})
}

// setup lays the instance out with the scenario's main.cf and master.cf.
func setup(env *testscript.Env, system harness.System) error {
	read := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(env.WorkDir, name))
		return string(b)
	}
	s := &scene{sinks: map[string]*peer.Sink{}, sessions: map[string]*peer.Session{}}
	owner, _ := harness.Owner()
	values := map[string]string{"WORK": env.WorkDir, "OWNER": owner}
	for _, name := range []string{"SINK", "SINK2"} {
		sink, err := peer.NewSink()
		if err != nil {
			return err
		}
		s.sinks[name] = sink
		values[name] = strconv.Itoa(sink.Port)
		env.Defer(sink.Close)
	}
	dead, port, err := harness.DeadPort()
	if err != nil {
		return err
	}
	env.Defer(func() { dead.Close() })
	values["DEAD"] = strconv.Itoa(port)
	for _, name := range []string{"PORT2", "PORT3"} {
		port, err := harness.FreePort()
		if err != nil {
			return err
		}
		values[name] = strconv.Itoa(port)
	}
	if err := os.Chmod(env.WorkDir, 0o755); err != nil {
		return err
	}
	s.i, err = harness.New(harness.Config{System: system, Main: read("main.cf"), Master: read("master.cf"), Values: values,
		Files: configFiles(env.WorkDir)})
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
		for _, session := range s.sessions {
			session.Close()
		}
		if err := s.i.Stop(); err != nil {
			env.T().Log("stop:", err)
		}
	})
	values["DIR"], values["SMTP"] = s.i.Dir, strconv.Itoa(s.i.Port)
	if err := expandFiles(env.WorkDir, values); err != nil {
		return err
	}
	for name, value := range values {
		env.Setenv(name, value)
	}
	env.Values[sceneKey{}] = s
	env.Setenv("MAIL_CONFIG", s.i.Conf)
	env.Setenv("CONF", s.i.Conf)
	env.Setenv("SPOOL", s.i.Spool)
	env.Setenv("PATH", filepath.Dir(s.i.Program("postfix"))+":"+filepath.Dir(s.i.Program("mailq"))+":"+os.Getenv("PATH"))
	return nil
}

// configFiles are the scenario's files in conf/, which go into the
// configuration directory, where all of the system can read them.
func configFiles(dir string) map[string]string {
	files := map[string]string{}
	found, _ := filepath.Glob(filepath.Join(dir, "conf", "*"))
	for _, path := range found {
		if text, err := os.ReadFile(path); err == nil {
			files["etc/"+filepath.Base(path)] = string(text)
		}
	}
	return files
}

// expandFiles replaces @NAME@ in the files of the scenario, as harness does in
// its main.cf and master.cf.
func expandFiles(dir string, values map[string]string) error {
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, "@"+name+"@", value)
	}
	replace := strings.NewReplacer(pairs...)
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(replace.Replace(string(text))), 0o644)
	})
}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }
