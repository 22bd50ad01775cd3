package master

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"posthaste/internal/queue"
)

// check is `postfix check`: what is wrong and must not be is an error, what is
// odd a warning.
func (c *control) check() error {
	if err := c.integrity(); err != nil {
		return c.fail("%s", err)
	}
	for _, list := range [][]string{c.plan.set.Main.Warnings, c.plan.set.Master.Warnings} {
		for _, text := range list {
			c.warn("%s", text)
		}
	}
	if c.options.Warnings != nil {
		for _, text := range c.options.Warnings(c.plan.set) {
			c.warn("%s", text)
		}
	}
	c.inspect(true)
	return nil
}

// integrity makes what is missing and puts the files of some queues, or all,
// where they belong.
func (c *control) integrity(queues ...string) error {
	p := &c.plan.params
	o, err := p.owner(os.Geteuid() == 0)
	if err != nil {
		return err
	}
	old := syscall.Umask(0o022)
	defer syscall.Umask(old)
	if err := makeRoot(p.Common.QueueDirectory); err != nil {
		return err
	}
	if err := os.Chdir(p.Common.QueueDirectory); err != nil {
		return fmt.Errorf("queue directory: %w", err)
	}
	if err := makeDirectories(p.Common.DataDirectory, o); err != nil {
		return fmt.Errorf("unable to create missing queue directories: %w", err)
	}
	return c.repair(queues...)
}

// early are the queues that are put in order before the mail system starts. The
// others may hold a million files: the process that owns the queue does them
// when it serves. Short ids are all done before: they follow the inode number,
// and a message on its way could not be given another name.
func (c *control) early() (names []string) {
	short := !c.plan.params.Common.LongQueueIDs
	for _, n := range queue.Maintained {
		if short || !slices.Contains(queue.Late, n) {
			names = append(names, string(n))
		}
	}
	return names
}

// repair runs postsuper on some queues, or all. It is a process of its own,
// since it gives up root's rights.
func (c *control) repair(queues ...string) error {
	args := append([]string{c.options.Child[0], "postsuper", "-c", c.plan.set.Dir}, queues...)
	cmd := &exec.Cmd{Path: c.options.Program, Args: args, Stderr: c.stderr}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("postsuper: %w", err)
	}
	return nil
}

// inspect warns of files with the wrong owner or mode. deep: of those in the
// queues, too, which takes long when there are many.
func (c *control) inspect(deep bool) {
	p := &c.plan.params
	o, err := p.owner(os.Geteuid() == 0)
	if err != nil {
		return // load has told
	}
	root, spool := o.uid, p.Common.QueueDirectory
	if o.root {
		root = 0
	}
	i := inspector{warn: c.warn, mail: p.Common.MailOwner}
	if !deep { // else the integrity check has been everywhere
		for _, name := range p.Common.HashQueueNames {
			i.hashed(filepath.Join(spool, name), p.Common.HashQueueDepth, o)
		}
	}
	i.one(spool+"/.", root, true)
	i.one(spool+"/pid", root, true)
	i.apart = []string{spool, p.Common.DataDirectory} // may lie below the configuration
	i.tree(c.plan.set.Dir, root, true)
	i.tree(p.Common.DataDirectory, o.uid, true)
	for _, d := range directories {
		path := filepath.Join(spool, d.name)
		switch {
		case d.owner == ownerRoot:
		case d.name == "maildrop" || !deep: // anybody may put files there
			i.one(path, o.uid, false)
		default:
			i.tree(path, o.uid, false)
		}
		if d.owner == ownerMailDrop && o.root {
			i.group(path, o.drop, p.Common.SetgidGroup)
		}
	}
	if o.root {
		drop := filepath.Join(p.Common.CommandDirectory, "postdrop")
		i.group(drop, o.drop, p.Common.SetgidGroup)
		if st, err := os.Stat(drop); err == nil && (st.Mode()&fs.ModeSetgid == 0 || st.Mode().Perm()&0o111 != 0o111) {
			c.warn("not set-gid or not owner+group+world executable: %s", drop)
		}
	}
	damaged, _ := os.ReadDir(filepath.Join(spool, "corrupt"))
	for _, d := range damaged {
		c.warn("damaged message: corrupt/%s", d.Name())
	}
}

// inspector looks at files and words what it finds as Postfix does.
type inspector struct {
	warn  func(format string, args ...any)
	mail  string   // mail_owner
	apart []string // directories that are looked at for themselves
}

