// Package privilege gives up rights, for good and for all threads of the
// process: chroot, groups, gid and uid, no-new-privileges, Landlock. It may
// touch nothing but the process itself, and reads the user and group files.
//
// The order is: open what needs root, call Drop.Apply before the first
// goroutine, serve. There is no way back, and none is kept.
//
// Go applies setgroups, setgid and setuid to every thread; for prctl and
// Landlock, which act on one thread, AllThreads is used. That needs
// CGO_ENABLED=0.
package privilege
