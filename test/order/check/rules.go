package check

import (
	"regexp"
	"strings"

	"posthaste/test/order/trace"
)

const (
	accepted = "250 2.0.0 Ok: queued as "
	noQueue  = "451 4.3.0 Error: queue file write error"
)

// reply judges what is said to a client: R1 and R2.
func (r *run) reply(text string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, noQueue) {
			r.Refused++
		}
		id, ok := strings.CutPrefix(line, accepted)
		if !ok {
			continue
		}
		id = strings.TrimRight(id, "\r\n")
		r.Acks++
		m := r.messages[id]
		switch {
		case m == nil:
			r.find(Acknowledge, id, "no such message")
			continue
		case m.discarded:
			r.find(Acknowledge, id, "acknowledged after it was removed")
			continue
		}
		m.acked = true
		switch rule, what := m.missing(); {
		case what != "":
			r.find(rule, id, "250: %s", what)
		case m.byJournal():
			r.ByJournal++
			if m.commit.size == 0 {
				r.InPieces++
			}
		default:
			r.ByFile++
		}
	}
}

// exit judges the success of postdrop: R1.
func (r *run) exit(c *trace.Call) {
	process := r.trace.Process(c.PID)
	if !r.droppers[process] || c.Arg(0) != "0" {
		return
	}
	delete(r.droppers, process) // two threads may end it
	r.Exits++
	for _, m := range r.messages {
		if m.file.creator == process {
			if rule, what := m.missing(); what != "" {
				r.find(rule, m.id, "exit 0 of postdrop: %s", what)
			}
		}
	}
}

// taken is how the peer of a test answers: with the id and the recipients.
var taken = regexp.MustCompile(`(?m)^250 2\.0\.0 Ok: queued as SINK test=(\S+) for=(\S+)`)

// Taken is the reply of a peer which says that it has taken copies.
func Taken(test string, recipients []string) string {
	return "250 2.0.0 Ok: queued as SINK test=" + test + " for=" + strings.Join(recipients, ",")
}

// read looks for what a peer has taken.
func (r *run) read(c *trace.Call) {
	if !c.Finished || c.Result <= 0 || !strings.HasPrefix(c.Descriptor(0), "TCP") {
		return
	}
	for _, m := range taken.FindAllStringSubmatch(c.Bytes(1), -1) {
		if r.remote[m[1]] == nil {
			r.remote[m[1]] = map[string]bool{}
		}
		for rcpt := range strings.SplitSeq(m[2], ",") {
			r.remote[m[1]][rcpt] = true
		}
	}
}

// copies are the recipients that a message is for; none when no test sent it.
func (r *run) copies(m *message) []string {
	mail := r.Mail[m.file.test()]
	if m.file.notice() {
		if mail.Sender == "" {
			return nil
		}
		return []string{mail.Sender}
	}
	return mail.Recipients
}

// where is what became of a copy.
type where int

const (
	nowhere where = iota
	remote
	mailbox
	queued
)

// copy looks for a durable copy of a message for a recipient; what says how one
// that is there fails to be durable.
func (r *run) copy(m *message, rcpt string) (w where, what string) {
	test := m.file.test()
	if r.remote[test][rcpt] {
		return remote, ""
	}
	what = "no copy was delivered"
	for _, f := range r.boxes {
		if f.test() == test && (f.recipient() == rcpt || f.recipient() == r.Aliases[rcpt]) {
			s := f.state()
			if s == durable {
				return mailbox, ""
			}
			what = "mailbox: " + s.String()
		}
	}
	for _, next := range r.messages {
		if next == m || next.born < m.born || next.discarded || next.file.test() != test || m.file.notice() ||
			next.file.notice() && !strings.Contains(string(next.file.head), "<"+rcpt+">") {
			continue
		}
		_, missing := next.missing()
		if missing == "" {
			return queued, ""
		}
		what = "next in the queue, " + next.id + ": " + missing
	}
	return nowhere, what
}

// remove judges the unlink of a message: R3, and that the journal knows of it.
// unnoted: it is the removal of a message that was sent, and the journal knows
// nothing of it.
func (r *run) remove(queue, id string, process int) (unnoted bool) {
	m := r.messages[id]
	if m == nil {
		r.Unknown++
		return false
	}
	if queue != "active" && !m.acked && m.file.creator == process {
		m.discarded = true
		return false
	}
	if m.commit != nil && !m.gone {
		r.find(Journal, id, "removed, and the journal was not told before")
	}
	rcpts := r.copies(m)
	if len(rcpts) == 0 {
		r.Unknown++
		return false
	}
	r.Removals++
	for _, rcpt := range rcpts {
		r.Copies++
		switch w, what := r.copy(m, rcpt); w {
		case nowhere:
			r.find(Deliver, id, "removed: <%s>: %s", rcpt, what)
		case remote:
			r.ToRemote++
		case mailbox:
			r.ToMailbox++
		case queued:
			r.ToQueue++
		}
	}
	return !m.gone
}

// marked judges a mark: there must be no more of them than copies that are
// durable, or failures that the bounce log holds durably. Which recipient it is
// for does not stand in the trace.
func (r *run) marked(m *message) {
	r.MarkCount++
	rcpts := r.copies(m)
	if len(rcpts) == 0 {
		return
	}
	sure, reason := 0, ""
	log := r.logs[m.id]
	for _, rcpt := range rcpts {
		w, what := r.copy(m, rcpt)
		switch {
		case w != nowhere:
			sure++
		case log != nil && strings.Contains(string(log.head), "<"+rcpt+">"):
			if s := log.state(); s == durable {
				sure++
			} else {
				reason = "bounce log: " + s.String()
			}
		case reason == "" || what != "no copy was delivered":
			reason = what
		}
	}
	offsets := map[int64]bool{}
	for _, k := range m.marks {
		offsets[k.offset] = true
	}
	if len(offsets) > sure {
		r.find(Deliver, m.id, "marked: %s", reason)
	}
}

// deferred judges that a message waits for its next attempt: R4.
func (r *run) deferred(id string) {
	m := r.messages[id]
	if m == nil || len(m.marks) == 0 {
		return
	}
	r.Deferrals++
	for i := range m.marks {
		if !m.marks[i].durable() {
			r.find(Marks, id, "deferred: a mark is not synced")
			return
		}
	}
}

// unused tells whether a file of the journal is not, or no longer, a segment.
func unused(name string) bool {
	return strings.HasSuffix(name, ".new") || strings.HasSuffix(name, ".spare")
}

// retire judges that a segment of the journal ends: every message in it must be
// durable by its own file, or be gone.
func (r *run) retire(from string) {
	f := r.tree.find(from)
	if unused(from) || strings.HasSuffix(from, ".notes") || f == nil {
		return
	}
	for _, m := range r.messages {
		if m.commit == nil || m.commit.segment != f {
			continue
		}
		m.commit = nil
		if s := m.file.state(); s != durable && !m.file.ended && !m.discarded {
			r.find(Journal, m.id, "its segment is retired: %s", s)
		}
	}
}
