package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"posthaste/test/harness"
	"posthaste/test/order/trace"
	"posthaste/test/process"
)

// mainCF is a relay with some mailboxes and aliases of its own. The postmaster is
// sent no transcripts, which nobody has counted.
const mainCF = harness.RelayMain + `mydestination = ` + aliasDomain + `
alias_maps = inline:{@ALIASES@}
notify_classes =
message_size_limit = 20000000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
`

// The recipients.
const (
	boxDomain   = "box.example.test"
	sinkDomain  = "sink.example.test"
	aliasDomain = "alias.example.test"
	boxes       = 5
)

func box(n int) string { return fmt.Sprintf("box%d", n) }

// profile is how messages are committed.
type profile string

const (
	journal profile = "journal" // several at once, by the journal
	files   profile = "files"   // each by syncs of its own file, as with short queue ids
)

// site is an instance that can be traced.
type site struct {
	*harness.Instance
	sink   *sink
	tracer *tracer // nil: nobody watches
}

func newSite(system harness.System, p profile, s *sink, settings string) (*site, error) {
	var maps, aliases []string
	for n := range boxes {
		maps = append(maps, fmt.Sprintf("%s@%s=%s/", box(n), boxDomain, box(n)))
		aliases = append(aliases, fmt.Sprintf("fwd%d=%s@%s", n, box(n), boxDomain))
	}
	if p == files {
		settings += "enable_long_queue_ids = no\n"
	}
	i, err := harness.New(harness.Config{System: system, Main: mainCF + settings, Values: map[string]string{
		"SINK": fmt.Sprint(s.Port), "BOXES": strings.Join(maps, ", "), "BOXDOMAIN": boxDomain, "ALIASES": strings.Join(aliases, ", ")}})
	if err != nil {
		return nil, err
	}
	return &site{Instance: i, sink: s}, nil
}

// close stops everything and removes it.
func (s *site) close() error {
	err := s.Halt()
	if s.tracer != nil {
		err = errors.Join(err, s.tracer.end())
	}
	return errors.Join(err, s.Stop())
}

// calls are the system calls that matter.
const calls = "trace=open,openat,creat,write,writev,pwrite64,pwritev,fsync,fdatasync,sync_file_range,syncfs,sync," +
	"rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,fchmod,ftruncate," +
	"sendto,sendmsg,read,recvfrom,recvmsg,execve,exit_group,clone,clone3"

// shown is how much of each buffer a trace shows.
const shown = "8192"

// tracer is strace at work, with a shell that it watches, too.
type tracer struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	path  string
	older map[int]int // threads that ran before it, and their processes
	ended bool
}

// fault is what strace does to the calls of a run: its rules, without "inject=".
type fault struct {
	rules []string
	role  string // of the only process that is watched; empty: all are
	stuck bool   // the queue will not become empty
}

// watch begins to trace the processes of the site that run, and those that they
// will make.
func (s *site) watch(f fault) error {
	t := &tracer{path: filepath.Join(s.Dir, "trace"), older: map[int]int{}}
	args := []string{"-f", "-ttt", "-yy", "-s", shown, "-o", t.path, "-e", calls}
	for _, rule := range f.rules {
		args = append(args, "-e", "inject="+rule)
	}
	var running []int
	switch pid := s.MasterPID(); {
	case pid == 0:
		args = append(args, "--seccomp-bpf")
	case f.role != "":
		running = process.Role(pid, f.role)
	default:
		running = process.Tree(pid)
	}
	for _, p := range running {
		args = append(args, "-p", fmt.Sprint(p))
	}
	t.cmd = exec.Command("strace", append(args, "sh")...)
	like := s.Command(context.Background(), "postfix")
	t.cmd.Env, t.cmd.Dir = like.Env, like.Dir
	text, err := os.Create(filepath.Join(s.Dir, "strace.err"))
	if err != nil {
		return err
	}
	defer text.Close()
	t.cmd.Stderr = text
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if t.in, err = t.cmd.StdinPipe(); err != nil {
		return err
	}
	t.out = bufio.NewReader(out)
	if err := t.cmd.Start(); err != nil {
		return err
	}
	s.tracer = t
	if status, err := t.run("true"); err != nil || status != 0 {
		why, _ := os.ReadFile(text.Name())
		return fmt.Errorf("strace: %w: %s", harness.ErrUnavailable, why)
	}
	for _, p := range running {
		for _, thread := range process.Threads(p) {
			t.older[thread] = p
		}
	}
	return nil
}

// run lets the traced shell run a command; a whole one, with its redirections.
func (t *tracer) run(command string) (status int, err error) {
	fmt.Fprintf(t.in, "%s\necho $?\n", command)
	line, err := t.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(line, &status)
	return status, err
}

// command runs one of the system's commands, traced, with files for input and
// output.
func (s *site) command(input, name string, args ...string) (int, error) {
	cmd := s.Command(context.Background(), name, args...)
	words := append([]string{cmd.Path}, cmd.Args[1:]...)
	for i := range words {
		words[i] = "'" + strings.ReplaceAll(words[i], "'", `'\''`) + "'"
	}
	return s.tracer.run(strings.Join(words, " ") + " <" + input + " >>" + s.Dir + "/command.out 2>&1")
}

// startWatched starts the system under the tracer, so that it sees everything.
func (s *site) startWatched() error {
	if err := s.watch(fault{}); err != nil {
		return err
	}
	status, err := s.command("/dev/null", "postfix", "start")
	if err != nil || status != 0 {
		return fmt.Errorf("postfix start: status %d, %v\n%s", status, err, s.LogText())
	}
	return s.WaitReady(20 * time.Second)
}

// end waits for strace after all that it watches has ended.
func (t *tracer) end() error {
	if t.ended {
		return nil
	}
	t.ended = true
	t.in.Close()
	late := time.AfterFunc(30*time.Second, func() { t.cmd.Process.Kill() })
	defer late.Stop()
	t.cmd.Wait() // its status is that of the shell
	return nil
}

// trace stops the system and reads what was seen.
func (s *site) trace() (*trace.Trace, error) {
	if err := errors.Join(s.Halt(), s.tracer.end()); err != nil {
		return nil, err
	}
	f, err := os.Open(s.tracer.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := trace.Read(f)
	if err != nil {
		return nil, err
	}
	for thread, p := range s.tracer.older {
		t.Belongs(thread, p)
	}
	return t, nil
}
