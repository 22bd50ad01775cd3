package check

import (
	"encoding/binary"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"posthaste/test/order/trace"
)

// message is a file in the queue under its id, and what the journal has of it.
type message struct {
	id        string
	file      *file
	born      int    // line of the trace
	commit    *frame // nil: not in a segment that still counts
	pieces    []frame
	marks     []mark
	gone      bool // its removal was noted in the journal
	discarded bool // by its maker, before it was acknowledged
	acked     bool
}

// frame is something that was written to a segment of the journal.
type frame struct {
	segment *file
	name    string // of the segment then
	change  int
	offset  int64
	size    int64 // of the body
}

func (f *frame) durable() bool { return f.segment.object.durable(f.change) && f.segment.named() }

// mark is a recipient that needs no more delivery.
type mark struct {
	offset int64
	file   *file
	change int
	frame  *frame // nil: not noted in the journal
}

func (m *mark) durable() bool {
	return m.file.object.durable(m.change) || m.frame != nil && m.frame.durable()
}

// note is a mark or a removal that waits for a sync: of the segment in which it
// is noted or, where there is no journal, of the file or the directory.
type note struct {
	durable func() bool
	moot    func() bool // nobody waits for it any more
	at      time.Time
}

func never() bool { return false }

// settle takes out the notes that are durable by now.
func (r *run) settle() {
	r.notes = slices.DeleteFunc(r.notes, func(n note) bool {
		if n.moot() {
			return true
		}
		if !n.durable() {
			return false
		}
		r.NoteDelay = max(r.NoteDelay, r.at.At.Sub(n.at))
		return true
	})
}

// The journal's frames: a head of 24 bytes, the queue id, the body.
const (
	frameHead  = 24
	frameMagic = "PHJ1"
	kindCommit = 1
	kindMark   = 2
	kindGone   = 3
	kindPiece  = 4
)

// journal notes a frame.
func (r *run) journal(f *file, name string, change int, data string) {
	if len(data) < frameHead || data[:4] != frameMagic || len(data) < frameHead+int(data[10]) {
		return
	}
	head := []byte(data[:frameHead])
	id := data[frameHead : frameHead+int(data[10])]
	fr := frame{segment: f, name: path.Base(name), change: change, size: int64(binary.LittleEndian.Uint32(head[12:])),
		offset: int64(binary.LittleEndian.Uint64(head[16:]))}
	if kind := head[8]; kind == kindMark || kind == kindGone {
		r.notes = append(r.notes, note{fr.durable, never, r.at.At})
	}
	m := r.messages[id]
	if m == nil {
		return
	}
	switch head[8] {
	case kindCommit:
		m.commit = &fr
	case kindPiece:
		m.pieces = append(m.pieces, fr)
	case kindGone:
		m.gone = true
	case kindMark:
		for i := range m.marks {
			if m.marks[i].offset == fr.offset {
				m.marks[i].frame = &fr
			}
		}
	}
}

// journaled tells how much of a message, from its beginning, is in the segment
// that commits it.
func (m *message) journaled() int64 {
	if m.commit.size > 0 {
		return m.commit.size
	}
	pieces := slices.Clone(m.pieces)
	slices.SortFunc(pieces, func(a, b frame) int { return int(a.offset - b.offset) })
	var have int64
	for _, p := range pieces {
		if p.offset <= have && p.segment == m.commit.segment && p.name == m.commit.name && p.change < m.commit.change {
			have = max(have, p.offset+p.size)
		}
	}
	return have
}

// missing says what a power cut now would do to a message; empty: nothing. rule
// is R2 when a failed sync is the reason.
func (m *message) missing() (rule Rule, what string) {
	if m.commit != nil && m.commit.durable() && m.journaled() >= m.file.size {
		return "", ""
	}
	s := m.file.state()
	switch {
	case s == durable:
		return "", ""
	case s == fileDropped, s == nameDropped:
		return FailedSync, s.String()
	case m.commit != nil && m.commit.segment.object.dropped(m.commit.change):
		return FailedSync, "a sync of the segment failed"
	case m.commit == nil:
		return Acknowledge, s.String()
	case m.commit.durable():
		return Acknowledge, "journaled in part: " + strconv.FormatInt(m.journaled(), 10) + " of " + strconv.FormatInt(m.file.size, 10) + " bytes"
	case !m.commit.segment.named():
		return Acknowledge, "journal: the segment's name is not synced"
	}
	return Acknowledge, "journal: the segment is not synced"
}

// byJournal tells whether the journal makes the message durable.
func (m *message) byJournal() bool { return m.commit != nil && m.commit.durable() }

// write replays a write: to a file, or to a peer.
func (r *run) write(c *trace.Call) {
	if d := c.Descriptor(0); strings.HasPrefix(d, "TCP") || strings.HasPrefix(d, "UNIX") {
		r.reply(c.Bytes(1))
		return
	}
	if c.Result < 0 || !c.Finished {
		return
	}
	f := r.opened(c)
	if f == nil {
		return
	}
	data := c.Bytes(1)
	queue, id := r.place(c.Descriptor(0))
	m := r.messages[id]
	var offset int64
	switch {
	case strings.HasPrefix(c.Name, "pwrite"):
		offset, _ = strconv.ParseInt(c.Arg(3), 10, 64)
	case m != nil:
		offset = int64(-1 - len(m.marks)) // unknown; each call is another mark
	}
	if queue == "journal" {
		r.journal(f, c.Descriptor(0), r.tree.write(c, f), data)
		return
	}
	if queues[queue] && data == "D" && c.Result == 1 && m != nil {
		m.marks = append(m.marks, mark{offset: offset, file: f, change: r.tree.write(c, f)})
		n := len(m.marks) - 1
		r.notes = append(r.notes, note{func() bool { return m.marks[n].durable() }, func() bool { return f.ended }, r.at.At})
		r.marked(m)
		return
	}
	r.changed(c, f)
	f.size = max(f.size, offset+c.Result)
	if len(f.head) < maxHead {
		f.head = append(f.head, data...)
	}
}
