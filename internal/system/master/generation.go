package master

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/internal/config"
	"posthaste/internal/ipc"
	"posthaste/internal/system/host"
	"posthaste/internal/system/spec"
)

// generation is the processes of one configuration.
type generation struct {
	plan      *plan
	logFile   *os.File // nil: syslog
	bound     []address
	processes []*process
	hurried   bool // its sessions were told to end
}

func (g *generation) alive() bool {
	return slices.ContainsFunc(g.processes, func(p *process) bool { return p.pid != 0 })
}

func (g *generation) ready() bool {
	return !slices.ContainsFunc(g.processes, func(p *process) bool { return !p.ready })
}

func (g *generation) kill(s unix.Signal) {
	for _, p := range g.processes {
		if p.pid != 0 {
			unix.Kill(p.pid, s)
		}
	}
}

// closeLog closes the log file of a generation that is gone.
func (g *generation) closeLog() {
	if g.logFile != nil && g.logFile != os.Stdout {
		g.logFile.Close()
	}
}

// bindAll opens the sockets that g wants and that are not open yet. After an
// error none of them is open.
func (m *Master) bindAll(g *generation) error {
	o, err := g.plan.params.owner(m.root)
	if err != nil {
		return err
	}
	for _, group := range g.plan.groups {
		for _, s := range g.plan.rows[group] {
			for _, a := range s.addresses {
				if _, open := m.sockets[a]; open {
					continue
				}
				fd, err := bind(a, o)
				if err != nil {
					m.unbind(g.bound)
					if s.row.Line > 0 {
						err = fmt.Errorf("%s, line %d: %w", s.row.File, s.row.Line, err)
					}
					return err
				}
				m.sockets[a] = fd
				g.bound = append(g.bound, a)
			}
		}
	}
	return nil
}

// unbind closes sockets and removes their files.
func (m *Master) unbind(list []address) {
	for _, a := range list {
		fd, open := m.sockets[a]
		if !open {
			continue
		}
		unix.Close(fd)
		delete(m.sockets, a)
		if a.network != "tcp4" && a.network != "tcp6" {
			os.Remove(a.name)
		}
	}
}

// launch starts the processes of g.
func (m *Master) launch(g *generation) error {
	encoded := config.Encode(g.plan.set)
	for _, group := range g.plan.groups {
		p := &process{generation: g, group: group, config: encoded}
		g.processes = append(g.processes, p)
		if err := m.run(p); err != nil {
			return err
		}
	}
	return nil
}

// readyTime is how long a new generation may take until it serves.
const readyTime = time.Minute

// reload starts processes for the configuration as it is now. Until they
// serve, and if they never do, those of the old one go on.
func (m *Master) reload() {
	if m.stopping {
		return
	}
	if m.next != nil { // its successor is already wanted
		m.giveUp(errors.New("another reload was asked for"))
	}
	p, err := load(&m.options)
	if err == nil && p.params.Common.QueueDirectory != m.queue {
		err = errors.New("queue_directory cannot change while the mail system is running")
	}
	var file *os.File
	if err == nil {
		file, err = openLog(&p.params)
	}
	if err != nil {
		m.log.Error("reload: %s; the old configuration stays in force", err)
		return
	}
	g := &generation{plan: p, logFile: file}
	m.next = g
	if err = m.bindAll(g); err == nil {
		err = m.launch(g)
	}
	if err != nil {
		m.giveUp(err)
		return
	}
	time.AfterFunc(readyTime, func() {
		m.post(func() {
			if m.next == g {
				m.giveUp(fmt.Errorf("its processes are not ready after %s", readyTime))
			}
		})
	})
}

// giveUp drops the generation that was to be the next one.
func (m *Master) giveUp(err error) {
	m.log.Error("reload: %s; the old configuration stays in force", err)
	g := m.next
	m.next = nil
	m.unbind(g.bound)
	m.retire(g)
	m.hurryOld()
}

// retire lets a generation go, which accepts nothing from here on, and keeps it
// in mind until its last process is gone: sessions that it has begun go on. A
// process that has not come so far as to serve dies of the signal.
func (m *Master) retire(g *generation) {
	if !g.alive() {
		g.closeLog()
		return
	}
	g.kill(unix.SIGHUP)
	m.old = append(m.old, g)
}

// maxOld is how many generations may wait for their sessions to end by
// themselves: each holds some memory.
const maxOld = 16

// hurryOld lets old generations wait no longer for their sessions when there are
// too many of them, when what they take in would not be found by the current
// one, or when what they log would end in a file that was put away.
func (m *Master) hurryOld() {
	now, waiting := m.current, 0
	for _, g := range slices.Backward(m.old) {
		switch {
		case g.hurried:
		case waiting == maxOld, !sameQueue(&g.plan.params.Common, &now.plan.params.Common), rotated(g.logFile, now.logFile):
			g.hurried = true
			g.kill(host.Hurry)
		default:
			waiting++
		}
	}
}

// sameQueue tells whether a process with one configuration finds the mail that
// another one has taken in, and may remove it: files lie in the same directories,
// belong to the same user, and are in the journal of either or of none.
func sameQueue(a, b *config.Common) bool {
	hashed := func(c *config.Common) []string { return slices.Sorted(slices.Values(c.HashQueueNames)) }
	return a.QueueDirectory == b.QueueDirectory && a.MailOwner == b.MailOwner && a.LongQueueIDs == b.LongQueueIDs &&
		a.HashQueueDepth == b.HashQueueDepth && slices.Equal(hashed(a), hashed(b))
}

// rotated tells whether a log file was put away and another one begun in its place.
func rotated(before, now *os.File) bool {
	if before == nil || now == nil || before.Name() != now.Name() {
		return false
	}
	a, err := before.Stat()
	b, e := now.Stat()
	return err == nil && e == nil && !os.SameFile(a, b)
}

// promote makes the next generation the current one, now that it serves.
func (m *Master) promote() {
	before := m.current
	m.current, m.next = m.next, nil
	c := &m.current.plan.params.Common
	if log, err := newLog(c, m.current.logFile); err == nil {
		m.log = log
	}
	m.log.Info("reload -- version %s, configuration %s", c.MailVersion, m.options.ConfigDir)
	m.warn(m.current.plan)
	m.retire(before)
	m.hurryOld()
	m.closeUnused()
	m.serving = true // also when the generation before did not get that far
	m.started(nil)
}

// closeUnused closes the sockets that the current generation does not want.
func (m *Master) closeUnused() {
	wanted := map[address]bool{}
	for _, rows := range m.current.plan.rows {
		for _, s := range rows {
			for _, a := range s.addresses {
				wanted[a] = true
			}
		}
	}
	var gone []address
	for a := range m.sockets {
		if !wanted[a] {
			gone = append(gone, a)
		}
	}
	m.unbind(gone)
}

// rescan makes the queue process look into incoming: another one has ended and
// put back what it had not begun.
func rescan() {
	hint := ipc.NewHint(spec.Notify)
	hint.Send(nil)
	hint.Close()
}
