// Package check replays a trace of system calls over a model of what is durable
// and says where a mail system broke its promises: acknowledged too early, removed
// too early, marked too early, believed a sync that failed. It is pure: a trace in, a report
// out. It knows the queue directory of Postfix, and the journal of ours from what is written to it.
//
// The model is the strict one: content needs a sync of its file, a name one of
// its directory; a rename is all or nothing. Only for mailboxes a file system may be
// said to commit changes in their order.
package check

import (
	"fmt"
	"path"
	"strings"
	"time"

	"posthaste/test/order/trace"
)

// Mail is what a test sent: by its id (see TestID), who wants which copies.
type Mail struct {
	Sender     string
	Recipients []string
}

// Options tell what the trace cannot.
type Options struct {
	Spool   string // the queue directory
	Mail    map[string]Mail
	Aliases map[string]string // recipients whose mail goes to somebody else's mailbox
	// Ordered says of the file system of the mailboxes that it commits changes in
	// their order (ext4, XFS): a sync of a file makes the names durable that it got before.
	Ordered bool
}

// Rule names a promise, as docs/durability.md does.
type Rule string

// The rules.
const (
	Acknowledge Rule = "R1" // 250, or exit 0 of postdrop, when durable
	FailedSync  Rule = "R2" // a sync that failed is final
	Deliver     Rule = "R3" // marked and removed when every destination is durable
	Marks       Rule = "R4" // marks durable before the next attempt
	Journal     Rule = "journal"
)

// Finding is a broken promise.
type Finding struct {
	Rule Rule
	ID   string // of the message in the queue
	What string
	Line int // of the trace
}

func (f Finding) String() string {
	return fmt.Sprintf("line %d: %s: %s: %s", f.Line, f.Rule, f.ID, f.What)
}

// Report is what was found, and how much there was to look at: a rule that had
// nothing to judge proves nothing.
type Report struct {
	Findings  []Finding     `json:"-"`
	Acks      int           `json:"acks"`
	ByJournal int           `json:"acks_by_journal"`
	InPieces  int           `json:"acks_in_pieces"` // of those by the journal
	ByFile    int           `json:"acks_by_file"`
	Refused   int           `json:"refused"` // replies that the queue file could not be written
	Exits     int           `json:"postdrop_exits"`
	Removals  int           `json:"removals"`         // of messages from the queue, each of which was judged
	Unknown   int           `json:"removals_unknown"` // of messages that the test did not send
	Copies    int           `json:"copies"`           // recipients of what was removed
	ToRemote  int           `json:"to_remote"`
	ToMailbox int           `json:"to_mailbox"`
	ToQueue   int           `json:"to_queue"` // a notice, or the next hop
	MarkCount int           `json:"marks"`
	Deferrals int           `json:"deferrals"`     // with marks to judge
	NoteDelay time.Duration `json:"note_delay_ns"` // from a removal or mark to its sync, at most
	NotesOpen int           `json:"notes_open"`    // not synced when the trace ended
}

// Count counts the findings of a rule.
func (r *Report) Count(rule Rule) (n int) {
	for _, f := range r.Findings {
		if f.Rule == rule {
			n++
		}
	}
	return n
}

// run is one replay.
type run struct {
	Options
	Report
	trace    *trace.Trace
	tree     *tree
	messages map[string]*message        // by queue id
	remote   map[string]map[string]bool // recipients whose copy a peer has taken, by test id
	boxes    []*file                    // mail in mailboxes
	logs     map[string]*file           // bounce logs by queue id
	droppers map[int]bool               // processes that are postdrop
	notes    []note                     // not durable yet
	at       trace.Event
}

// Run replays a trace.
func Run(t *trace.Trace, o Options) Report {
	r := &run{Options: o, trace: t, tree: newTree(o.Spool), messages: map[string]*message{},
		remote: map[string]map[string]bool{}, logs: map[string]*file{}, droppers: map[int]bool{}}
	for _, e := range t.Events {
		r.at = e
		if e.End {
			r.end(e.Call)
		} else if e.Finished && e.Result >= 0 || isSync(e.Name) || e.Name == "exit_group" || isSend(e.Name) {
			r.begin(e.Call)
		}
	}
	r.NotesOpen = len(r.notes)
	return r.Report
}

func isSync(name string) bool {
	switch name {
	case "fsync", "fdatasync", "syncfs", "sync_file_range", "sync":
		return true
	}
	return false
}

func isSend(name string) bool {
	switch name {
	case "write", "writev", "sendto", "sendmsg", "pwrite64":
		return true
	}
	return false
}

func (r *run) find(rule Rule, id, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Rule: rule, ID: id, What: fmt.Sprintf(format, args...), Line: r.at.Line})
}

// queues are the directories of messages.
var queues = map[string]bool{"maildrop": true, "incoming": true, "active": true, "deferred": true, "hold": true, "corrupt": true}

// place is the directory of the queue that a path is in, and its last part;
// empty: in none.
func (r *run) place(name string) (queue, id string) {
	rest, ok := strings.CutPrefix(name, r.Spool+"/")
	first, _, below := strings.Cut(rest, "/")
	if !ok || !below {
		return "", ""
	}
	return first, path.Base(rest)
}

