package run

import "golang.org/x/sys/unix"

// ownDescriptors are those that a process has open with nothing to do: sockets,
// pipes, logs, the journal.
const ownDescriptors = 40

// descriptors is how many descriptors this process can spare for work.
func descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<20 {
		return 1 << 20
	}
	return max(8, int(limit.Cur)-ownDescriptors)
}

// perConnection is how many descriptors may be needed for one connection of the
// scheduler: itself, the message, a peer, a question to a name server, and as much
// again for the other services of the process.
const perConnection = 6

// connections is how many connections of the scheduler there may be.
func connections() int { return max(2, descriptors()/perConnection) }
