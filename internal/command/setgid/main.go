package setgid

import (
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// environment are the variables that these commands look at: those of
// import_environment's default that mean something to them.
var environment = []string{"MAIL_CONFIG", "TZ"}

// runtimeAdds is what the Go runtime itself puts into the environment of a
// setgid program.
const runtimeAdds = "GOTRACEBACK=none"

// Main prepares the process and runs a command. Before anything of the caller's
// is used it gets rid of what he prepared: with more rights than his own, the
// program starts itself again with a clean environment, because the runtime has
// read GODEBUG and the like before any line of ours.
func Main(args []string, run func(Env) int) int {
	raised := isRaised()
	all := slices.DeleteFunc(os.Environ(), func(item string) bool { return item == runtimeAdds })
	clean := slices.DeleteFunc(slices.Clone(all), func(item string) bool { return !wanted(item, raised) })
	if raised {
		if len(clean) < len(all) {
			syscall.Exec("/proc/self/exe", args, clean)
			// Without /proc: what the runtime has read stays read.
		}
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	}
	os.Clearenv()
	for _, item := range clean {
		name, value, _ := strings.Cut(item, "=")
		os.Setenv(name, value)
	}
	none := unix.Rlimit{}
	unix.Setrlimit(unix.RLIMIT_CORE, &none)
	unix.Umask(0o077)
	if err := openStandard(); err != nil {
		return exitTempFail
	}
	return run(Env{
		Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		UID: os.Getuid(), EUID: os.Geteuid(), Raised: raised,
	})
}

// isRaised tells whether the process has other rights than its caller. Root
// who is root in all respects loses nothing by it.
func isRaised() bool {
	if os.Getuid() == 0 && os.Geteuid() == 0 {
		return false
	}
	return os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid()
}

// wanted tells whether a variable is kept. A time zone that is a path could
// make us read a file that the caller may not.
func wanted(item string, raised bool) bool {
	name, value, _ := strings.Cut(item, "=")
	if !slices.Contains(environment, name) {
		return false
	}
	return name != "TZ" || !raised || !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, ":") && !strings.Contains(value, "..")
}

// openStandard opens /dev/null in the place of a closed standard descriptor, so
// that no file of ours gets its number.
func openStandard() error {
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDWR, 0)
		if err != nil {
			return err
		}
		if fd > 2 {
			return unix.Close(fd)
		}
	}
}
