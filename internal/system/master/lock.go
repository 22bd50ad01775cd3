package master

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// PIDFile is master's lock, below the queue directory. It is Postfix's own, so
// that the two never run on one queue at a time.
const PIDFile = "pid/master.pid"

// ErrRunning says that a mail system runs on this queue already.
var ErrRunning = errors.New("unable to set exclusive lock: Resource temporarily unavailable")

// lock locks a file, made when it is missing, for as long as it is open.
func lock(path string, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, mode)
	if err != nil {
		return nil, fmt.Errorf("open lock file %s: %w", path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if err == unix.EWOULDBLOCK {
			err = ErrRunning
		}
		return nil, fmt.Errorf("open lock file %s: %w", path, err)
	}
	return f, nil
}

// lockAll takes both locks of a mail system: pid/master.pid in the working
// directory, with our process id in it, and master.lock in the data directory.
func lockAll(dataDir string, o owner) ([]*os.File, error) {
	pid, err := lock(PIDFile, 0o644)
	if err != nil {
		return nil, err
	}
	data, err := lock(filepath.Join(dataDir, "master.lock"), 0o600)
	if err == nil && o.root {
		err = data.Chown(o.uid, o.gid)
	}
	if err == nil {
		// Padded, so that a shorter number leaves nothing of a longer one.
		_, err = pid.WriteAt([]byte(fmt.Sprintf("%32d\n", os.Getpid())), 0)
	}
	if err != nil {
		pid.Close()
		if data != nil {
			data.Close()
		}
		return nil, err
	}
	return []*os.File{pid, data}, nil
}

// Running returns the process id of the mail system on a queue directory; 0
// when none runs.
func Running(queueDir string) (int, error) {
	path := filepath.Join(queueDir, PIDFile)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		return 0, nil
	}
	if err != unix.EWOULDBLOCK {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	buf := make([]byte, 64)
	n, _ := f.Read(buf)
	var pid int
	if _, err := fmt.Sscan(strings.TrimSpace(string(buf[:n])), &pid); err != nil || pid <= 0 {
		return 0, fmt.Errorf("%s: no process id in a locked file", path)
	}
	return pid, nil
}
