package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
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
	ids     map[byte][]string // by option letter
	where   []selected
	dry     bool // only tell what --where would do
	repair  queue.RepairOptions
	verbose bool
	totals  queue.Counts
	renamed int
}

// superActions are the options about messages, in the order in which they are
// done to messages that are named.
var superActions = []struct {
	option byte
	action queue.Action
}{
	{'d', queue.ActDelete}, {'r', queue.ActRequeue}, {'h', queue.ActHold},
	{'H', queue.ActRelease}, {'e', queue.ActExpire}, {'f', queue.ActExpireRelease},
}

// superAll is the order for all messages: held mail is released before other
// mail is put on hold.
const superAll = "drHhef"

// Postsuper is postsuper(1): it deletes, holds, releases, requeues and expires
// messages, and repairs the queue. It works on the files while the mail system
// runs or not; the system finds what has changed at its next look.
func Postsuper(env Env) int {
	p := &postsuper{env: env, ids: make(map[byte][]string)}
	dir, names, err := p.options()
	if bad := (*OptionError)(nil); errors.As(err, &bad) {
		return env.Usage(err, postsuperUsage)
	}
	if err != nil {
		return env.Fatal("%v", err)
	}
	if err := p.open(dir, names); err != nil {
		return env.Fatal("%v", err)
	}
	if err := p.run(); err != nil {
		p.log.Fatal("%v", err)
		return env.Fatal("%v", err)
	}
	return 0
}

func (p *postsuper) options() (dir string, names []string, err error) {
	args, dry := p.longOptions()
	p.dry = dry
	opts := NewOptions(args, "c:d:e:f:h:H:pr:sSv")
	for {
		option, value, err := opts.Next()
		switch {
		case errors.Is(err, io.EOF):
			return dir, opts.Rest(), p.checkDry()
		case err != nil:
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
			if isWhere(value) {
				err = p.addWhere(option, value)
			} else {
				p.ids[option] = append(p.ids[option], value)
			}
			if err != nil {
				return "", nil, err
			}
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
	if len(p.ids) == 0 && len(p.where) == 0 && !p.repair.Purge && !p.repair.Structure {
		p.repair.Purge, p.repair.Structure = true, true
	}
	err := p.maintain()
	if err == nil {
		p.all()
		err = errors.Join(p.named(), p.chosen())
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
	if p.renamed > 0 && len(p.ids)+len(p.where) > 0 {
		return errors.New("CHECK YOUR QUEUE IDS AND RE-ISSUE THE COMMAND")
	}
	return nil
}

// all does what was asked for with the word ALL instead of a queue id.
func (p *postsuper) all() {
	for _, option := range []byte(superAll) {
		if !slices.Contains(p.ids[option], "ALL") {
			continue
		}
		for _, a := range superActions {
			if a.option == option {
				p.totals.Add(p.queue.ActAll(a.action, p.in, func(err error) { p.warn("%v", err) }))
			}
		}
	}
}

// named does what was asked for by queue id.
func (p *postsuper) named() error {
	for _, a := range superActions {
		for _, id := range p.ids[a.option] {
			switch id {
			case "ALL":
			case "-":
				if err := p.stdin(a.action); err != nil {
					return err
				}
			default:
				p.one(a.action, id)
			}
		}
	}
	return nil
}

// stdin reads queue ids, one a line.
func (p *postsuper) stdin(a queue.Action) error {
	lines := bufio.NewScanner(p.env.Stdin)
	for lines.Scan() {
		p.one(a, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read queue ids from standard input: %w", err)
	}
	return nil
}

func (p *postsuper) one(a queue.Action, text string) {
	id := mail.QueueID(text)
	if !id.Valid() {
		p.warn("invalid mail queue id: %s", text)
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
			return len(p.ids[o]) > 0 || slices.ContainsFunc(p.where, func(s selected) bool { return s.option == o })
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
