// Package process reads the process tree of a mail system from /proc, for tests
// that measure its processes or end them. It sends no signals.
package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Tree lists the process and all its descendants, parents first; none for 0,
// whose descendants are all processes of the machine.
func Tree(root int) []int {
	if root == 0 {
		return nil
	}
	children := make(map[int][]int)
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if f := Stat(pid); len(f) > 1 {
			if parent, err := strconv.Atoi(f[1]); err == nil {
				children[parent] = append(children[parent], pid)
			}
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// Stat are the fields of a process's stat file behind the command name: state,
// parent, … (proc(5)); none when the process is gone.
func Stat(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	s := string(b)
	return strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
}

// Command is the command line of a process; none when it is gone or a zombie.
func Command(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
}

// Role are the processes below root that play a role: ours name it in their last
// word, the real Postfix's in their first.
func Role(root int, role string) (found []int) {
	for _, pid := range Tree(root) {
		words := Command(pid)
		if len(words) > 0 && (words[len(words)-1] == role || filepath.Base(words[0]) == role) {
			found = append(found, pid)
		}
	}
	return found
}

// Threads are the threads of a process; none when it is gone.
func Threads(pid int) (threads []int) {
	dirs, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
	for _, dir := range dirs {
		if thread, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			threads = append(threads, thread)
		}
	}
	return threads
}

// Gone tells whether a process has ended with all its threads. One that was
// killed lives on, with its sockets and locks, while a thread waits for the
// disk.
func Gone(pid int) bool {
	f := Stat(pid)
	if len(f) == 0 {
		return true
	}
	return f[0] == "Z" && len(Threads(pid)) <= 1
}
