package master

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/system/host"
	"posthaste/internal/system/spec"
)

// The test binary is also the program under test: `master` and `child`.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "master":
			os.Exit(Main(os.Args[2:], options(), os.Stderr))
		case "child":
			if host.Run(host.Builder{Build: build}, host.Limits{Stop: 3 * time.Second, Reload: time.Hour}) != nil {
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func options() Options {
	return Options{
		Catalog: config.NewCatalog(Params{}), Program: "/proc/self/exe", Child: []string{"posthaste", "child"},
		Check: func(s *config.Set) error {
			if v, ok := s.Main.Get("mail_name"); ok && v.Value == "refused" {
				return errors.New("mail_name is refused by the check")
			}
			return nil
		},
	}
}

// build makes a service that greets with `role pid mail_name` and then echoes
// lines until one is "end". It says "bye" when it is told to drain.
func build(env *host.Env) ([]host.Part, error) {
	name, _ := env.Set.Main.Get("mail_name")
	switch {
	case name.Value == "dies":
		return nil, errors.New("mail_name says that I die")
	case name.Value == "half" && env.Spec.Role == spec.Local:
		time.Sleep(time.Hour) // it never comes so far as to serve
	}
	e := &echo{env: env, name: name.Value, open: map[net.Conn]bool{}, closed: make(chan bool)}
	return []host.Part{{
		Name: "echo",
		Serve: func(ctx context.Context) error {
			var accepting sync.WaitGroup
			for _, s := range env.Services {
				for _, l := range s.Listeners {
					accepting.Go(func() { e.serve(l) })
				}
			}
			<-ctx.Done()
			for _, s := range env.Services {
				for _, l := range s.Listeners {
					l.Close()
				}
			}
			accepting.Wait()
			close(e.closed)
			return nil
		},
		Finish: func(ctx context.Context) { e.wait(ctx) },
		Drain:  e.drain,
	}}, nil
}

// echo is the service.
type echo struct {
	env  *host.Env
	name string
	wg   sync.WaitGroup
	mu   sync.Mutex
	open map[net.Conn]bool

	closed chan bool // when nothing more is accepted
}

func (e *echo) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		e.mu.Lock()
		e.open[c] = true
		e.wg.Go(func() { e.session(c) })
		e.mu.Unlock()
	}
}

func (e *echo) session(c net.Conn) {
	defer c.Close()
	fmt.Fprintf(c, "%s %d %s\n", e.env.Spec.Role, os.Getpid(), e.name)
	for in := bufio.NewReader(c); ; {
		line, err := in.ReadString('\n')
		io.WriteString(c, line)
		if err != nil || line == "end\n" {
			break
		}
	}
	e.mu.Lock()
	delete(e.open, c)
	e.mu.Unlock()
}

func (e *echo) wait(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		<-e.closed
		e.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *echo) drain(ctx context.Context) error {
	e.mu.Lock()
	for c := range e.open {
		io.WriteString(c, "bye\n")
	}
	e.mu.Unlock()
	return e.wait(ctx)
}

// system is a mail system of its own.
type system struct {
	t    *testing.T
	dir  string
	host string
	used []string // addresses
	port map[spec.Role]string
	main string // more lines of main.cf
	cmd  *exec.Cmd
}

func newSystem(t *testing.T) *system {
	s := &system{t: t, dir: t.TempDir(), port: map[spec.Role]string{}}
	if os.Geteuid() == 0 { // children stay root here, but paths must be reachable
		os.Chmod(s.dir, 0o755)
	}
	// An address of its own: no client of another test gets one of its ports.
	s.host = fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	for _, role := range roleOrder {
		s.port[role] = s.freePort()
	}
	s.write("one")
	return s
}

// freePort is an address at which nobody listens, another one each time.
func (s *system) freePort() string {
	for {
		l, err := net.Listen("tcp4", s.host+":0")
		if err != nil {
			s.t.Fatal(err)
		}
		l.Close()
		if at := l.Addr().String(); !slices.Contains(s.used, at) {
			s.used = append(s.used, at)
			return at
		}
	}
}

// commands gives each role a row with a port, though some are not commonly
// reached over the network.
var commands = map[spec.Role]string{spec.Inbound: "smtpd", spec.Queue: "qmgr", spec.Outbound: "smtp", spec.Local: "local"}

func (s *system) write(name string, rows ...string) {
	for role, command := range commands {
		rows = append(rows, s.port[role]+" inet n - n - - "+command)
	}
	owner, err := user.Lookup("nobody") // any user but root
	if err != nil {
		s.t.Fatal(err)
	}
	group, err := user.LookupGroupId(owner.Gid)
	if err != nil {
		s.t.Fatal(err)
	}
	rows = append(rows, "qmgr unix n - n 300 1 qmgr", "postlog unix-dgram n - n - 1 postlogd", "pickup fifo n - n 60 1 pickup",
		"anvil unix - - n - 1 anvil", "rewrite unix - - n - - trivial-rewrite")
	main := fmt.Sprintf(`compatibility_level = 3.6
mail_owner = %[3]s
setgid_group = %[4]s
myhostname = mx.example.test
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
mail_name = %[2]s
`, s.dir, name, owner.Username, group.Name) + s.main
	for file, text := range map[string]string{"main.cf": main, "master.cf": strings.Join(rows, "\n") + "\n"} {
		if err := os.WriteFile(filepath.Join(s.dir, file), []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *system) master(args ...string) *exec.Cmd {
	return exec.Command(os.Args[0], append([]string{"master", "-c", s.dir}, args...)...)
}

func (s *system) start() {
	s.cmd = s.master()
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	})
}