// one looks at a single file. Sockets and fifos may belong to anybody.
func (i *inspector) one(path string, owner int, mode bool) {
	st, err := os.Lstat(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			i.warn("%s", err)
		}
		return
	}
	own := st.Sys().(*syscall.Stat_t)
	if int(own.Uid) != owner && st.Mode()&(fs.ModeSocket|fs.ModeNamedPipe) == 0 {
		name := i.mail
		if owner == 0 {
			name = "root"
		}
		i.warn("not owned by %s: %s", name, path)
	}
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		if to, err := os.Readlink(path); mode && err == nil && strings.Contains(to, "/") {
			i.warn("symlink leaves directory: %s", path)
		}
	case mode && st.Mode().Perm()&0o022 != 0:
		i.warn("group or other writable: %s", path)
	}
}

// tree looks at a directory and all below.
func (i *inspector) tree(dir string, owner int, mode bool) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != dir && slices.Contains(i.apart, path) {
			return fs.SkipDir
		}
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) { // mail comes and goes
				i.warn("%s", err)
			}
			return nil
		}
		i.one(dir+"/."+strings.TrimPrefix(path, dir), owner, mode)
		return nil
	})
	if err != nil {
		i.warn("%s", err)
	}
}

// hashDigits are the names of subdirectories in a queue, and hashLevels is how
// many levels of them are looked at: there are 16 times as many on each.
const (
	hashDigits = "0123456789ABCDEF"
	hashLevels = 3
)

// hashed warns of subdirectories of a queue that the mail owner cannot use. The
// system starts all the same: only the mail in them has to wait.
func (i *inspector) hashed(dir string, depth int, o owner) {
	if depth < 1 {
		return
	}
	for _, c := range hashDigits {
		path := filepath.Join(dir, string(c))
		st, err := os.Lstat(path)
		if err != nil || !st.IsDir() {
			continue
		}
		if !usable(st, o) {
			i.warn("%s cannot use %s, and mail in it waits: run \"chown -R %s %s; chmod 0700 %s\"", i.mail, path, i.mail, path, path)
			continue
		}
		i.hashed(path, min(depth, hashLevels)-1, o)
	}
}

// usable tells whether the mode of a directory lets the mail owner work in it.
func usable(st fs.FileInfo, o owner) bool {
	mode := st.Mode().Perm()
	switch own := st.Sys().(*syscall.Stat_t); {
	case int(own.Uid) == o.uid:
		mode >>= 6
	case int(own.Gid) == o.gid:
		mode >>= 3
	}
	return mode&7 == 7
}

func (i *inspector) group(path string, gid int, name string) {
	st, err := os.Stat(path)
	if err != nil {
		i.warn("%s", err)
		return
	}
	if int(st.Sys().(*syscall.Stat_t).Gid) != gid {
		i.warn("not owned by group %s: %s", name, path)
	}
}

// setPermissions gives the directories and the setgid program the owners and
// modes that they are made with.
func (c *control) setPermissions() error {
	p := &c.plan.params
	o, err := p.owner(os.Geteuid() == 0)
	if err != nil {
		return err
	}
	if !o.root {
		return c.fail("set-permissions needs the rights of the superuser")
	}
	if err := c.integrity(); err != nil {
		return c.fail("%s", err)
	}
	for _, d := range append(directories[:len(directories):len(directories)], directory{p.Common.DataDirectory, 0o700, ownerMail}) {
		uid, gid := o.uid, -1
		switch d.owner {
		case ownerRoot:
			uid = 0
		case ownerMailDrop:
			gid = o.drop
		}
		err = errors.Join(err, os.Chown(d.name, uid, gid), os.Chmod(d.name, d.mode))
	}
	drop := filepath.Join(p.Common.CommandDirectory, "postdrop")
	err = errors.Join(err, os.Chown(drop, 0, o.drop), os.Chmod(drop, 0o755|fs.ModeSetgid))
	if err != nil {
		return c.fail("set-permissions: %s", err)
	}
	return nil
}

// upgrade has nothing to do: nothing here needs the rows that later releases of
// Postfix want to be in master.cf.
func (c *control) upgrade() error {
	fmt.Fprintln(c.stderr, "postfix: upgrade-configuration: nothing to do: configuration files are used as they are")
	return nil
}