// begin replays the beginning of a call that will succeed, or is a sync or a write.
func (r *run) begin(c *trace.Call) {
	t := r.tree
	switch c.Name {
	case "open", "openat", "creat":
		r.open(c)
	case "write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg":
		r.write(c)
	case "ftruncate", "fchmod":
		if f := r.opened(c); f != nil {
			r.changed(c, f)
		}
	case "rename":
		r.rename(c, c.Path(0, false, t.dir), c.Path(1, false, t.dir))
	case "renameat", "renameat2":
		r.rename(c, c.Path(1, true, t.dir), c.Path(3, true, t.dir))
	case "link":
		r.link(c, c.Path(0, false, t.dir), c.Path(1, false, t.dir))
	case "linkat":
		r.link(c, c.Path(1, true, t.dir), c.Path(3, true, t.dir))
	case "unlink":
		r.unlink(c, c.Path(0, false, t.dir))
	case "unlinkat":
		r.unlink(c, c.Path(1, true, t.dir))
	case "mkdir":
		t.mkdir(c, c.Path(0, false, t.dir))
	case "mkdirat":
		t.mkdir(c, c.Path(1, true, t.dir))
	case "fsync", "fdatasync":
		t.sync(c, c.Descriptor(0), false)
		if name := c.Descriptor(0); r.Ordered && !strings.HasPrefix(name, r.Spool+"/") {
			t.syncNames(c, name)
		}
	case "syncfs":
		t.sync(c, c.Descriptor(0), true)
	case "sync":
		t.sync(c, "/", true)
	case "exit_group":
		r.exit(c)
	}
}

// end replays the end of a call.
func (r *run) end(c *trace.Call) {
	r.tree.end(c)
	switch c.Name {
	case "read", "recvfrom", "recvmsg":
		r.read(c)
	case "execve":
		if c.Result == 0 && path.Base(c.Path(0, false, "/")) == "postdrop" {
			r.droppers[r.trace.Process(c.PID)] = true
		}
	case "fsync", "fdatasync", "syncfs", "sync":
		r.settle()
	}
}

// opened is the file behind the descriptor in the first argument, if it is below
// a directory that matters.
func (r *run) opened(c *trace.Call) *file {
	name := c.Descriptor(0)
	if !strings.HasPrefix(name, "/") || strings.HasPrefix(name, "/dev/") || strings.HasSuffix(c.Arg(0), "(deleted)") {
		return nil
	}
	return r.tree.open(name)
}

// changed notes a change of content by whoever made the file: those of others
// are marks and time stamps, which the rules of marks are about.
func (r *run) changed(c *trace.Call, f *file) int {
	n := r.tree.write(c, f)
	if f.creator == r.trace.Process(c.PID) {
		f.content = n
	}
	return n
}

func (r *run) open(c *trace.Call) {
	at := 0
	flags := c.Arg(1)
	if c.Name == "openat" {
		at, flags = 1, c.Arg(2)
	}
	name := c.Path(at, at == 1, r.tree.dir)
	if !strings.Contains(flags, "O_CREAT") && c.Name != "creat" {
		return
	}
	if r.tree.files[name] != nil && !strings.Contains(flags, "O_EXCL") {
		return
	}
	f := r.tree.create(c, name, r.trace.Process(c.PID))
	r.arrived(f, name)
}

// arrived notes that a file has got a name.
func (r *run) arrived(f *file, name string) {
	queue, id := r.place(name)
	switch {
	case queues[queue]:
		m := r.messages[id]
		if m == nil || m.file != f {
			r.messages[id] = &message{id: id, file: f, born: r.at.Line}
		}
	case queue == "bounce":
		r.logs[id] = f
	case queue == "" && path.Base(path.Dir(name)) == "new":
		r.boxes = append(r.boxes, f)
	}
}

func (r *run) rename(c *trace.Call, from, to string) {
	queue, id := r.place(from)
	target, _ := r.place(to)
	switch {
	case queue == "journal":
		r.retire(from)
	case queue == "active" && target == "deferred":
		r.deferred(id)
	}
	// Elsewhere the new name is what makes the file count.
	either := queues[queue] && queues[target] || queue == "journal" && !unused(from)
	f := r.tree.rename(c, from, to, either)
	if m := r.messages[id]; m != nil && m.file == f && path.Base(to) != id {
		delete(r.messages, id) // it had a passing name
	}
	r.arrived(f, to)
}

func (r *run) link(c *trace.Call, from, to string) {
	f := r.tree.open(from)
	r.tree.link(c, f, to, nil)
	r.arrived(f, to)
}

func (r *run) unlink(c *trace.Call, name string) {
	unnoted := false
	switch queue, id := r.place(name); {
	case queue == "journal":
		r.retire(name)
	case queues[queue]:
		unnoted = r.remove(queue, id, r.trace.Process(c.PID))
	}
	if durable := r.tree.unlink(c, name); unnoted {
		r.notes = append(r.notes, note{durable, never, r.at.At})
	}
}
