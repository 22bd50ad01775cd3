package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// readShape reads a queue file. nil without an error: it is no message, is not
// complete or not sound, or has no recipients left.
func readShape(path string) (*shapeMessage, error) {
	if id := mail.QueueID(filepath.Base(path)); !id.Valid() {
		return nil, nil
	}
	// No link, and nothing that blocks when it is opened.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) {
		return nil, nil // it has moved on
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o722 != 0o700 {
		return nil, nil
	}
	m, err := readQueueFile(f)
	if errors.Is(err, record.ErrDamaged) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if m.arrival.IsZero() {
		m.arrival = st.ModTime()
	}
	if len(m.recipients) == 0 {
		return nil, nil
	}
	return m, nil
}

// readQueueFile reads a message, or what a local user has dropped; that has
// arrived when it was written, and the caller knows when.
func readQueueFile(f io.ReaderAt) (*shapeMessage, error) {
	m := &shapeMessage{}
	add := func(r mail.Recipient) error {
		m.recipients = append(m.recipients, string(r.Address))
		return nil
	}
	var first [1]byte
	if _, err := f.ReadAt(first[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if record.Type(first[0]) != record.Size {
		sub, err := record.ReadSubmission(f, false)
		if err != nil {
			return nil, err
		}
		m.sender = string(sub.Envelope.Sender)
		return m, sub.Recipients(add)
	}
	info, err := record.Read(f, 0)
	if err != nil {
		return nil, err
	}
	m.arrival, m.sender = info.Arrival, string(info.Sender)
	for _, e := range info.Entries {
		if !e.Done {
			add(e.Recipient)
		}
	}
	return m, nil
}
