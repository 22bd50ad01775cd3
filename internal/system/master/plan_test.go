package master

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/system/spec"
)

func TestPort(t *testing.T) {
	p := &Params{Ports: "lmtp=24, smtp=25, smtps=submissions=465"}
	system := func(name string) (int, error) {
		if name == "mine" {
			return 1234, nil
		}
		return 0, errors.New("unknown")
	}
	for name, want := range map[string]int{"2525": 2525, "smtp": 25, "smtps": 465, "submissions": 465, "mine": 1234, "x": 0, "99999": 0} {
		if got, _ := p.port(name, system); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

func TestDisabled(t *testing.T) {
	p := &Params{Disabled: []string{"fifo", "smtps/inet", "old.unix"}}
	for _, c := range []struct {
		name, typ string
		want      bool
	}{{"x", "fifo", true}, {"smtps", "inet", true}, {"smtp", "inet", false}, {"old", "unix", true}} {
		if got := p.disabled(config.Service{Name: c.name, Type: c.typ}); got != c.want {
			t.Errorf("%s %s: %v", c.name, c.typ, got)
		}
	}
}

func TestEnvironment(t *testing.T) {
	p := &Params{ImportEnv: []string{"TZ", "LANG=C", "X"}}
	got := p.environment([]string{"TZ=UTC", "TZX=1", "LD_PRELOAD=/evil", "LANG=de"})
	if want := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=UTC", "LANG=C"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

// planOf loads a configuration with these master.cf rows.
func planOf(t *testing.T, main string, rows ...string) (*plan, error) {
	dir := t.TempDir()
	for file, text := range map[string]string{
		"main.cf":   "compatibility_level = 3.6\nmyhostname = mx.example.test\n" + main,
		"master.cf": strings.Join(rows, "\n") + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := options()
	o.ConfigDir = dir
	return load(&o)
}

func TestPlan(t *testing.T) {
	p, err := planOf(t, "inet_protocols = ipv4\n",
		"127.0.0.1:smtp inet n - n - - smtpd",
		"2526 inet n - y - - smtpd",
		"qmgr unix n - n 300 1 qmgr",
		"cleanup unix n - y - 0 cleanup",
		"relay unix - - y - - smtp",
		"error unix - - n - - error",
		"local unix - n n - - local",
		"anvil unix - - y - 1 anvil")
	if err != nil {
		t.Fatal(err)
	}
	want := []group{{spec.Queue, false}, {spec.Local, false}, {spec.Outbound, false}, {spec.Outbound, true},
		{spec.Inbound, false}, {spec.Inbound, true}}
	if !reflect.DeepEqual(p.groups, want) {
		t.Errorf("%v", p.groups)
	}
	var at []string
	for _, g := range p.groups {
		for _, s := range p.rows[g] {
			for _, a := range s.addresses {
				at = append(at, a.network+" "+a.name)
			}
		}
	}
	wantAt := "unix public/qmgr, unix public/cleanup, unix-dgram private/notify, unix private/local, " +
		"unix private/error, unix private/relay, tcp4 127.0.0.1:25, tcp4 0.0.0.0:2526"
	if got := strings.Join(at, ", "); got != wantAt {
		t.Errorf("got  %s\nwant %s", got, wantAt)
	}
}

func TestPlanFaults(t *testing.T) {
	const qmgr = "qmgr unix n - n 300 1 qmgr"
	for _, c := range []struct {
		main string
		rows []string
		want string
	}{
		{"", []string{"x unix - - n - - nonsense", qmgr}, `master.cf, line 1: service x: unknown command "nonsense"`},
		{"", []string{"no-such-port inet n - n - - smtpd", qmgr}, `master.cf, line 1: unknown service name "no-such-port"`},
		{"", []string{"127.0.0.1:25 inet n - n - - smtpd", "127.0.0.1:smtp inet n - n - - smtpd", qmgr}, "master.cf, line 2: service 127.0.0.1:smtp listens on 127.0.0.1:25 as the one in line 1 does"},
		{"", []string{"smtp unix - - n - - smtp"}, "master.cf: no qmgr service"},
		{"queue_directory = relative\n", []string{qmgr}, "must be absolute"},
		{"maillog_file_permissions = 0777\n", []string{qmgr}, "maillog_file_permissions"},
		{"service_throttle_time = soon\n", []string{qmgr}, "service_throttle_time"},
	} {
		if _, err := planOf(t, c.main, c.rows...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.rows, err, c.want)
		}
	}
}

func TestArguments(t *testing.T) {
	got, err := parseArguments([]string{"-c", "/etc/x", "-e60", "-sw", "-R", "3"})
	if want := (arguments{dir: "/etc/x", lifetime: time.Minute, stdout: true, wait: true, started: 3}); err != nil || got != want {
		t.Errorf("%+v %v", got, err)
	}
	for _, bad := range [][]string{{"start"}, {"-z"}, {"-c"}, {"-e", "soon"}, {"-"}} {
		if _, err := parseArguments(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestRestartPause(t *testing.T) {
	for quick, want := range map[int]time.Duration{
		0: 0, 1: 0, 2: 250 * time.Millisecond, 3: 500 * time.Millisecond, 4: time.Second, 9: 32 * time.Second, 10: time.Minute, 1000: time.Minute,
	} {
		if got := restartPause(quick, false, "60s"); got != want {
			t.Errorf("%d: %s, want %s", quick, got, want)
		}
		if got := restartPause(quick, true, "60s"); got != min(want, servedPause) {
			t.Errorf("%d, it had served: %s, want %s", quick, got, min(want, servedPause))
		}
	}
}
