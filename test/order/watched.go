package main

import (
	"errors"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/test/harness"
	"posthaste/test/ledger"
	"posthaste/test/order/check"
)

const (
	sessions    = 4 // SMTP connections at a time
	submissions = 3 // messages by sendmail
)

// watched runs traffic through a system under strace, judges the trace, and
// counts what became of the mail.
func watched(system harness.System, p profile, f fault) (r check.Report, c ledger.Counters, err error) {
	books := ledger.New("order")
	s, err := newSink(books)
	if err != nil {
		return r, c, err
	}
	defer s.Close()
	i, err := newSite(system, p, s, "")
	if err != nil {
		return r, c, err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	if system == harness.Ours && f.rules == nil {
		err = i.startWatched()
	} else if err = i.Start(); err == nil { // the real Postfix starts by long scripts; faults are for what runs
		err = i.watch(f)
	}
	if err != nil {
		return r, c, err
	}
	mail := &traffic{site: i, ledger: books, mail: map[string]check.Mail{}}
	if err = mail.smtp(sessions, 1); err == nil && f.role == "" && !f.stuck {
		err = mail.sendmail(submissions)
	}
	if err == nil && !f.stuck {
		err = mail.drain(30 * time.Second)
	}
	if err != nil {
		return r, c, err
	}
	t, err := i.trace()
	if err != nil {
		return r, c, err
	}
	r = check.Run(t, check.Options{Spool: i.Spool, Mail: mail.mail, Aliases: aliases(), Ordered: ordered(i.Dir)})
	err = i.readMailboxes(books)
	return r, books.Count(false, time.Second), err
}

// ordered tells whether a directory lies on ext4 or XFS, which commit changes in
// their order.
func ordered(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && (st.Type == unix.EXT4_SUPER_MAGIC || st.Type == unix.XFS_SUPER_MAGIC)
}

// readMailboxes books what lies in them.
func (s *site) readMailboxes(books *ledger.Ledger) error {
	var failed error
	for n := range boxes {
		_, err := books.ReadMaildir(filepath.Join(s.Dir, "mail", box(n)), box(n)+"@"+boxDomain)
		failed = errors.Join(failed, err)
	}
	return failed
}
