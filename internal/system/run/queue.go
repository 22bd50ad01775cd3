package run

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"posthaste/internal/address"
	"posthaste/internal/deliver"
	"posthaste/internal/deliver/remote"
	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/schedule"
	"posthaste/internal/system/host"
	"posthaste/internal/system/spec"
)

// queueManager builds the process that owns the queue.
func queueManager(env *host.Env) ([]host.Part, error) {
	p := newProcess(env)
	r, err := p.find("qmgr")
	if err != nil {
		return nil, err
	}
	q, keep, err := r.openQueue(true)
	if err != nil {
		return nil, err
	}
	// The door rings a bell in this process; the scheduler is made later, and
	// nothing comes in before that.
	var sched *schedule.Scheduler
	d, err := p.newDoor(q, func(id mail.QueueID) { sched.Arrived(id) })
	if err != nil {
		return nil, err
	}
	notices, err := p.newNotices(q, d)
	if err != nil {
		return nil, err
	}
	flusher, refresh, err := p.newFlush(q, func(ids ...mail.QueueID) { sched.FlushMessages(ids...) })
	if err != nil {
		return nil, err
	}
	if sched, err = r.newScheduler(q, notices, flusher.deferred); err != nil {
		return nil, r.fault(err)
	}
	take, wake, err := p.pickup(q, d, notices)
	if err != nil {
		return nil, err
	}
	parts := []host.Part{
		{Name: "qmgr", Serve: func(context.Context) error { return sched.Serve(context.Background()) }, Drain: sched.Stop},
		hints(env.Notify, sched),
		take,
		keep,
		r.order(q, sched),
	}
	if refresh.Name != "" {
		parts = append(parts, refresh)
	}
	return append(parts, p.queueSockets(q, d, sched, flusher, wake)...), nil
}

// order is the part that puts the large queues in order, as postsuper does the
// others before the start.
func (r *row) order(q *queue.Queue, sched *schedule.Scheduler) host.Part {
	return host.Part{Name: "postsuper", Serve: func(ctx context.Context) error {
		_, err := q.Repair(ctx, queue.RepairOptions{
			In: queue.Late, Names: true, Structure: true, Pace: queue.Pace{Busy: sched.Busy},
			Warn: r.log.Warning, Note: func(string, ...any) {},
		})
		if err != nil {
			r.log.Warning("queue: %s", err)
		}
		<-ctx.Done()
		return nil
	}}
}

// newScheduler makes the queue manager.
func (r *row) newScheduler(q *queue.Queue, notices schedule.Notifier, deferred func(mail.QueueID, mail.Address)) (*schedule.Scheduler, error) {
	var params schedule.Params
	if err := r.snap.Bind(&params); err != nil {
		return nil, err
	}
	rewriting, deps, err := r.addresses()
	if err != nil {
		return nil, err
	}
	agents, logs, err := r.process.agents(r.log)
	if err != nil {
		return nil, err
	}
	// After a reload the next process is told what this one leaves to it.
	successor := ipc.NewHint(spec.Notify)
	return schedule.New(params, r.common, schedule.Deps{
		Queue: schedule.Disk(q), Resolver: newRoutes(rewriting, deps), Agents: agents, Notices: notices,
		Log: schedule.OperatorLog(r.log, logs), Override: r.snap.Transport, Unreachable: remote.Unavailable, Deferred: deferred,
		Untaken: func(id mail.QueueID) { successor.Send([]byte(id)) }, Descriptors: descriptors(),
	}), nil
}

// routes finds the route of a recipient; probes may take others.
type routes struct{ mail *address.Resolver }

func newRoutes(p address.Params, d address.Deps) routes {
	return routes{address.NewResolver(p, d)}
}

// Resolve implements schedule.Resolver.
func (r routes) Resolve(ctx context.Context, sender, recipient mail.Address) (schedule.Route, error) {
	route, err := r.mail.Resolve(ctx, sender, recipient)
	if err != nil {
		return schedule.Route{}, err
	}
	return schedule.Route{
		Transport: route.Transport, Nexthop: route.Nexthop, Recipient: route.Recipient,
		Local: route.Class == address.ClassLocal,
	}, nil
}

// agents are the delivery services of master.cf, each in another process.
type agents map[string]agent

