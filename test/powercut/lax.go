package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"posthaste/test/harness"
	"posthaste/test/process"
	"posthaste/test/strace"
	"posthaste/test/traffic"
)

// skipMailboxSyncs makes our system one that syncs neither new mail in mailboxes
// nor its name: strace lets those calls of the broker's children do nothing. The
// mailboxes themselves are there already. stop ends that.
func (p *round) skipMailboxSyncs() (stop func(), err error) {
	uid, gid := harness.Mailbox()
	for n := range traffic.Boxes {
		box := filepath.Join(p.mail(), traffic.Box(n))
		for _, dir := range []string{"", "cur", "tmp", "new"} {
			d := filepath.Join(box, dir)
			if err := errors.Join(os.Mkdir(d, 0o700), os.Chown(d, uid, gid)); err != nil {
				return nil, err
			}
		}
	}
	if err := p.store.settle(); err != nil {
		return nil, err
	}
	broker := process.Role(p.instance.MasterPID(), "broker")
	if len(broker) != 1 {
		return nil, fmt.Errorf("%d processes are the broker", len(broker))
	}
	// Its children write to mailboxes; some may be there already.
	children := process.Role(p.instance.MasterPID(), "user")
	tracer, err := strace.Attach(append(broker, children...), []string{"fsync:retval=0"})
	if err != nil {
		return nil, err
	}
	return func() { tracer.Detach() }, nil
}
