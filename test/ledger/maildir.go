package ledger

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ReadMaildir notes the messages in new and cur of a maildir of one recipient,
// and returns how many unfinished files lie in tmp.
func (l *Ledger) ReadMaildir(dir, recipient string) (unfinished int, err error) {
	for _, sub := range []string{"new", "cur"} {
		files, err := os.ReadDir(filepath.Join(dir, sub))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		for _, f := range files {
			if err := l.readFile(filepath.Join(dir, sub, f.Name()), recipient); err != nil {
				return 0, err
			}
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if os.IsNotExist(err) {
		err = nil
	}
	return len(left), err
}

func (l *Ledger) readFile(path, recipient string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	switch to := deliveredTo(string(text)); to {
	case "", recipient:
	default: // booked as astray
		recipient = to + ", in the mailbox of " + recipient
	}
	// Written, and then given its name in new.
	l.Delivered(Delivery{Recipient: recipient, Text: string(text), Where: path,
		Begin: time.Unix(st.Mtim.Unix()).Add(-100 * time.Millisecond), At: time.Unix(st.Ctim.Unix())})
	return nil
}

// deliveredTo is the recipient that the delivery agent wrote into the header.
func deliveredTo(text string) string {
	head, _, _ := strings.Cut(text, "\n\n")
	for line := range strings.SplitSeq(head, "\n") {
		if to, ok := strings.CutPrefix(line, "Delivered-To: "); ok {
			return to
		}
	}
	return ""
}

// ReadQueue notes what is left in a queue directory.
func (l *Ledger) ReadQueue(spool string) error {
	all := []string{"maildrop", "incoming", "active", "deferred", "hold", "corrupt"}
	return walkQueues(spool, all, func(queue, path string) error {
		text, err := os.ReadFile(path)
		if err == nil {
			l.Queued(string(text), queue == "corrupt")
		}
		return err
	})
}

// status finds the lines that tell what became of a recipient.
var status = regexp.MustCompile(`(?m): ([0-9A-Za-z]+): to=<([^>]*)>, .* status=([a-z]+) \(`)

// ReadLog notes the final lines of a mail log and returns how many deferrals
// there were.
func (l *Ledger) ReadLog(text string) (deferrals int) {
	for _, m := range status.FindAllStringSubmatch(text, -1) {
		if m[3] == "deferred" {
			deferrals++
		} else {
			l.Final(m[1], m[2])
		}
	}
	return deferrals
}

// Waiting counts the messages in a queue directory, without those in corrupt. One
// that moves on meanwhile may be missed, and a flush moves all of them at once: a
// queue is empty when a walk in the other order finds nothing either.
func Waiting(spool string) (n int, err error) {
	count := func(string, string) error { n++; return nil }
	order := []string{"maildrop", "incoming", "active", "deferred", "hold"}
	if err = walkQueues(spool, order, count); err == nil && n == 0 {
		slices.Reverse(order)
		err = walkQueues(spool, order, count)
	}
	return n, err
}

// walkQueues calls f for each message in some queues, one after the other. Files
// that were never completed are nobody's message.
func walkQueues(spool string, queues []string, f func(queue, path string) error) error {
	for _, name := range queues {
		err := filepath.WalkDir(filepath.Join(spool, name), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				var st os.FileInfo
				if st, err = d.Info(); err == nil && st.Mode().Perm()&0o100 != 0 {
					err = f(name, path)
				}
			}
			if os.IsNotExist(err) { // it went away meanwhile
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
