package ipc

import (
	"net"
	"os"
	"syscall"
	"time"
)

// TriggerTime is trigger_timeout for those who read no parameter.
const TriggerTime = 10 * time.Second

// Trigger sends wishes, a byte each, to the trigger socket or fifo of a service
// (public/pickup, public/qmgr). That nobody listens is an error.
func Trigger(path string, wishes string, limit time.Duration) error {
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	var w interface {
		Write([]byte) (int, error)
		Close() error
		SetWriteDeadline(time.Time) error
	}
	if st.Mode()&os.ModeNamedPipe != 0 {
		w, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	} else {
		w, err = net.DialTimeout("unix", path, limit)
	}
	if err != nil {
		return err
	}
	w.SetWriteDeadline(time.Now().Add(limit))
	_, err = w.Write([]byte(wishes))
	if e := w.Close(); err == nil {
		err = e
	}
	return err
}
