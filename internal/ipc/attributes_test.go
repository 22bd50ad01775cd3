package ipc

import (
	"bufio"
	"bytes"
	"testing"
)

func FuzzAttributes(f *testing.F) {
	f.Add([]byte("request\x00send_file\x00queue_id\x004abc\x00\x00"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ReadAttributes(bufio.NewReader(bytes.NewReader(data)))
		if err == nil && len(list) > maxAttributes {
			t.Errorf("%d attributes", len(list))
		}
	})
}
