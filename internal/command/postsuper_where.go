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

// selected is what is to be done to the messages that an expression means.
type selected struct {
	option byte
	expr   *selection.Expr
}

// longOptions are the arguments as getopt(3) can read them: the expression
// joined to its option, and without --dry-run.
func (p *postsuper) longOptions() (args []string, dry bool) {
	args, _, count := getopt.TakeLong(getopt.JoinLong(p.env.arguments(), whereOption), "--dry-run")
	return args, count > 0
}

func isWhere(value string) bool {
	return value == whereOption || strings.HasPrefix(value, whereOption+"=")
}

func (p *postsuper) addWhere(option byte, value string) error {
	text, found := strings.CutPrefix(value, whereOption+"=")
	if !found {
		return fmt.Errorf("-%c %s requires an expression", option, whereOption)
	}
	expr, err := selection.Parse(text)
	if err != nil {
		return fmt.Errorf("-%c %s: %w", option, whereOption, err)
	}
	p.where = append(p.where, selected{option, expr})
	return nil
}

// checkDry refuses --dry-run beside anything that would not be dry.
func (p *postsuper) checkDry() error {
	if p.dry && (len(p.where) == 0 || len(p.ids) > 0 || p.repair.Purge || p.repair.Structure) {
		return errors.New("--dry-run goes together with --where only")
	}
	return nil
}

// chosen does what was asked for with --where.
func (p *postsuper) chosen() error {
	now := time.Now()
	for _, option := range []byte(superAll) {
		for _, s := range p.where {
			if s.option != option {
				continue
			}
			for _, a := range superActions {
				if a.option == option {
					if err := p.choice(s, a.action, now); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// choice finds all messages that are meant before it does anything to one, so
// that none of them is met again in another queue or as a new message.
func (p *postsuper) choice(s selected, a queue.Action, now time.Time) error {
	f := finder{action: a, in: p.in}
	looked := &counted{showq.Filter(s.expr, now, &f), newProgress(p.env.Stderr, p.env.Name())}
	err := showq.ReadQueue(p.queue, !s.expr.Uses(selection.Reason), p.warn, looked)
	looked.bar.end()
	if err != nil {
		return err
	}
	if p.dry {
		return p.tell(s.option, f.list)
	}
	say := p.log.Info
	if p.verbose {
		say = p.say
	}
	bar := newProgress(p.env.Stderr, p.env.Name())
	defer bar.end()
	for i, m := range f.list {
		in := p.in
		if s.expr.Uses(selection.Queue) {
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
