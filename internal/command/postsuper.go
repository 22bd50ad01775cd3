package command

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/selection"
)

const postsuperUsage = "[-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] [-f queue_id (expire and/or un-hold)] " +
	"[-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] [-r queue_id (requeue)] " +
	"[-s (structure fix)] [-S (redundant structure fix)][-v (verbose)] [queue...], " +
	"where a queue_id may be --where expression, with [--dry-run]"

// postsuper is one run of the command.
type postsuper struct {
	env     Env
	log     *maillog.Logger
	queue   *queue.Queue
	in      []queue.Name
	asked   []request // in the order of the command line
	dry     bool      // only tell what --where would do
	repair  queue.RepairOptions
	verbose bool
	totals  queue.Counts
	renamed int
}

// request is what is to be done to some messages.
type request struct {
	option byte
	ids    string          // a queue id, `-` for ids on standard input, or ALL
	where  *selection.Expr // instead of ids
}

// superActions are the options about messages.
var superActions = map[byte]queue.Action{
	'd': queue.ActDelete, 'r': queue.ActRequeue, 'h': queue.ActHold,
	'H': queue.ActRelease, 'e': queue.ActExpire, 'f': queue.ActExpireRelease,
}

// Postsuper is postsuper(1): it deletes, holds, releases, requeues and expires
// messages, and repairs the queue. It works on the files while the mail system
// runs or not; the system finds what has changed at its next look.
func Postsuper(env Env) int {
	p := &postsuper{env: env}
	dir, names, err := p.options()
	if bad := (*OptionError)(nil); errors.As(err, &bad) {
		return env.Usage(err, postsuperUsage)
	}
	if err != nil {
		return env.Fatal("%v", err)
	}
	if err = p.open(dir, names); err == nil {
		err = p.run()
	}
	if err != nil {
		p.log.Fatal("%v", err)
		return env.Fatal("%v", err)
	}
	return 0
}

func (p *postsuper) options() (dir string, names []string, err error) {
	args, dry := p.longOptions()
	p.dry = dry
	opts := NewOptions(args, "c!d:e:f:h:H:pr:sSv")
	for {
		option, value, err := opts.Next()
		switch {
		case errors.Is(err, io.EOF):
			return dir, opts.Rest(), errors.Join(strayWhere(opts.Rest()...), p.checkDry())
		case err != nil:
			if bad, ok := errors.AsType[*OptionError](err); ok && bad.Option == '-' {
				err = cmp.Or(strayWhere("--"+opts.Unread()), err)
			}
			return "", nil, err
		}
		switch option {
		case 'c':
			dir = value
		case 'p':
			p.repair.Purge = true
		case 's':
			p.repair.Structure = true
		case 'S':
			p.repair.Structure, p.repair.LongNames = true, true
		case 'v':
			p.verbose = true
		default:
			r, err := newRequest(option, value)
			if err != nil {
				return "", nil, err
			}
			p.asked = append(p.asked, r)
		}
	}
}

// open finds the queue and becomes its owner.
func (p *postsuper) open(dir string, names []string) error {
	if dir != "" && !filepath.IsAbs(dir) {
		return errors.New("-c requires absolute pathname")
	}
	s, err := openInstance(p.env, dir)
	if err != nil {
		return err
	}
	if err := s.superuser(); err != nil {
		return err
	}
	if p.log, err = s.logger(); err != nil {
		return err
	}
	if err := s.becomeOwner(); err != nil {
		return err
	}
	if p.queue, err = s.queue(); err != nil {
		return err
	}
	return p.choose(names)
}

// choose sets which directories are worked on; none named: all.
func (p *postsuper) choose(names []string) error {
	p.in = queue.Maintained
	if len(names) == 0 {
		return nil
	}
	p.in = nil
	for _, name := range names {
		n := queue.Name(name)
		if !slices.Contains(queue.Maintained, n) {
			return fmt.Errorf("invalid directory name: %s", name)
		}
		p.in = append(p.in, n)
	}
	return nil
}

func (p *postsuper) run() error {
	if len(p.asked) == 0 && !p.repair.Purge && !p.repair.Structure {
		p.repair.Purge, p.repair.Structure = true, true
	}
	err := p.maintain()
	now := time.Now()
	for _, r := range p.asked {
		if err == nil {
			err = p.do(r, now)
		}
	}
	err = errors.Join(err, p.queue.Sync())
	p.report()
	return err
}

