package privilege

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// User is a user to become.
type User struct {
	Name     string
	UID, GID int
	Groups   []int // all groups, the first one included
}

// Lookup finds a user and all groups the user is in.
func Lookup(name string) (User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return User{}, err
	}
	out := User{Name: name}
	uid, errU := strconv.Atoi(u.Uid)
	gid, errG := strconv.Atoi(u.Gid)
	if err := errors.Join(errU, errG); err != nil {
		return User{}, fmt.Errorf("user %s: %w", name, err)
	}
	out.UID, out.GID = uid, gid
	ids, err := u.GroupIds()
	if err != nil {
		return User{}, fmt.Errorf("groups of user %s: %w", name, err)
	}
	out.Groups = []int{gid}
	for _, id := range ids {
		n, err := strconv.Atoi(id)
		if err != nil {
			return User{}, fmt.Errorf("groups of user %s: %w", name, err)
		}
		if n != gid {
			out.Groups = append(out.Groups, n)
		}
	}
	return out, nil
}

// Drop says which rights are given up.
type Drop struct {
	User *User // nil, or when not started by root: stay who we are
	// Chroot is the new root directory; empty: none. Without root it is an error.
	Chroot string
	// NoNewPrivileges keeps setuid programs from giving rights. Not for
	// processes that run users' commands: sendmail's postdrop is setgid.
	NoNewPrivileges bool
	// Sandbox are the only places of the file system that may be used from now
	// on, as far as the kernel can enforce it; nil: all. It implies NoNewPrivileges.
	Sandbox []Rule
}

// Apply gives the rights up. After an error the process must end: it may be
// half way. The sandbox is best effort: enforced tells whether the kernel has it.
func (d Drop) Apply() (enforced bool, err error) {
	var sandbox *ruleset
	if d.Sandbox != nil {
		// Its paths are opened while they can still be reached.
		if sandbox, err = newRuleset(d.Sandbox); err != nil {
			return false, err
		}
		defer sandbox.close()
	}
	if d.Chroot != "" {
		if err := chroot(d.Chroot); err != nil {
			return false, err
		}
	}
	if d.User != nil && os.Geteuid() == 0 {
		if err := become(*d.User); err != nil {
			return false, err
		}
	}
	if d.NoNewPrivileges || d.Sandbox != nil {
		if err := noNewPrivileges(); err != nil {
			return false, err
		}
	}
	if sandbox == nil {
		return false, nil
	}
	return sandbox.enforce()
}

// chroot changes the root and leaves no way out through the working directory.
func chroot(dir string) error {
	if err := unix.Chroot(dir); err != nil {
		return &os.PathError{Op: "chroot", Path: dir, Err: err}
	}
	return os.Chdir("/")
}

// become changes groups, gid and uid, in this order: after the uid the right
// to change the others is gone. Then it checks that it is so.
func become(u User) error {
	if u.UID == 0 || u.GID == 0 {
		return fmt.Errorf("user %s has superuser rights", u.Name)
	}
	groups := u.Groups
	if len(groups) == 0 {
		groups = []int{u.GID}
	}
	if err := syscall.Setgroups(groups); err != nil {
		return os.NewSyscallError("setgroups", err)
	}
	if err := syscall.Setresgid(u.GID, u.GID, u.GID); err != nil {
		return os.NewSyscallError("setresgid", err)
	}
	if err := syscall.Setresuid(u.UID, u.UID, u.UID); err != nil {
		return os.NewSyscallError("setresuid", err)
	}
	r, e, s := unix.Getresuid()
	rg, eg, sg := unix.Getresgid()
	if r != u.UID || e != u.UID || s != u.UID || rg != u.GID || eg != u.GID || sg != u.GID {
		return fmt.Errorf("user %s: rights were not given up", u.Name)
	}
	if err := syscall.Setuid(0); err == nil {
		return fmt.Errorf("user %s: superuser rights came back", u.Name)
	}
	return nil
}

// noNewPrivileges sets the flag on all threads.
func noNewPrivileges() error {
	return allThreads("prctl", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
}

// Able tells whether a program can give up rights at all: one that was built with
// cgo cannot. Whoever starts others asks first, so that it is said once.
func Able() error { return allThreads("getpid", unix.SYS_GETPID, 0, 0, 0) }

// errCgo is the reason of what fails on all threads at once.
var errCgo = fmt.Errorf("this program was built with cgo, and cannot give up the rights of all its threads: build it with CGO_ENABLED=0 (%w)",
	errors.ErrUnsupported)

// allThreads makes the same system call on every thread of the process.
func allThreads(name string, trap, a, b, c uintptr) error {
	switch _, _, errno := syscall.AllThreadsSyscall6(trap, a, b, c, 0, 0, 0); errno {
	case 0:
		return nil
	case syscall.ENOTSUP: // none of the calls here fails with it
		return errCgo
	default:
		return os.NewSyscallError(name, errno)
	}
}
