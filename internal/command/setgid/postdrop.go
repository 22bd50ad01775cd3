package setgid

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"posthaste/internal/getopt"
	"posthaste/internal/ipc"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
	"posthaste/internal/table"
)

var postdropHelp = help{"postdrop [-c config_dir] [-v]", []string{
	"-c DIR  configuration directory",
	"-r      answer in Postfix's protocol (default)",
	"-v      accepted; nothing more is logged",
	"The message comes on standard input, as records of a queue file.",
}}

// Postdrop is postdrop(1): it writes what sendmail sends it into maildrop. It
// returns the exit status.
func Postdrop(env Env) int {
	c := &command{Env: env, name: "postdrop", code: 1}
	return c.run(postdropHelp, c.postdrop)
}

func (c *command) postdrop() error {
	options, dir := getopt.New(c.Args[min(1, len(c.Args)):], "c!rv"), ""
	for {
		flag, value, err := options.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if flag == 'c' {
			dir = value
		}
	}
	if err := c.open(dir); err != nil {
		return err
	}
	name, err := Refused(tables{}, "authorized_submit_users", c.p.SubmitUsers, c.UID)
	if err != nil {
		return err
	}
	if name != "" {
		return c.fail("User %s(%d) is not allowed to submit mail", name, c.UID)
	}
	q, err := queue.New(queue.Options{FS: queue.DirFS("."), ShortIDs: !c.p.Common.LongQueueIDs})
	if err != nil {
		return err
	}
	d, err := q.CreateDrop()
	if err != nil {
		return c.fail("uid=%d: create file in maildrop: %s", c.UID, causeText(err))
	}
	path := q.Path(queue.Maildrop, d.ID())
	drop := &dropping{command: c, draft: d, path: path, size: c.p.Common.MessageSizeLimit}
	defer drop.watch()()
	return drop.serve()
}

func causeText(err error) string {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if errno, ok := e.(syscall.Errno); ok {
			return table.ErrorText(errno)
		}
	}
	return err.Error()
}

// dropping is one message on its way into maildrop.
type dropping struct {
	*command
	draft *queue.Draft
	path  string // of the file
	size  int64  // most bytes of the file; 0: any

	mu    sync.Mutex // held while the message becomes ready
	ready bool       // it is: from here on it stays, whatever comes
}

// watch removes the file when a signal ends the program. What it returns ends
// the watch and removes a file that was not committed.
func (d *dropping) watch() func() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		d.mu.Lock() // never in the middle of a commit
		defer d.mu.Unlock()
		if !d.ready {
			os.Remove(d.path)
			os.Exit(1)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		d.draft.Discard() // nothing when it is committed
	}
}

// The states of cleanup that sendmail knows.
const (
	statusOK    = 0
	statusBad   = 1 // what came is no message
	statusWrite = 2
	statusSize  = 4
)

// serve speaks with sendmail: it announces the protocol and the queue id, reads
// the message, and answers with a status.
func (d *dropping) serve() error {
	out := ipc.Attributes{Writer: bufio.NewWriter(d.Stdout)}
	out.Put("protocol", "postdrop_protocol")
	out.Put("queue_id", string(d.draft.ID()))
	out.End()
	if err := out.Flush(); err != nil {
		return d.fail("uid=%d: answer: %s", d.UID, table.ErrorText(err))
	}
	status, err := d.receive()
	if errors.Is(err, io.EOF) {
		return nil // sendmail thought better of it
	}
	if err != nil {
		return err
	}
	out.Number("status", int64(status))
	out.Put("reason", "")
	out.End()
	if err := out.Flush(); err != nil {
		return d.fail("uid=%d: answer: %s", d.UID, table.ErrorText(err))
	}
	if status == statusOK {
		d.wake()
	}
	return nil
}

// wake tells pickup; that it is not there is no fault: it will look.
func (d *dropping) wake() {
	name := "public/" + d.p.PublicPickup
	err := ipc.Trigger(name, "W", d.p.TriggerTimeout)
	if errors.Is(err, fs.ErrNotExist) {
		d.warn("unable to look up %s: %s", name, table.ErrorText(err))
	}
}

// receive copies the message to its file and makes it durable. An error ends
// the program; io.EOF says that the message was broken off.
func (d *dropping) receive() (status int, err error) {
	d.draft.Records().Arrival(time.Now())
	in := record.NewStream(d.Stdin, d.p.Common.LineLengthLimit)
	segment, sender := record.InEnvelope, false
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		if err != nil {
			return 0, d.fail("uid=%d: malformed input: %s", d.UID, err)
		}
		if !segment.Drops(rec.Type) {
			return 0, d.fail("uid=%d: unexpected record type: %d", d.UID, rec.Type)
		}
		if d.takes(segment, rec) {
			if rec.Type != record.End { // Commit writes it
				d.draft.Records().Copy(rec)
			}
			sender = sender || segment == record.InEnvelope && rec.Type == record.Sender
		}
		full := d.size > 0 && d.draft.Records().Size() > d.size
		if full || d.draft.Records().Err() != nil {
			return d.refuse(in, segment, rec.Type)
		}
		if rec.Type != segment.Terminator() {
			continue
		}
		switch {
		case !sender:
			return 0, d.fail("uid=%d: malformed input: no sender", d.UID)
		case segment == record.InExtracted:
			return d.commit(), nil
		}
		segment++
	}
}

// takes tells whether a record is kept.
func (d *dropping) takes(segment record.Segment, rec record.Record) bool {
	if segment == record.InContent {
		return true
	}
	for _, b := range rec.Data {
		if b == 0 || b == '\r' || b == '\n' {
			d.warn("uid=%d: ignoring malformed record: %s: %.200s", d.UID, rec.Type.Name(), rec.Data)
			return false
		}
	}
	switch rec.Type {
	case record.Time, record.Size:
		return false // said by us
	case record.Attribute:
		if !record.DropsAttribute(string(rec.Data)) {
			d.warn("uid=%d: ignoring attribute record: %.200s", d.UID, rec.Data)
			return false
		}
	}
	return true
}

// refuse reads the rest of a message that cannot be stored, so that sendmail
// gets to the point where it reads the answer.
func (d *dropping) refuse(in *record.Stream, segment record.Segment, last record.Type) (int, error) {
	status, err := statusSize, error(syscall.EFBIG)
	if e := d.draft.Records().Err(); e != nil && !errors.Is(e, syscall.EFBIG) {
		status, err = statusWrite, e
	}
	d.say(maillog.Warning, "uid="+strconv.Itoa(d.UID)+": "+table.ErrorText(err))
	for {
		if segment == record.InExtracted && last == record.End {
			return status, nil
		}
		if last == segment.Terminator() {
			segment++
		}
		rec, err := in.Next()
		if err != nil {
			return 0, io.EOF
		}
		last = rec.Type
	}
}

func (d *dropping) commit() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.draft.Commit(context.Background())
	if err == nil {
		d.ready = true
		return statusOK
	}
	d.warn("uid=%d: %s", d.UID, causeText(err))
	if errors.Is(err, syscall.EFBIG) {
		return statusSize
	}
	return statusWrite
}
