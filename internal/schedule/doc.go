// Package schedule is the queue manager (Postfix: qmgr). It claims due
// messages from the queue, resolves their recipients, groups them by transport
// and destination, decides which group is delivered next, hands it to a
// delivery agent, and records one result per recipient. It is the only writer
// of delivery progress.
//
// The way of a message, file by file:
//
//	scan.go         finds due messages: hints, incoming scan, deferred scan
//	active.go       claims one, reads a window of recipients, resolves them
//	message.go      sorts recipients into jobs, peers and entries (refill.go, slots.go: a window at a time)
//	transport.go    chooses the next entry; preempt.go lets small mail pass
//	destination.go  says how many entries may run at a time (feedback.go)
//	deliver.go      runs an agent; settle.go records each result
//	finish.go       ends the attempt: remove, notify, or defer (expire.go)
//
// One goroutine, the loop of scheduler.go, owns all these structures; nothing
// else reads or writes them, so none has a lock. Whatever may block (disk,
// tables, agents, notices) runs on other goroutines, which report back by
// posting a function to the loop. Each step of the loop takes O(log n) time in
// the number of messages, destinations and recipients in memory.
//
// The package may call the queue, the resolver, the agents and the notifier
// through the interfaces of deps.go. It opens no file and no socket.
//
// BUGS: a job to more than 16 destinations that are all busy is considered for
// overtaking again when one of 16 has room (park.go); it keeps its turn in the
// ordinary order, which is exact.
package schedule
