package maillog

import (
	"strings"
	"sync"
)

// Memory is a sink that keeps its lines, for tests: `tag: text`.
type Memory struct {
	mu    sync.Mutex
	lines []string
}

// Write implements Sink.
func (m *Memory) Write(_ Level, tag, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = append(m.lines, tag+": "+text)
}

// Lines returns the lines so far.
func (m *Memory) Lines() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.lines...)
}

// Contains tells whether a line has part in it.
func (m *Memory) Contains(part string) bool {
	for _, l := range m.Lines() {
		if strings.Contains(l, part) {
			return true
		}
	}
	return false
}

// String returns all lines, each with a line end.
func (m *Memory) String() string {
	var b strings.Builder
	for _, l := range m.Lines() {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.String()
}
