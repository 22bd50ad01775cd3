package master

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// logrotate puts the log file away under a name with the time in it and lets
// the mail system begin a new one.
func (c *control) logrotate() error {
	p := &c.plan.params
	path := p.Common.MaillogFile
	for _, setting := range [][2]string{
		{"maillog_file", path}, {"maillog_file_compressor", p.Compressor}, {"maillog_file_rotate_suffix", p.LogSuffix},
	} {
		if setting[1] == "" {
			return c.fail("empty '%s' parameter value - logfile rotation failed", setting[0])
		}
	}
	if strings.HasPrefix(path, "/dev/") {
		return c.fail("not rotating '%s'", path)
	}
	if err := c.rotate(path); err != nil {
		return c.fail("logfile '%s' rotation failed: %s", path, err)
	}
	return nil
}

func (c *control) rotate(path string) error {
	old := path + "." + strftime(c.plan.params.LogSuffix, time.Now())
	if _, err := os.Lstat(old); err == nil {
		return fmt.Errorf("%s exists", old)
	}
	if err := os.Rename(path, old); err != nil {
		return err
	}
	pid, err := c.running()
	if err == nil && pid != 0 {
		err = syscall.Kill(pid, syscall.SIGHUP)
	}
	if err != nil {
		return err
	}
	c.file.Close() // ours; what is said from here on goes to the new file
	if c.file, err = openLog(&c.plan.params); err != nil {
		return err
	}
	log, err := newLog(&c.plan.params.Common, c.file)
	if err != nil {
		return err
	}
	c.log = log.WithBase(c.plan.params.Common.SyslogName).Named("postfix-script")
	if free, err := unwritten(old); err != nil || !free {
		if err == nil {
			c.say("logfile %s is not compressed: sessions that are still open write to it", old)
		}
		return err
	}
	if out, err := exec.Command(c.plan.params.Compressor, old).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", c.plan.params.Compressor, old, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// rotateTime is how long processes of the old generation are waited for: until
// they have left, they write to the old file, and what they write must not be
// lost by compressing it.
const rotateTime = 5 * time.Second

// unwritten waits until nobody has the file open for writing. The kernel tells:
// it grants a read lease on no other file.
func unwritten(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	for end := time.Now().Add(rotateTime); ; time.Sleep(50 * time.Millisecond) {
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
		switch {
		case err == nil:
			_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
			return true, err
		case err != unix.EAGAIN:
			return false, fmt.Errorf("lease on %s: %w", path, err)
		case time.Now().After(end):
			return false, nil
		}
	}
}

// strftime formats a time by the conversions of strftime(3) that make sense in
// a file name; others stay as they are.
func strftime(format string, t time.Time) string {
	return strings.NewReplacer(
		"%%", "%", "%Y", t.Format("2006"), "%y", t.Format("06"), "%m", t.Format("01"), "%d", t.Format("02"),
		"%H", t.Format("15"), "%M", t.Format("04"), "%S", t.Format("05"), "%j", t.Format("002"),
		"%F", t.Format("2006-01-02"), "%T", t.Format("15:04:05"), "%b", t.Format("Jan"), "%a", t.Format("Mon"),
		"%s", fmt.Sprint(t.Unix()), "%Z", t.Format("MST"), "%z", t.Format("-0700"),
	).Replace(format)
}
