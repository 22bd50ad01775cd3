package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"posthaste/test/harness"
	"posthaste/test/ledger"
	"posthaste/test/order/check"
)

// traced runs traffic through a system under strace and judges it.
func traced(t *testing.T, system harness.System, p profile, inject ...string) (check.Report, *traffic) {
	t.Helper()
	needs(t, system)
	books := ledger.New("order")
	s, err := newSink(books)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	i, err := newSite(system, p, s, "")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("KEEP") == "" {
		defer i.close()
	}
	if system == harness.Ours && len(inject) == 0 {
		err = i.startWatched()
	} else if err = i.Start(); err == nil {
		err = i.watch(inject...)
	}
	if errors.Is(err, harness.ErrUnavailable) {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	mail := &traffic{site: i, ledger: books, mail: map[string]check.Mail{}}
	b := time.Now()
	if err := errors.Join(mail.smtp(4, 1), mail.sendmail(3), mail.drain(30*time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(b))
	tr, err := i.trace()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(b))
	return check.Run(tr, check.Options{Spool: i.Spool, Mail: mail.mail, Aliases: aliases()}), mail
}

func needs(t *testing.T, system harness.System) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("SKIPPED: strace is not installed")
	}
	if _, err := os.Stat(filepath.Join(harness.Binaries(), "posthaste")); err != nil && system == harness.Ours {
		t.Skip("SKIPPED: no programs: make build first")
	}
}

func TestOurs(t *testing.T) {
	for _, p := range []profile{journal, files} {
		t.Run(string(p), func(t *testing.T) {
			r, _ := traced(t, harness.Ours, p)
			t.Logf("%+v", r)
			for _, f := range r.Findings {
				t.Error(f)
			}
		})
	}
}
func TestPostfix(t *testing.T) {
	r, _ := traced(t, harness.Postfix, journal)
	t.Logf("%+v", r)
	for _, f := range r.Findings {
		t.Log(f)
	}
}