type agent struct {
	client  *remote.Client
	maxproc int
}

// Agent implements schedule.Agents.
func (a agents) Agent(service string) (deliver.Agent, int, error) {
	found, ok := a[service]
	if !ok {
		return nil, 0, fmt.Errorf("no service %q in master.cf", service)
	}
	return found.client, found.maxproc, nil
}

// keepConnections is how many idle connections to an unlimited service are kept.
const keepConnections = 100

// agents makes clients of all delivery services, and finds the name each of
// them has in the log.
func (p *process) agents(other *maillog.Logger) (agents, func(string) *maillog.Logger, error) {
	clients, logs := agents{}, map[string]*maillog.Logger{}
	for _, s := range p.env.Set.Master.Services {
		role := spec.Roles[s.Command]
		if s.Type != "unix" || role != spec.Outbound && role != spec.Local {
			continue
		}
		r, err := p.row(s)
		if err != nil {
			return nil, nil, err
		}
		n := r.maxproc()
		keep := n
		if keep == 0 {
			keep = keepConnections
		}
		keep = min(keep, connections())
		clients[s.Name] = agent{remote.NewClient(socket(s), keep), n}
		logs[s.Name] = r.log
	}
	return clients, func(service string) *maillog.Logger {
		if l := logs[service]; l != nil {
			return l
		}
		return other
	}, nil
}

// hints takes what other processes tell of new mail. All generations read the
// same socket. What this one has read and will not act upon, since it leaves, is
// made good: after its last read its successor is asked to look for itself.
func hints(socket *net.UnixConn, sched *schedule.Scheduler) host.Part {
	return host.Part{Name: "notify", Serve: func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { socket.Close() })
		defer stop()
		buf := make([]byte, ipc.MaxDatagram)
		for {
			n, err := socket.Read(buf)
			if ctx.Err() != nil {
				socket.Close()
				ipc.NewHint(spec.Notify).Send(nil)
				return nil
			}
			if err != nil {
				return err
			}
			names := ipc.Names(buf[:n])
			if len(names) == 0 {
				sched.ScanIncoming()
			}
			for _, name := range names {
				if id := mail.QueueID(name); id.Valid() {
					sched.Arrived(id)
				}
			}
		}
	}}
}

// queueSockets serves the sockets of the rows of this process.
func (p *process) queueSockets(q *queue.Queue, d *door, sched *schedule.Scheduler, flusher flushServer, wakePickup func()) []host.Part {
	serve := map[string]func(context.Context, net.Conn){
		"cleanup": submitServer{d, p.log}.serve,
		"flush":   flusher.serve,
		"showq":   showqServer{q, p.log}.serve,
	}
	wake := map[string]func(byte){
		"pickup": func(byte) { wakePickup() },
		"qmgr":   func(c byte) { wish(sched, c) },
	}
	var parts []host.Part
	for _, s := range p.env.Services {
		each := serve[s.Command]
		if w := wake[s.Command]; w != nil {
			each = trigger(socket(s.Service), w)
		}
		if each == nil {
			// bounce, defer, trace, verify: function calls in this process.
			each = func(context.Context, net.Conn) {}
		}
		parts = append(parts, host.Part{Name: s.Name, Serve: func(ctx context.Context) error {
			for _, f := range s.Fifos {
				go readTriggers(ctx, f, each)
			}
			for _, d := range s.Datagrams {
				go relayLog(ctx, d, p.log)
			}
			return serveAll(ctx, s.Listeners, func(l net.Listener) error {
				return p.accept(ctx, l, func(c net.Conn) {
					defer c.Close()
					each(ctx, c)
				})
			})
		}})
	}
	return parts
}

// relayLog logs what programs without access to the log file send (postlogd(8)).
func relayLog(ctx context.Context, socket *net.UnixConn, log *maillog.Logger) {
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	defer stop()
	buf := make([]byte, ipc.MaxDatagram)
	for {
		n, err := socket.Read(buf)
		if err != nil {
			return
		}
		log.Relay(strings.TrimRight(string(buf[:n]), "\r\n"))
	}
}

// ownUser tells whether a user may put anything into maildrop: root, and the
// user of this process.
func ownUser(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }
