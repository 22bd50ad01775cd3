package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"posthaste/internal/getopt"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/selection"
	"posthaste/internal/showq"
)

// whereOption stands in the place of a queue id, with an expression behind it.
const whereOption = "--where"

// longOptions are the arguments as getopt(3) can read them: the expression
// joined to its option, and without --dry-run.
func (p *postsuper) longOptions() (args []string, dry bool) {
	args, _, count := getopt.TakeLong(getopt.JoinLong(p.env.arguments(), whereOption), "--dry-run")
	return args, count > 0
}

// strayWhere is an error when one of the arguments is an expression that stands
// where no queue id could.
func strayWhere(args ...string) error {
	for _, a := range args {
		if text, found := strings.CutPrefix(a, whereOption); found && (text == "" || text[0] == '=') {
			return errors.New(whereOption + " must stand right behind -d, -e, -f, -h, -H or -r, in the place of a queue id")
		}
	}
	return nil
}

// newRequest reads the value of an option about messages.
func newRequest(option byte, value string) (request, error) {
	text, found := strings.CutPrefix(value, whereOption)
	if !found || text != "" && text[0] != '=' {
		return request{option: option, ids: value}, nil
	}
	if text == "" {
		return request{}, fmt.Errorf("-%c %s requires an expression", option, whereOption)
	}
	expr, err := selection.Parse(text[1:])
	if err != nil {
		return request{}, fmt.Errorf("-%c %s: %w", option, whereOption, err)
	}
	return request{option: option, where: expr}, nil
}

// checkDry refuses --dry-run beside anything that would not be dry.
func (p *postsuper) checkDry() error {
	byID := func(r request) bool { return r.where == nil }
	if p.dry && (len(p.asked) == 0 || slices.ContainsFunc(p.asked, byID) || p.repair.Purge || p.repair.Structure) {
		return errors.New("--dry-run goes together with --where only")
	}
	return nil
}

// choice finds all messages that are meant before it does anything to one, so
// that none of them is met again in another queue or as a new message.
func (p *postsuper) choice(r request, a queue.Action, now time.Time) error {
	if !p.dry { // a message is found by its name afterwards
		p.queue.Arrange(p.in, func(err error) { p.warn("%v", err) })
	}
	f := finder{action: a, in: p.in}
	looked := &counted{showq.Filter(r.where, now, &f), newProgress(p.env.Stderr, p.env.Name())}
	err := showq.ReadQueue(p.queue, !r.where.Uses(selection.Reason), p.warn, looked)
	looked.bar.end()
	if err != nil {
		return err
	}
	if p.dry {
		return p.tell(r.option, f.list)
	}
	say := p.log.Info
	if p.verbose {
		say = p.say
	}
	bar := newProgress(p.env.Stderr, p.env.Name())
	defer bar.end()
	for i, m := range f.list {
		in := p.in
		if r.where.Uses(selection.Queue) {
			in = []queue.Name{m.queue} // elsewhere it is not meant any more
		}
		p.act(a, m.id, in, say)
		bar.show(i+1, len(f.list))
	}
	return nil
}

// tell prints what would be done.
func (p *postsuper) tell(option byte, list []place) error {
	words := map[byte][2]string{
		'd': {"removed", "Deleted"}, 'r': {"requeued", "Requeued"}, 'h': {"placed on hold", "Placed on hold"},
		'H': {"released from hold", "Released from hold"}, 'e': {"expired", "Force-expired"},
		'f': {"expired and released from hold", "Force-expired and released from hold"},
	}[option]
	for _, m := range list {
		if _, err := fmt.Fprintf(p.env.Stdout, "%s: would be %s from %s\n", m.id, words[0], m.queue); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(p.env.Stdout, "Would be done: %s: %s\n", words[1], messages(len(list)))
	return err
}

// place is where a message was found.
type place struct {
	id    mail.QueueID
	queue queue.Name
}

// finder collects the messages to which an action would do something.
type finder struct {
	action queue.Action
	in     []queue.Name
	list   []place
}

// Message takes one that is meant.
func (f *finder) Message(h showq.Head) error {
	n := queue.Name(h.Queue)
	switch {
	case !f.action.Takes(n) || !slices.Contains(f.in, n):
	case h.Expired && (f.action == queue.ActExpire || f.action == queue.ActExpireRelease && n != queue.Hold):
	default:
		f.list = append(f.list, place{mail.QueueID(h.ID), n})
	}
	return nil
}

// Recipient does nothing: the expression has been asked.
func (f *finder) Recipient(string, string) error { return nil }

// MessageEnd does nothing.
func (f *finder) MessageEnd() error { return nil }

// counted counts the messages that are looked at.
type counted struct {
	showq.Printer
	bar *progress
}

// Message counts one.
func (c *counted) Message(h showq.Head) error {
	c.bar.show(c.bar.done+1, 0)
	return c.Printer.Message(h)
}
