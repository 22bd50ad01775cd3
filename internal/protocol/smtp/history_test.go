package smtp

import (
	"bytes"
	"slices"
	"testing"
)

func TestHistory(t *testing.T) {
	var h History
	h.Add("Out: ", []byte("250-a\r\n250 b\r\n"))
	h.Add("In:  ", []byte("QUIT"))
	if got := h.Lines(); h.Len() != 3 || !slices.Equal(got, []string{"Out: 250-a", "Out: 250 b", "In:  QUIT"}) {
		t.Errorf("%d lines: %q", h.Len(), got)
	}
	h.Add("In:  ", bytes.Repeat([]byte("x"), maxHistory))
	h.Add("In:  ", []byte("y"))
	if got := h.Lines(); len(got) != 4 || got[3] != "[the rest is left out]" {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
	h.Reset()
	h.Add("In:  ", []byte("z"))
	if got := h.Lines(); h.Len() != 1 || !slices.Equal(got, []string{"In:  z"}) {
		t.Errorf("after Reset: %q", got)
	}
}
