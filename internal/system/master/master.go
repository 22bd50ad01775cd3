// Package master is the resident process that keeps a mail system alive: it
// reads the configuration, makes the queue directories, opens all listening
// sockets, starts the processes that serve them, starts again those that die,
// and replaces all of them for a new configuration (master(8)).
//
// It runs as root where there is root, and therefore does little: it parses
// configuration files and nothing that comes from a network, and never opens a
// message.
//
// One goroutine (Master.loop) owns all state. Sockets stay open here while a
// process is replaced, so that clients wait a moment instead of being refused.
package master

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/internal/config"
	"posthaste/internal/maillog"
	"posthaste/internal/system/host"
)

// Options say what master is to run.
type Options struct {
	ConfigDir string
	Catalog   *config.Catalog // all parameters of the program
	// Check finds what is wrong with a configuration beyond its form, before
	// anything is started with it; nil: nothing.
	Check func(*config.Set) error
	// Missing finds tables of types that there are not; nil: none.
	Missing func(*config.Set) []string
	// Warnings finds what is odd in it; nil: nothing.
	Warnings func(*config.Set) []string
	// Able tells what keeps this program from running any mail system; nil: nothing.
	Able func() error
	// Program is the file that is executed for child processes, and Child their
	// command line, beginning with a name; the role is added at its end.
	Program string
	Child   []string
	// Lifetime ends the mail system after a while (-e); 0: it does not end.
	Lifetime time.Duration
	// Started is called once, when the first processes serve, or with the
	// error that keeps the mail system from starting; nil: nobody waits.
	Started func(error)
}

// Master is a running mail system. Its fields belong to loop.
type Master struct {
	options Options
	log     *maillog.Logger
	locks   []*os.File
	root    bool
	queue   string

	current *generation     // nil until the first one is being started
	next    *generation     // a new configuration that does not serve yet
	old     []*generation   // replaced or given up, with processes left; the oldest first
	sockets map[address]int // listening descriptors

	lifeline [2]*os.File // read end for children; the write end is never used
	events   chan func() // from goroutines that wait for something
	serving  bool        // all processes of the first generation served
	stopping bool
	failure  error // why the mail system did not start
}

// stopTime is how long processes may take to leave after a stop. They limit
// themselves to host.DefaultLimits.Stop.
var stopTime = host.DefaultLimits.Stop + 2*time.Second

// Run runs a mail system until it is told to stop. The error says why it did
// not start.
func Run(o Options) error {
	m := &Master{
		options: o, root: os.Geteuid() == 0,
		sockets: map[address]int{}, events: make(chan func(), 16),
	}
	// From the lock on others find this process, and may signal it. Ends of children
	// come by a channel of their own: many of them must not displace an order.
	signals, children := make(chan os.Signal, 16), make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	signal.Notify(children, syscall.SIGCHLD)
	defer signal.Stop(signals)
	defer signal.Stop(children)
	if err := m.start(); err != nil {
		m.log.Fatal("%s", err)
		m.started(err)
		return err
	}
	if err := m.launch(m.current); err != nil {
		m.log.Fatal("%s", err)
		m.started(err)
		m.killAll(unix.SIGKILL)
		return err
	}
	if d := o.Lifetime; d > 0 {
		time.AfterFunc(d, func() { m.post(func() { m.stop(syscall.SIGTERM) }) })
	}
	m.loop(signals, children)
	return m.failure
}

// fail ends a mail system that does not get up: somebody is told at once,
// instead of finding a master that starts a broken process again and again.
func (m *Master) fail(err error) {
	m.log.Fatal("%s", err)
	m.failure = err
	m.started(err)
	m.stop(syscall.SIGTERM)
}

// started tells whoever waits, once.
func (m *Master) started(err error) {
	if f := m.options.Started; f != nil {
		m.options.Started = nil
		f(err)
	}
}

