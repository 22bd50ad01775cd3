package ipc

import (
	"bufio"
	"net"
	"time"
)

// Ask sends one request of names and values to the service that listens at
// path, which announces its protocol first, and returns the answer (Postfix's
// attribute protocol: flush(8)). limit bounds connecting and, once more, all
// the rest.
func Ask(path string, limit time.Duration, request ...string) (map[string]string, error) {
	c, err := net.DialTimeout("unix", path, limit)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	in, out := bufio.NewReader(c), Attributes{Writer: bufio.NewWriter(c)}
	if _, err := ReadAttributes(in); err != nil { // the protocol's name
		return nil, err
	}
	for i := 0; i+1 < len(request); i += 2 {
		out.Put(request[i], request[i+1])
	}
	out.End()
	if err := out.Flush(); err != nil {
		return nil, err
	}
	return ReadAttributes(in)
}
