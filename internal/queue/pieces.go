package queue

// pieces is how a draft is written to the journal: whole, with its commit, when
// it was small enough to be in memory until then; else piece by piece, as it
// was written to its file.
type pieces struct {
	segment string // that all pieces are in
	last    bool   // what is written now is the end of the file
	direct  bool   // the file is synced by itself
	tried   bool   // a commit may have come as far as the journal
}

// maxJournaled is the largest file that is written to the journal as well. For
// a larger one the second writing would cost more than a sync saves.
const maxJournaled = 1 << 20

// WriteAt implements io.WriterAt for the draft's record.Writer.
func (d *Draft) WriteAt(b []byte, offset int64) (int, error) {
	n, err := d.file.WriteAt(b, offset)
	if err == nil {
		d.logPiece(b, offset)
	}
	return n, err
}

func (d *Draft) logPiece(b []byte, offset int64) {
	j, l := d.q.journal, &d.log
	switch {
	case j == nil || j.notesOnly || l.direct:
		return
	case l.last && l.segment == "":
		return // the commit writes it whole
	case offset+int64(len(b)) > maxJournaled:
		l.direct = true
		return
	}
	s, err := j.append(&frame{kind: framePiece, id: d.id, offset: offset, body: b})
	if err != nil {
		l.direct = true
		return
	}
	s.users.Done()
	// A checkpoint between two pieces makes the first ones void: a client that
	// is that slow is not worth keeping a segment for.
	l.direct = l.segment != "" && l.segment != s.name
	l.segment = s.name
}

// commitJournal makes the message durable by the journal, and tells whether it
// could.
func (d *Draft) commitJournal() bool {
	j, whole := d.q.journal, d.w.Whole()
	switch {
	case j == nil || j.notesOnly || d.log.direct || whole == nil && d.log.segment == "":
		return false
	case d.log.segment != "":
		whole = nil // it is there in pieces
	}
	d.log.tried = true
	return j.commit(&frame{kind: frameMessage, place: d.where, id: d.id, body: whole}, d.log.segment) == nil
}

// image puts a message's queue file together from its frames. It is not whole
// when the first pieces are in another segment.
func (m *logged) image() (Name, []byte, error) {
	commit, _, err := readFrame(m.commit.file, m.commit.salt, m.commit.at)
	if err != nil || len(commit.body) > 0 {
		return commit.place, commit.body, err
	}
	var file []byte
	for _, p := range m.pieces {
		f, _, err := readFrame(p.file, p.salt, p.at)
		if err != nil {
			return commit.place, nil, err
		}
		end := f.offset + int64(len(f.body))
		if f.offset < 0 || end > maxJournaled {
			continue // no writer of ours made it
		}
		if end > int64(len(file)) {
			file = append(file, make([]byte, end-int64(len(file)))...)
		}
		copy(file[f.offset:], f.body)
	}
	return commit.place, file, nil
}
