package blocklog

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// serve mounts root. No process that is started later may inherit the kernel's
// end of it: when a test is killed, what it started would keep a disk alive that
// nobody serves, and every sync of the whole machine would wait for that disk. The
// library's own open(2) lacks O_CLOEXEC; until that is mended nothing may fork.
func serve(mount string, root fs.InodeEmbedder, o *fs.Options) (*fuse.Server, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	server, err := fs.Mount(mount, root, o)
	if err != nil {
		return nil, err
	}
	return server, closeOnExec("/dev/fuse")
}

// closeOnExec keeps all our descriptors of a file from programs that are started.
func closeOnExec(file string) error {
	const open = "/proc/self/fd"
	all, err := os.ReadDir(open)
	if err != nil {
		return err
	}
	for _, entry := range all {
		target, err := os.Readlink(filepath.Join(open, entry.Name()))
		if err != nil || target != file {
			continue // closed meanwhile, or another
		}
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return err
		}
		syscall.CloseOnExec(fd)
	}
	return nil
}