// maintain is -s, -S and -p. What follows could meet the wrong message when it
// did not succeed, so it ends the command.
func (p *postsuper) maintain() error {
	if !p.repair.Purge && !p.repair.Structure {
		return nil
	}
	o := p.repair
	o.In, o.Warn, o.Note = p.in, p.warn, func(format string, args ...any) {
		if p.verbose {
			p.say(format, args...)
		}
	}
	var err error
	if p.renamed, err = p.queue.Repair(context.Background(), o); err != nil {
		p.warn("OPERATION INCOMPLETE -- RERUN COMMAND TO FIX THE QUEUE FIRST")
		return err
	}
	if p.renamed > 0 && len(p.asked) > 0 {
		return errors.New("CHECK YOUR QUEUE IDS AND RE-ISSUE THE COMMAND")
	}
	return nil
}

// do is one request.
func (p *postsuper) do(r request, now time.Time) error {
	a := superActions[r.option]
	switch {
	case r.where != nil:
		return p.choice(r, a, now)
	case r.ids == "ALL":
		p.totals.Add(p.queue.ActAll(a, p.in, func(err error) { p.warn("%v", err) }))
	case r.ids == "-":
		return p.stdin(a)
	default:
		p.one(a, r.ids)
	}
	return nil
}

// stdin reads queue ids, one a line.
func (p *postsuper) stdin(a queue.Action) error {
	in := bufio.NewReader(p.env.Stdin)
	for {
		line, err := in.ReadSlice('\n')
		begin := string(line)
		for errors.Is(err, bufio.ErrBufferFull) { // no queue id is so long: go over the rest
			_, err = in.ReadSlice('\n')
		}
		if id := strings.TrimRight(begin, "\r\n"); begin != "" {
			p.one(a, id)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read queue ids from standard input: %w", err)
		}
	}
}

func (p *postsuper) one(a queue.Action, text string) {
	id := mail.QueueID(text)
	if !id.Valid() {
		p.warn("invalid mail queue id: %.100s", text)
		return
	}
	p.act(a, id, p.in, p.say)
}

// act does something to one message, and tells of it by say.
func (p *postsuper) act(a queue.Action, id mail.QueueID, in []queue.Name, say func(format string, args ...any)) {
	done, err := p.queue.Act(a, id, in)
	if err != nil {
		p.warn("%s: %v", id, err)
	}
	for _, d := range []struct {
		n    int
		what string
	}{
		{done.Deleted, "removed"}, {done.Requeued, "requeued"}, {done.Held, "placed on hold"},
		{done.Expired, "expired"}, {done.Released, "released from hold"},
	} {
		if d.n > 0 {
			say("%s: %s", id, d.what)
		}
	}
	p.totals.Add(done)
}

// report prints the totals of what was asked for.
func (p *postsuper) report() {
	for _, line := range []struct {
		options, what string
		n             int
	}{
		{"r", "Requeued", p.totals.Requeued}, {"d", "Deleted", p.totals.Deleted},
		{"ef", "Force-expired", p.totals.Expired}, {"h", "Placed on hold", p.totals.Held},
		{"Hf", "Released from hold", p.totals.Released},
	} {
		asked := slices.ContainsFunc([]byte(line.options), func(o byte) bool {
			return slices.ContainsFunc(p.asked, func(r request) bool { return r.option == o })
		})
		if asked && !p.dry {
			p.say("%s: %s", line.what, messages(line.n))
		}
	}
	if p.renamed > 0 {
		p.say("Renamed to match inode number: %s", messages(p.renamed))
		p.warn("QUEUE FILE NAMES WERE CHANGED TO MATCH INODE NUMBERS")
	}
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// say tells standard error and the log.
func (p *postsuper) say(format string, args ...any) {
	p.log.Info(format, args...)
	fmt.Fprintf(p.env.Stderr, "%s: %s\n", p.env.Name(), maillog.Sanitize(fmt.Sprintf(format, args...)))
}

func (p *postsuper) warn(format string, args ...any) {
	p.log.Warning(format, args...)
	p.env.Warn("%s", maillog.Sanitize(fmt.Sprintf(format, args...)))
}
