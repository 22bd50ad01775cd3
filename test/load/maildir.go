package main

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/test/harness"
)

// arrivals is where messages come out of the system that is measured.
type arrivals interface {
	// waitFor waits until n different messages have arrived.
	waitFor(n int, limit time.Duration) error
	distinct() int
	received() int
	last() time.Time
	stop()
}

// boxes is how many mailboxes the messages of a load go to, in turn.
const boxes = 20

// maildirMain delivers everything to mailboxes of virtual users.
const maildirMain = `mydestination =
virtual_mailbox_domains = box.example.test
virtual_mailbox_base = @DIR@/mail
virtual_mailbox_maps = texthash:@DIR@/boxes
virtual_uid_maps = static:@UID@
virtual_gid_maps = static:@GID@
virtual_minimum_uid = 1
local_recipient_maps =
smtpd_client_connection_count_limit = 0
default_process_limit = 200
in_flow_delay = 0
`

// boxTable is virtual_mailbox_maps.
func boxTable() (text string) {
	for n := range boxes {
		text += fmt.Sprintf("u%d@box.example.test u%d/\n", n, n)
	}
	return text
}

// mailboxes counts what appears in `new` of the mailboxes.
type mailboxes struct {
	fd    int
	ended atomic.Bool

	mu     sync.Mutex
	total  int
	newest time.Time
}

// watchMailboxes makes the mailboxes of an instance and watches them.
func watchMailboxes(i *harness.Instance) (*mailboxes, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	uid, gid := harness.Mailbox()
	for n := range boxes {
		box := fmt.Sprintf("%s/mail/u%d", i.Dir, n)
		for _, dir := range []string{box, box + "/tmp", box + "/new", box + "/cur"} {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return nil, err
			}
			if err := os.Chown(dir, uid, gid); err != nil {
				return nil, err
			}
		}
		// A link or a rename, whatever the system does.
		if _, err := unix.InotifyAddWatch(fd, box+"/new", unix.IN_CREATE|unix.IN_MOVED_TO); err != nil {
			return nil, err
		}
	}
	m := &mailboxes{fd: fd}
	go m.watch()
	return m, nil
}

// watch looks every few milliseconds: being told of each message would cost the
// processors more.
func (m *mailboxes) watch() {
	buf := make([]byte, 64<<10)
	for ; !m.ended.Load(); time.Sleep(5 * time.Millisecond) {
		n, _ := unix.Read(m.fd, buf)
		found := 0
		for at := 0; at+unix.SizeofInotifyEvent <= n; found++ {
			at += unix.SizeofInotifyEvent + int(nameLength(buf[at:]))
		}
		if found > 0 {
			m.mu.Lock()
			m.total += found
			m.newest = time.Now()
			m.mu.Unlock()
		}
	}
	unix.Close(m.fd)
}

// nameLength is the field len of an inotify event.
func nameLength(event []byte) uint32 {
	return uint32(event[12]) | uint32(event[13])<<8 | uint32(event[14])<<16 | uint32(event[15])<<24
}

func (m *mailboxes) stop()           { m.ended.Store(true) }
func (m *mailboxes) received() int   { m.mu.Lock(); defer m.mu.Unlock(); return m.total }
func (m *mailboxes) distinct() int   { return m.received() }
func (m *mailboxes) last() time.Time { m.mu.Lock(); defer m.mu.Unlock(); return m.newest }

func (m *mailboxes) waitFor(n int, limit time.Duration) error {
	for end := time.Now().Add(limit); m.received() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d messages arrived within %v", m.received(), n, limit)
		}
	}
	return nil
}