// start does all that can fail before a process exists.
func (m *Master) start() error {
	dir, err := filepath.Abs(m.options.ConfigDir)
	if err != nil {
		return err
	}
	m.options.ConfigDir = dir
	p, err := load(&m.options)
	if err != nil {
		m.log = m.emergencyLog()
		return err
	}
	c := &p.params.Common
	logFile, err := openLog(&p.params)
	if err != nil {
		m.log = m.emergencyLog()
		return err
	}
	if m.log, err = newLog(c, logFile); err != nil {
		m.log = m.emergencyLog()
		return err
	}
	if able := m.options.Able; able != nil {
		if err := able(); err != nil {
			return err
		}
	}
	if err := m.prepare(p); err != nil {
		return err
	}
	m.warn(p)
	g := &generation{plan: p, logFile: logFile}
	if err := m.bindAll(g); err != nil {
		return err
	}
	m.current = g
	m.log.Info("daemon started -- version %s, configuration %s", c.MailVersion, dir)
	return nil
}

// prepare makes the directories and takes the locks. The working directory is
// the queue directory from here on.
func (m *Master) prepare(p *plan) error {
	c := &p.params.Common
	m.queue = c.QueueDirectory
	unix.Umask(0o022)
	if err := makeRoot(m.queue); err != nil {
		return err
	}
	if err := os.Chdir(m.queue); err != nil {
		return fmt.Errorf("queue directory: %w", err)
	}
	o, err := p.params.owner(m.root)
	if err != nil {
		return err
	}
	if err := makeDirectories(c.DataDirectory, o); err != nil {
		return err
	}
	unix.Umask(0o077) // what is made from here on is nobody else's business
	if m.locks, err = lockAll(c.DataDirectory, o); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	m.lifeline = [2]*os.File{r, w}
	return nil
}

// warn logs what is odd about a configuration.
func (m *Master) warn(p *plan) {
	for _, text := range append(p.set.Main.Warnings[:len(p.set.Main.Warnings):len(p.set.Main.Warnings)], p.set.Master.Warnings...) {
		m.log.Warning("%s", text)
	}
	for _, f := range config.Analyse(m.options.Catalog, p.set.Main, p.set.Master, nil).NotImplemented {
		m.log.Warning("%s, line %d: %s = %s is not implemented; %q is in force", f.File, f.Line, f.Name, f.Value, f.Default)
	}
	if m.options.Missing != nil {
		for _, text := range m.options.Missing(p.set) {
			m.log.Warning("%s", text)
		}
	}
}

// loop runs until the mail system has ended.
func (m *Master) loop(signals, children <-chan os.Signal) {
	for !m.ended() {
		select {
		case s := <-signals:
			m.signal(s.(syscall.Signal))
		case <-children:
			m.reap()
		case f := <-m.events:
			f()
		}
	}
}

// post hands f to the loop.
func (m *Master) post(f func()) { m.events <- f }

func (m *Master) signal(s syscall.Signal) {
	switch {
	case s == syscall.SIGHUP:
		m.reload()
	case m.stopping: // somebody is in a hurry
		m.stop(syscall.SIGQUIT)
	default:
		m.stop(s)
	}
}

// stop ends the mail system: gently, or at once for SIGQUIT (postfix abort).
func (m *Master) stop(s syscall.Signal) {
	m.log.Info("terminating on signal %d", s)
	m.started(fmt.Errorf("terminated by signal %d", s))
	m.stopping = true
	for _, fd := range m.sockets {
		unix.Close(fd)
	}
	clear(m.sockets)
	if s == syscall.SIGQUIT {
		m.killAll(unix.SIGKILL)
		return
	}
	m.killAll(unix.SIGTERM)
	time.AfterFunc(stopTime, func() {
		m.post(func() {
			m.log.Warning("stopping the Postfix mail system with force")
			m.killAll(unix.SIGKILL)
		})
	})
}

// killAll sends a signal to all processes.
func (m *Master) killAll(s unix.Signal) {
	for _, g := range m.generations() {
		g.kill(s)
	}
}

// generations are those that may have processes.
func (m *Master) generations() []*generation {
	all := slices.Clone(m.old)
	for _, g := range []*generation{m.current, m.next} {
		if g != nil {
			all = append(all, g)
		}
	}
	return all
}

// ended tells whether the mail system was stopped and no process is left.
func (m *Master) ended() bool {
	if !m.stopping {
		return false
	}
	return !slices.ContainsFunc(m.generations(), (*generation).alive)
}
