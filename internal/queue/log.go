package queue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"posthaste/internal/mail"
)

// LogEntry is what happened to one recipient, in the defer, bounce or trace
// log of a message.
type LogEntry struct {
	Recipient mail.Recipient
	Offset    int64 // of the recipient's record; 0: none
	Status    mail.Status
}

// maxLog bounds the log that is read at once.
const maxLog = 64 << 20

// AppendLog adds entries to a log of a message, in Postfix's format. Bounce
// and trace logs are durable when it returns, since the recipient is marked as
// done right after and the notice is made from the log; a defer log is news
// only, and is not synced.
func (q *Queue) AppendLog(kind Name, id mail.QueueID, entries ...LogEntry) error {
	if !id.Valid() {
		return fmt.Errorf("bad queue id %q", id)
	}
	path := q.Path(kind, id)
	failures := q.dirs.Failures()
	f, st, err := q.openLog(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var b bytes.Buffer
	for i := range entries {
		entries[i].write(&b)
	}
	_, err = f.WriteAt(b.Bytes(), st.Size)
	if err == nil && kind != DeferLog {
		if err = f.Sync(); err == nil && st.Size == 0 {
			if err = q.dirs.Sync(dir(path)); err == nil && q.dirs.Failures() != failures {
				err = errSyncBefore
			}
		}
		if err == nil {
			err = f.Probe()
		}
	}
	if err != nil {
		f.Truncate(st.Size) // nobody may read half an entry
	}
	return err
}

// openLog opens a log, or makes it, waits its turn to write to it, and tells
// how long it is then.
func (q *Queue) openLog(path string) (File, Stat, error) {
	f, err := q.fs.Append(path, 0o600)
	if errors.Is(err, fs.ErrNotExist) && q.makeHash(path) == nil {
		f, err = q.fs.Append(path, 0o600)
	}
	if err != nil {
		return nil, Stat{}, err
	}
	st, err := lockLog(f)
	if err == nil && !st.Mode.IsRegular() {
		err = fmt.Errorf("%s: not a regular file", path)
	}
	if err != nil {
		f.Close()
	}
	return f, st, err
}

// lockLog waits its turn and tells how long the file is then.
func lockLog(f File) (Stat, error) {
	for range 100 {
		ok, err := f.TryLock()
		if err != nil {
			return Stat{}, err
		}
		if ok {
			return f.Stat()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return Stat{}, errors.New("log file is locked")
}

// RemoveLog removes a log; that it is not there is fine.
func (q *Queue) RemoveLog(kind Name, id mail.QueueID) error {
	if !id.Valid() {
		return fmt.Errorf("bad queue id %q", id)
	}
	err := q.fs.Remove(q.Path(kind, id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ReadLog reads a log; a log that is not there has no entries.
func (q *Queue) ReadLog(kind Name, id mail.QueueID) ([]LogEntry, error) {
	if !id.Valid() {
		return nil, ErrGone
	}
	f, err := q.fs.Open(q.Path(kind, id), false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return readLog(kind, f)
}

// readLog reads an open log and closes it.
func readLog(kind Name, f File) ([]LogEntry, error) {
	defer f.Close()
	text := make([]byte, 2<<10) // most logs have one entry
	n, err := f.ReadAt(text, 0)
	text = text[:n]
	if err == nil {
		text, err = io.ReadAll(io.NewSectionReader(f, 0, maxLog))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return parseLog(kind, string(text)), nil
}

// actions are the words of the action= line.
var actions = [...]string{
	mail.Deferred: "delayed", mail.Delivered: "delivered", mail.Bounced: "failed",
	mail.Expanded: "expanded", mail.Relayed: "relayed",
	mail.Deliverable: "deliverable", mail.Undeliverable: "undeliverable",
	mail.Passed: "relayed",
}

func (e *LogEntry) write(b *bytes.Buffer) {
	address := e.Recipient.Address.Quoted()
	shown := address
	if shown == "" {
		shown = "<>"
	}
	fmt.Fprintf(b, "\n<%s>: %s\n", line(address), line(e.Status.Reason))
	put := func(name, value string) {
		if value != "" {
			b.WriteString(name + "=" + line(value) + "\n")
		}
	}
	put("recipient", shown)
	if o := e.Recipient.Original; o != "" && !strings.EqualFold(string(o), string(e.Recipient.Address)) {
		put("original_recipient", o.Quoted())
	}
	if e.Offset > 0 {
		put("offset", strconv.FormatInt(e.Offset, 10))
	}
	put("dsn_orig_rcpt", e.Recipient.DSNOriginal)
	if e.Recipient.Notify != 0 {
		put("notify_flags", strconv.Itoa(int(e.Recipient.Notify)))
	}
	put("status", e.Status.Code)
	put("action", actions[e.Status.Action])
	if e.Status.DiagType != "" && e.Status.DiagText != "" {
		put("diag_type", e.Status.DiagType)
		put("diag_text", e.Status.DiagText)
	}
	if e.Status.MTAType != "" && e.Status.MTAName != "" {
		put("mta_type", e.Status.MTAType)
		put("mta_mname", e.Status.MTAName)
	}
	put("reason", e.Status.Reason)
	b.WriteString("\n")
}

// line keeps a value on one line: what comes from a peer must not become a
// line of its own.
func line(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] < ' ' || b[i] == 0x7f {
					b[i] = '?'
				}
			}
			return string(b)
		}
	}
	return s
}

// parseLog reads entries that are separated by blank lines. Unknown names are
// skipped; what is missing gets Postfix's defaults.
func parseLog(kind Name, text string) []LogEntry {
	var entries []LogEntry
	for block := range strings.SplitSeq(text, "\n\n") {
		if strings.TrimSpace(block) != "" {
			entries = append(entries, parseEntry(kind, block))
		}
	}
	return entries
}

func parseEntry(kind Name, block string) LogEntry {
	e := LogEntry{Status: mail.Status{Action: mail.Deferred, Code: "4.0.0", Reason: "(description unavailable)"}}
	if kind == BounceLog {
		e.Status.Action, e.Status.Code = mail.Bounced, "5.0.0"
	}
	e.Recipient.Address = "(recipient address unavailable)"
	for l := range strings.SplitSeq(block, "\n") {
		l = line(l)
		if strings.HasPrefix(l, "<") {
			if address, reason, ok := strings.Cut(l[1:], ">: "); ok {
				e.Recipient.Address, e.Status.Reason = unquote(address), reason
			}
			continue
		}
		if name, value, ok := strings.Cut(l, "="); ok {
			e.set(name, value)
		}
	}
	return e
}

func (e *LogEntry) set(name, value string) {
	switch name {
	case "recipient":
		if value == "<>" {
			value = ""
		}
		e.Recipient.Address = unquote(value)
	case "original_recipient":
		e.Recipient.Original = unquote(value)
	case "offset":
		e.Offset, _ = strconv.ParseInt(value, 10, 64)
	case "dsn_orig_rcpt":
		e.Recipient.DSNOriginal = value
	case "notify_flags":
		n, _ := strconv.ParseUint(value, 10, 4)
		e.Recipient.Notify = mail.Notify(n)
	case "status":
		e.Status.Code = value
	case "action":
		if a := slices.Index(actions[:], value); a >= 0 {
			e.Status.Action = mail.Action(a)
		}
	case "diag_type":
		e.Status.DiagType = value
	case "diag_text":
		e.Status.DiagText = value
	case "mta_type":
		e.Status.MTAType = value
	case "mta_mname":
		e.Status.MTAName = value
	case "reason":
		e.Status.Reason = value
	}
}

// unquote turns the external form, as in a log, into the internal one.
func unquote(s string) mail.Address {
	if !strings.HasPrefix(s, `"`) {
		return mail.Address(s)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case '"':
			b.WriteString(s[i+1:])
			return mail.Address(b.String())
		default:
			b.WriteByte(s[i])
		}
	}
	return mail.Address(s)
}