// hello connects to the service of a role and returns its process and name.
func (s *system) hello(role spec.Role) (pid int, name string, err error) {
	c, err := net.DialTimeout("tcp", s.port[role], time.Second)
	if err != nil {
		return 0, "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	_, err = fmt.Fscanf(c, string(role)+" %d %s\n", &pid, &name)
	return pid, name, err
}

// until waits for a condition, and not for ever.
func (s *system) until(limit time.Duration, what string, f func() bool) {
	s.t.Helper()
	for end := time.Now().Add(limit); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("no %s after %s; log:\n%s", what, limit, s.log())
		}
	}
}

func (s *system) log() string {
	data, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(data)
}

func (s *system) logged(text string) {
	s.t.Helper()
	s.until(slow, "log line "+text, func() bool { return strings.Contains(s.log(), text) })
}

// serves waits for all roles, with this name, and returns their processes.
func (s *system) serves(limit time.Duration, want string) map[spec.Role]int {
	s.t.Helper()
	pids := map[spec.Role]int{}
	for role := range commands {
		s.until(limit, string(role), func() bool {
			pid, name, err := s.hello(role)
			pids[role] = pid
			return err == nil && name == want
		})
	}
	return pids
}

func gone(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(data), ") Z ") // dead, whoever is to reap it
}

const slow = time.Minute // for a busy machine

func TestKilledProcesses(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	pids := s.serves(slow, "one")
	for role, pid := range pids {
		syscall.Kill(pid, syscall.SIGKILL)
		begin := time.Now()
		s.until(slow, "new process", func() bool { p, _, err := s.hello(role); return err == nil && p != pid })
		t.Logf("%s answers again after %s", role, time.Since(begin))
		s.logged("warning: process posthaste " + string(role) + " pid " + strconv.Itoa(pid) + " killed by signal 9")
	}
}

func TestSecondInstance(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	if out, err := s.master("-t").CombinedOutput(); err != nil {
		t.Errorf("master -t before the start: %s", out)
	}
	s.start()
	s.serves(slow, "one")
	out, err := s.master().CombinedOutput()
	if err == nil || !strings.Contains(string(out), "open lock file pid/master.pid: unable to set exclusive lock: Resource temporarily unavailable") {
		t.Errorf("second instance: %v %s", err, out)
	}
	if out, err := s.master("-t").CombinedOutput(); err == nil {
		t.Errorf("master -t while it runs: %s", out)
	}
	if pid, err := Running(s.dir + "/queue"); err != nil || pid != s.cmd.Process.Pid {
		t.Errorf("running as %d, %v", pid, err)
	}
	s.serves(slow, "one")
}

func TestStop(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	pids := s.serves(slow, "one")
	c, err := net.Dial("tcp", s.port[spec.Inbound])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	in.ReadString('\n')
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.logged("terminating on signal 15")
	io.WriteString(c, "end\n")
	if text, err := io.ReadAll(in); err != nil || !strings.Contains(string(text), "end\n") {
		t.Errorf("session in hand: %q %v", text, err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Error(err)
	}
	for role, pid := range pids {
		if !gone(pid) {
			t.Errorf("%s still runs", role)
		}
	}
}

func TestAbort(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	s.serves(slow, "one")
	c, err := net.Dial("tcp", s.port[spec.Inbound]) // would hold up a gentle stop
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	bufio.NewReader(c).ReadString('\n')
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Process.Signal(syscall.SIGQUIT)
	begin := time.Now()
	if err := s.cmd.Wait(); err != nil || time.Since(begin) > stopTime {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
}

func TestKilledMaster(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	pids := s.serves(slow, "one")
	s.cmd.Process.Kill()
	s.cmd.Wait()
	begin := time.Now()
	s.write("two") // the new one must be told from the old
	s.start()
	after := s.serves(slow, "two")
	t.Logf("all served again after %s", time.Since(begin))
	s.until(slow, "end of the orphans", func() bool {
		for role, pid := range pids {
			if after[role] == pid || !gone(pid) {
				return false
			}
		}
		return true
	})
}

func TestBackground(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.write("dies")
	if out, err := s.master("-w").CombinedOutput(); err == nil || !strings.Contains(string(out), "does not start") {
		t.Errorf("broken configuration: %v %s", err, out)
	}
	s.write("one")
	if out, err := s.master("-w", "-e", "60").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if _, name, err := s.hello(spec.Inbound); err != nil || name != "one" {
		t.Errorf("not served after the start: %q %v", name, err)
	}
	pid, err := Running(s.dir + "/queue")
	if err != nil || pid == 0 {
		t.Fatalf("%d %v", pid, err)
	}
	syscall.Kill(pid, syscall.SIGTERM)
	s.until(slow, "end", func() bool { pid, err := Running(s.dir + "/queue"); return err == nil && pid == 0 })
}

func TestDirectories(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	s.serves(slow, "one")
	for name, mode := range map[string]os.FileMode{
		".": 0o755, "maildrop": 0o730, "public": 0o710, "incoming": 0o700, "pid": 0o755,
		"public/postlog": 0o666 | os.ModeSocket, "public/pickup": 0o622 | os.ModeNamedPipe, spec.Notify: 0o666 | os.ModeSocket,
	} {
		st, err := os.Lstat(filepath.Join(s.dir, "queue", name))
		if err != nil || st.Mode()&^os.ModeDir != mode {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
	}
}
