package master

import (
	"bufio"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/internal/config"
	"posthaste/internal/system/spec"
)

// process is a child process, or the place of one between its death and its
// next start.
type process struct {
	generation *generation
	group      group
	config     []byte
	pid        int // 0: not running
	ready      bool
	started    time.Time
	quick      int // deaths in a row that came soon after the start
}

// name is what the log calls it.
func (p *process) name() string {
	name := "posthaste " + string(p.group.role)
	if p.group.chroot {
		name += " (chroot)"
	}
	return name
}

// A process that died is started again at once. When it dies soon after that,
// again and again, pauses come in between, and grow up to service_throttle_time.
// A process that had served is not broken: its pauses stay short, so that
// clients who wait in the queue of the socket are answered within a second.
const (
	quickDeath  = time.Second
	firstPause  = 250 * time.Millisecond
	servedPause = 500 * time.Millisecond
)

// run starts p's process.
func (m *Master) run(p *process) error {
	g := p.generation
	s := &spec.Spec{
		Role: p.group.role, Chroot: p.group.chroot && m.root, Config: p.config,
		LogFile: g.logFile != nil, QueueDir: m.queue,
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	readyR, readyW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer readyW.Close()
	stderrR, stderrW, err := os.Pipe()
	if err != nil {
		readyR.Close()
		return err
	}
	defer stderrW.Close()
	log := null
	if g.logFile != nil {
		log = g.logFile
	}
	files := []uintptr{null.Fd(), null.Fd(), stderrW.Fd(), 0, m.lifeline[0].Fd(), readyW.Fd(), log.Fd()}
	for _, row := range g.plan.rows[p.group] {
		r := spec.Row{Name: row.row.Name, Type: row.row.Type}
		for _, a := range row.addresses {
			r.Listeners = append(r.Listeners, len(files))
			files = append(files, uintptr(m.sockets[a]))
		}
		s.Rows = append(s.Rows, r)
	}
	f, err := s.File()
	if err == nil {
		files[spec.SpecFD] = f.Fd()
		p.pid, err = forkExec(m.options.Program, append(slices.Clone(m.options.Child), string(p.group.role)), &syscall.ProcAttr{
			Dir: m.queue, Env: childEnv(&g.plan.params), Files: files,
			Sys: &syscall.SysProcAttr{Setpgid: true}, // Ctrl-C is master's business
		})
		f.Close()
	}
	if err != nil {
		p.pid = 0
		readyR.Close()
		stderrR.Close()
		return err
	}
	p.started, p.ready = time.Now(), false
	go m.awaitReady(p, p.pid, readyR)
	go m.copyErrors(p.name(), stderrR)
	return nil
}

// timerSlack is how late a timer of a child process may be, for company with
// another. The runtime's watcher thread asks to be woken every 20 µs while the
// process is busy; that took a twentieth of the processors.
const timerSlack = 500 * time.Microsecond

// forkExec starts a child process with its timerSlack, which is a property of a
// thread that its children inherit.
func forkExec(program string, args []string, attr *syscall.ProcAttr) (pid int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0); err == nil {
		defer unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // the default
	}
	return syscall.ForkExec(program, args, attr)
}

// childEnv is the environment of child processes. A larger heap before each
// collection pays: a mail system makes much short-lived garbage, and memory
// for messages is bounded elsewhere.
func childEnv(p *Params) []string {
	return append(p.environment(os.Environ()), "GOGC=200", "GOTRACEBACK=single")
}

// awaitReady tells the loop when the process serves. It closes r.
func (m *Master) awaitReady(p *process, pid int, r *os.File) {
	defer r.Close()
	if n, _ := r.Read(make([]byte, 1)); n == 0 {
		return // it died, which is noticed elsewhere
	}
	m.post(func() {
		if p.pid != pid {
			return
		}
		p.ready = true
		switch g := p.generation; {
		case !g.ready():
		case g == m.next:
			m.promote()
		case g == m.current:
			m.serving = true
			m.started(nil)
		}
	})
}

// maxErrorLine bounds a line that a dying process writes.
const maxErrorLine = 4096

// copyErrors logs what a process says on its standard error: the stack of a
// panic, mostly.
func (m *Master) copyErrors(name string, r *os.File) {
	defer r.Close()
	in := bufio.NewReaderSize(r, maxErrorLine)
	for {
		line, err := in.ReadSlice('\n')
		if text := strings.TrimRight(string(line), "\r\n"); text != "" {
			m.post(func() { m.log.Warning("%s: %s", name, text) })
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if !errors.Is(err, io.EOF) {
				m.post(func() { m.log.Warning("%s: standard error: %s", name, err) })
			}
			return
		}
	}
}

// reap takes notice of all processes that ended, also of those that nobody
// knows: as process 1 master inherits orphans.
func (m *Master) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		for _, g := range m.generations() {
			for _, p := range g.processes {
				if p.pid == pid {
					m.died(p, status)
				}
			}
		}
	}
}

// died decides what follows the end of a process.
func (m *Master) died(p *process, status unix.WaitStatus) {
	pid, served := p.pid, p.ready
	p.pid, p.ready = 0, false
	g := p.generation
	old := g != m.current && g != m.next
	expected := m.stopping || old && status.Signal() == unix.SIGHUP // it had not come far
	switch {
	case status.Signaled() && !expected:
		m.log.Warning("process %s pid %d killed by signal %d", p.name(), pid, status.Signal())
	case status.ExitStatus() > 0:
		m.log.Warning("process %s pid %d exit status %d", p.name(), pid, status.ExitStatus())
	}
	if p.group.role == spec.Queue && !m.stopping {
		rescan()
	}
	switch {
	case m.stopping:
	case old:
		if !g.alive() {
			m.old = slices.DeleteFunc(m.old, func(o *generation) bool { return o == g })
			g.closeLog()
		}
	case g == m.next:
		m.giveUp(errors.New("process " + p.name() + " does not start"))
	case !m.serving && !status.Signaled(): // it does not like its configuration
		m.fail(errors.New("process " + p.name() + " does not start"))
	default:
		m.again(p, served)
	}
}

// again starts a process that died: at once, unless it had just been started.
// served: it had got as far as to serve.
func (m *Master) again(p *process, served bool) {
	if p.quick++; time.Since(p.started) >= quickDeath {
		p.quick = 0
	}
	pause := restartPause(p.quick, served, p.generation.plan.params.ThrottleTime)
	if pause >= time.Second {
		m.log.Warning("%s: bad command startup -- throttling", p.name())
	}
	time.AfterFunc(pause, func() {
		m.post(func() {
			if m.stopping || p.generation != m.current || p.pid != 0 {
				return
			}
			if err := m.run(p); err != nil {
				m.log.Warning("cannot start %s: %s", p.name(), err)
				p.started = time.Now()
				m.again(p, false)
			}
		})
	})
}

// restartPause is the pause after this many quick deaths in a row.
func restartPause(quick int, served bool, throttle string) time.Duration {
	limit, err := config.ParseDuration(throttle, "s")
	if err != nil {
		limit = time.Minute // not reached: load has parsed it
	}
	if quick < 2 {
		return 0
	}
	if served {
		limit = min(limit, servedPause)
	}
	return min(firstPause<<min(quick-2, 20), limit)
}
