package smtp

import (
	"bytes"
	"strings"
)

// maxHistory bounds what is remembered of a session: what comes later is
// missing in the transcript.
const maxHistory = 256 << 10

// History is what was said in a session, for a transcript. The zero value is
// ready.
type History struct {
	text  []byte // lines with \n behind each
	lines int
	full  bool
}

// Add takes lines that end in \r\n, or one without line end, and puts prefix
// before each.
func (h *History) Add(prefix string, text []byte) {
	for line := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte("\r\n")), []byte("\r\n")) {
		if h.full {
			return
		}
		if len(h.text)+len(prefix)+len(line) > maxHistory {
			h.full = true
			prefix, line = "", []byte("[the rest is left out]")
		}
		h.text = append(append(append(h.text, prefix...), line...), '\n')
		h.lines++
	}
}

// Len is how many lines there are.
func (h *History) Len() int { return h.lines }

// Lines returns the lines without their ends.
func (h *History) Lines() []string {
	return strings.Split(strings.TrimSuffix(string(h.text), "\n"), "\n")
}

// Reset begins anew and keeps the memory.
func (h *History) Reset() { *h = History{text: h.text[:0]} }
