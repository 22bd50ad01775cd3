package privilege

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Access is what may be done below a path.
type Access uint8

// The kinds of access.
const (
	ReadOnly  Access = iota // read files, list directories
	ReadWrite               // also make, change, rename and remove
	Execute                 // read and start programs
)

// Rule allows access below a path. A path that does not exist is passed over.
type Rule struct {
	Path   string
	Access Access
}

// The rights of the file system by kind of access, all of the first version
// of Landlock; what came later is added in rights.
const (
	readRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	fileWrites = unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	treeWrites = unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO |
		unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	firstRights = readRights | fileWrites | treeWrites | unix.LANDLOCK_ACCESS_FS_EXECUTE
)

// rights are what the kernel's version of Landlock can forbid.
func rights(abi int) uint64 {
	all := uint64(firstRights)
	if abi >= 2 {
		all |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		all |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	return all
}

// ruleset is a Landlock ruleset that is not yet in force.
type ruleset struct{ fd int } // -1: the kernel has no Landlock

// newRuleset opens the paths of the rules.
func newRuleset(rules []Rule) (*ruleset, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 { // not built in, or switched off
		return &ruleset{fd: -1}, nil
	}
	handled := rights(int(abi))
	// The first version of the structure: one field.
	attr := struct{ fs uint64 }{handled}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("landlock_create_ruleset", errno)
	}
	r := &ruleset{fd: int(fd)}
	for _, rule := range rules {
		if err := r.allow(rule, handled); err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

func (r *ruleset) allow(rule Rule, handled uint64) error {
	fd, err := unix.Open(rule.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sandbox: %w", &os.PathError{Op: "open", Path: rule.Path, Err: err})
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("sandbox: %w", &os.PathError{Op: "stat", Path: rule.Path, Err: err})
	}
	allowed := uint64(readRights)
	switch rule.Access {
	case ReadWrite:
		allowed = handled &^ unix.LANDLOCK_ACCESS_FS_EXECUTE
	case Execute:
		allowed |= unix.LANDLOCK_ACCESS_FS_EXECUTE
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		allowed &= unix.LANDLOCK_ACCESS_FS_READ_FILE | fileWrites | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: allowed & handled, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r.fd), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("sandbox: landlock_add_rule %s: %w", rule.Path, errno)
	}
	return nil
}

// enforce puts the ruleset in force on all threads.
func (r *ruleset) enforce() (bool, error) {
	if r.fd < 0 {
		return false, nil
	}
	return true, allThreads("landlock_restrict_self", unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(r.fd), 0, 0)
}

func (r *ruleset) close() {
	if r.fd >= 0 {
		unix.Close(r.fd)
	}
}
