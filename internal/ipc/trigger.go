package ipc

import (
	"io"
	"net"
	"time"
)

// triggerTime bounds how long a service may take to hear a request.
const triggerTime = 5 * time.Second

// Trigger sends a request to the service that listens at path, as postkick(1)
// does: each byte is a wish, and there is no answer.
func Trigger(path, request string) error {
	c, err := net.DialTimeout("unix", path, triggerTime)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(triggerTime))
	_, err = io.WriteString(c, request)
	return err
}
