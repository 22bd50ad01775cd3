// Package quickstart makes a mail system for trying out, below one directory
// and without root, and runs it on the terminal. It writes the files that are
// missing in that directory and nothing elsewhere.
package quickstart

import (
	_ "embed" // the files of the trial system
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"posthaste/internal/maillog"
	"posthaste/internal/system/master"
)

//go:embed main.cf
var mainText string

//go:embed master.cf
var masterText string

//go:embed mailboxes
var mailboxesText string

// Address is where the trial system takes mail; master.cf has it too.
const Address = "127.0.0.1:2525"

// Main is the quickstart command: quickstart [DIRECTORY]. It returns the exit
// status when the mail system was stopped.
func Main(args []string, o master.Options, stdout, stderr io.Writer) int {
	if err := run(args, o, stdout); err != nil {
		fmt.Fprintf(stderr, "quickstart: fatal: %s\n", maillog.Sanitize(err.Error()))
		return 1
	}
	return 0
}

func run(args []string, o master.Options, stdout io.Writer) error {
	if len(args) > 1 || len(args) == 1 && strings.HasPrefix(args[0], "-") {
		return errors.New("usage: quickstart [directory]")
	}
	dir := "var"
	if len(args) == 1 {
		dir = args[0]
	}
	shown := dir
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := write(dir); err != nil {
		return err
	}
	o.ConfigDir = dir
	o.Started = func(err error) {
		if err == nil {
			fmt.Fprint(stdout, hints(shown))
		}
	}
	return master.Run(o)
}

// account is whom the trial system belongs to.
type account struct {
	name, group string
	uid, gid    int
}

// owner is the invoking user. Root hands over to nobody, since no mail system
// runs as root. Others need no name: theirs is not used.
func owner() (account, error) {
	if uid := os.Geteuid(); uid != 0 {
		return account{strconv.Itoa(uid), strconv.Itoa(os.Getegid()), uid, os.Getegid()}, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return account{}, err
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		return account{}, err
	}
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	return account{u.Username, g.Name, uid, gid}, errors.Join(errUID, errGID)
}

// write makes what is missing of the trial system.
func write(dir string) error {
	if strings.ContainsAny(dir, " \t\n$,;{}\"#") {
		return fmt.Errorf("%q: main.cf cannot name such a directory; use another one", dir)
	}
	who, err := owner()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	mailDir := filepath.Join(dir, "mail")
	if err := os.MkdirAll(mailDir, 0o755); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := reachable(dir); err != nil {
			return err
		}
		if err := os.Chown(mailDir, who.uid, who.gid); err != nil {
			return err
		}
	}
	replace := strings.NewReplacer("@DIR@", dir, "@BIN@", filepath.Dir(program), "@OWNER@", who.name, "@GROUP@", who.group,
		"@UID@", strconv.Itoa(who.uid), "@GID@", strconv.Itoa(who.gid))
	for _, f := range []struct{ name, text string }{
		{"mailboxes", mailboxesText}, {"master.cf", masterText}, {"main.cf", mainText},
	} {
		if err := writeNew(filepath.Join(dir, f.name), replace.Replace(f.text)); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes a file that is not there.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// reachable tells whether others than root can get at a directory.
func reachable(dir string) error {
	for d := dir; d != "/"; d = filepath.Dir(d) {
		st, err := os.Stat(d)
		if err != nil {
			return err
		}
		if st.Mode()&0o001 == 0 {
			return fmt.Errorf("started by root, the mail system runs as nobody, who cannot reach %s; "+
				"start it as an ordinary user, or use another directory", d)
		}
	}
	return nil
}

// hints are commands to copy.
func hints(dir string) string {
	return fmt.Sprintf(`
The mail system is running: SMTP on %[1]s, configuration and mail in %[2]s.
Try, in another terminal:

  printf 'Subject: hello\n\nHello, Bob.\n' | bin/sendmail -C %[2]s -f alice@example.test bob@example.test
  bin/mailq -C %[2]s
  cat %[2]s/mail/bob/new/*
  bin/postconf -c %[2]s -n
  bin/postfix -c %[2]s reload

Ctrl-C stops it. Mail and settings stay in %[2]s for the next time.

`, Address, dir)
}
