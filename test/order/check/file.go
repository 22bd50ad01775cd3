package check

import (
	"regexp"
	"strings"
)

// file is one file that was made, or met, in the trace.
type file struct {
	object
	entries []*entry // all names it ever got; nil: it is older than the trace
	creator int      // process
	content int      // the last change that is neither a mark nor anybody else's
	size    int64    // as far as it was written at known places
	head    []byte   // what was written first, to know the message by
	ended   bool     // unlinked
}

// maxHead is how much of a file is kept.
const maxHead = 64 << 10

// named tells whether a durable name leads to the file.
func (f *file) named() bool {
	for _, e := range f.entries {
		if e.durable() {
			return true
		}
	}
	return len(f.entries) == 0
}

// state is what a power cut would leave of a file.
type state int

const (
	durable      state = iota
	contentAlone       // the content is synced, the name is not
	nameAlone          // the name is synced, the content is not
	neither
	fileDropped // a sync of the file failed
	nameDropped // a sync of the directory failed
)

var stateNames = [...]string{"durable", "file synced, directory not synced", "file not synced", "file and directory not synced",
	"a sync of the file failed", "a sync of the directory failed"}

func (s state) String() string { return stateNames[s] }

func (f *file) state() state {
	content, name := f.object.durable(f.content), f.named()
	switch {
	case content && name:
		return durable
	case f.object.dropped(f.content):
		return fileDropped
	case !name && f.entries[len(f.entries)-1].dropped():
		return nameDropped
	case content:
		return contentAlone
	case name:
		return nameAlone
	}
	return neither
}

// TestID is the header field by which a message, and a notice about it, are
// known: its value is words and dots, and ends with a number.
const TestID = "X-Test-Id: "

var (
	testID      = regexp.MustCompile(`X-Test-Id: ([A-Za-z0-9_-]+(?:\.[0-9a-f]+)*\.[0-9]+)`)
	deliveredTo = regexp.MustCompile(`Delivered-To: (\S+)`)
)

// TestOf finds the id of a test's message in a text, or in a file of the queue.
func TestOf(text string) string {
	if m := testID.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// test is the id of the message that the file holds or, for a notice, is about.
func (f *file) test() string { return TestOf(string(f.head)) }

func (f *file) notice() bool { return strings.Contains(string(f.head), "multipart/report") }

// recipient is whose mailbox a delivered file lies in, as the agent wrote it.
func (f *file) recipient() string {
	if m := deliveredTo.FindSubmatch(f.head); m != nil {
		return string(m[1])
	}
	return ""
}
