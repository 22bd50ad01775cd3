// Package harness starts a complete mail system in a directory of its own, for
// tests and measurements: ours, or the real Postfix as the oracle. Both get
// the same main.cf and master.cf. It uses loopback addresses only and stops
// what it starts.
package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// System is which mail system to run.
type System string

// The systems.
const (
	Ours    System = "posthaste"
	Postfix System = "postfix"
)

// Config says how an instance is set up. Every `@NAME@` in Main and Master is
// replaced: @DIR@ is the instance's directory, @SMTP@ its SMTP port, @OWNER@
// and @UID@, @GID@ the user that may own mailboxes, and what Values adds.
type Config struct {
	System System
	Main   string // lines added to the base main.cf; later ones win
	Master string // rows added to the base master.cf; a row of the same name and type replaces the base's
	Values map[string]string
	Files  map[string]string // further files, by path below the directory
	// Bin is the directory with our commands; empty: found with Binaries.
	Bin string
	Env []string
}

// Instance is a mail system with its directory.
type Instance struct {
	System System
	Dir    string // everything lies below it
	Conf   string // configuration directory
	Spool  string
	Log    string // maillog_file
	Port   int    // of the base smtp service on 127.0.0.1
	bin    string
	env    []string
}

// baseMain is what every instance has in common; texts of both systems agree
// on it.
const baseMain = `compatibility_level = 3.6
queue_directory = @DIR@/spool
data_directory = @DIR@/data
command_directory = @COMMANDS@
daemon_directory = /usr/lib/postfix/sbin
mail_owner = @OWNER@
setgid_group = @SETGID@
myhostname = mx.example.test
mydomain = example.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.1/32
maillog_file = @DIR@/log
maillog_file_prefixes = @DIR@
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtp_host_lookup = native
smtpd_forbid_bare_newline = normalize
smtpd_forbid_unauth_pipelining = yes
enable_long_queue_ids = yes
`

const baseMaster = `127.0.0.1:@SMTP@ inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// RelayMain, for Config.Main, is a relay to a sink with some virtual mailboxes of
// its own, without limits that a load would meet; deferred mail is tried again soon.
// Values: SINK is the sink's port, BOXDOMAIN and BOXES are the domain of the
// mailboxes and their rows in virtual_mailbox_maps.
const RelayMain = `relayhost = [127.0.0.1]:@SINK@
local_recipient_maps =
virtual_mailbox_domains = @BOXDOMAIN@
virtual_mailbox_base = @DIR@/mail
virtual_mailbox_maps = inline:{@BOXES@}
virtual_minimum_uid = 1
virtual_uid_maps = static:@UID@
virtual_gid_maps = static:@GID@
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
`

// ErrUnavailable says that a system cannot run here; its text says why.
var ErrUnavailable = errors.New("not available")

// New lays out the files of an instance and starts nothing.
func New(c Config) (*Instance, error) {
	if err := available(c); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mail-"+string(c.System)+"-")
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	i := &Instance{System: c.System, Dir: dir, Conf: dir + "/etc", Spool: dir + "/spool", Log: dir + "/log",
		Port: port, bin: c.Bin, env: c.Env}
	if err := i.layOut(c); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return i, nil
}

func available(c Config) error {
	if c.System == Postfix {
		if os.Geteuid() != 0 {
			return fmt.Errorf("real Postfix: %w: it must be started by root", ErrUnavailable)
		}
		if _, err := os.Stat("/usr/lib/postfix/sbin/master"); err != nil {
			return fmt.Errorf("real Postfix: %w: Debian package postfix is not installed", ErrUnavailable)
		}
	}
	return nil
}

// layOut writes configuration and directories.
func (i *Instance) layOut(c Config) error {
	if err := os.Chmod(i.Dir, 0o755); err != nil {
		return err
	}
	owner, group := Owner()
	for _, d := range []string{"etc", "data", "spool", "mail"} {
		if err := os.MkdirAll(filepath.Join(i.Dir, d), 0o755); err != nil {
			return err
		}
	}
	if os.Geteuid() == 0 {
		u, err := user.Lookup(owner)
		if err != nil {
			return fmt.Errorf("mail_owner: %w", err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		if err := errors.Join(os.Chown(i.Dir+"/data", uid, -1), os.Chmod(i.Dir+"/mail", 0o777)); err != nil {
			return err
		}
	}
	commands := "/usr/sbin"
	if c.System == Ours {
		if i.bin == "" {
			i.bin = Binaries()
		}
		commands = i.bin
	}
	mailUID, mailGID := Mailbox()
	values := []string{"@DIR@", i.Dir, "@SMTP@", strconv.Itoa(i.Port), "@OWNER@", owner, "@SETGID@", group,
		"@COMMANDS@", commands, "@UID@", strconv.Itoa(mailUID), "@GID@", strconv.Itoa(mailGID)}
	for k, v := range c.Values {
		values = append(values, "@"+k+"@", v)
	}
	replace := strings.NewReplacer(values...)
	files := map[string]string{
		"etc/main.cf":   mergeMain(baseMain, c.Main),
		"etc/master.cf": mergeMaster(baseMaster, c.Master),
	}
	for name, text := range c.Files {
		files[name] = text
	}
	// The real postsuper writes to the log as mail_owner, and fails when it cannot.
	if err := os.WriteFile(i.Log, nil, 0o666); err != nil {
		return err
	}
	if err := os.Chmod(i.Log, 0o666); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(i.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(replace.Replace(text)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Owner is the mail_owner and the setgid_group of instances: Debian's when root,
// the invoking user otherwise.
func Owner() (owner, group string) {
	if os.Geteuid() == 0 {
		return "postfix", "postdrop"
	}
	u, err := user.Current()
	if err != nil {
		return "nobody", "nogroup"
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		return u.Username, u.Gid
	}
	return u.Username, g.Name
}

// Mailbox is the uid and gid that virtual mailboxes belong to.
func Mailbox() (uid, gid int) {
	if os.Geteuid() == 0 {
		return 65534, 65534
	}
	return os.Geteuid(), os.Getegid()
}

// Binaries is the directory with our commands: $POSTHASTE_BIN, or bin/ at the
// root of the source tree.
func Binaries() string {
	if dir := os.Getenv("POSTHASTE_BIN"); dir != "" {
		return dir
	}
	dir, _ := os.Getwd()
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return filepath.Join(d, "bin")
		}
		if d == "/" {
			return filepath.Join(dir, "bin")
		}
	}
}

// As is the same instance, its directories and its configuration, in the hands
// of another system: one that takes over. Only one of them may run at a time,
// and Stop of either removes the directory.
func (i *Instance) As(s System) (*Instance, error) {
	if err := available(Config{System: s}); err != nil {
		return nil, err
	}
	other := *i
	other.System = s
	if s == Ours && other.bin == "" {
		other.bin = Binaries()
	}
	return &other, nil
}

// Program is the path of one of the system's commands.
func (i *Instance) Program(name string) string {
	if i.System == Ours {
		return filepath.Join(i.bin, name)
	}
	for _, dir := range []string{"/usr/sbin", "/usr/bin"} {
		if p := filepath.Join(dir, name); exists(p) {
			return p
		}
	}
	return name
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// Command prepares one of the system's commands, with the option that names
// the configuration directory in front of the others.
func (i *Instance) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	flag := "-c"
	switch name {
	case "sendmail", "mailq", "newaliases":
		flag = "-C"
	}
	cmd := exec.CommandContext(ctx, i.Program(name), append([]string{flag, i.Conf}, args...)...)
	cmd.Env = append(os.Environ(), i.env...)
	cmd.Env = append(cmd.Env, "MAIL_CONFIG="+i.Conf)
	cmd.Dir = i.Dir
	return cmd
}

// Run runs a command to its end and returns what it printed.
func (i *Instance) Run(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	out, err := i.Command(ctx, name, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return string(out), err
}

// patience is how long the harness waits for what should not take a second: a
// busy machine may be a hundred times slower.
const patience = time.Minute

// Start starts the system and waits until it answers on its SMTP port.
func (i *Instance) Start() error {
	if out, err := i.startProcess(); err != nil {
		return fmt.Errorf("start: %w: %s\n%s", err, out, i.LogText())
	}
	return i.WaitReady(patience)
}

// startProcess runs `postfix start`, whose daemon keeps our pipes open: its
// output goes to a file.
func (i *Instance) startProcess() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	out, err := os.CreateTemp(i.Dir, "start-")
	if err != nil {
		return "", err
	}
	defer out.Close()
	cmd := i.Command(ctx, "postfix", "start")
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	text, _ := os.ReadFile(out.Name())
	return string(text), err
}

// WaitReady waits until the SMTP port gives its greeting.
func (i *Instance) WaitReady(limit time.Duration) error {
	return Until(limit, func() error {
		c, err := net.DialTimeout("tcp", i.Addr(), time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		var b [4]byte
		if n, err := c.Read(b[:]); err != nil || string(b[:n]) != "220 " {
			return fmt.Errorf("no greeting: %q %v", b[:n], err)
		}
		c.Write([]byte("QUIT\r\n"))
		return nil
	})
}

// Addr is host:port of the SMTP service.
func (i *Instance) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(i.Port)) }

// Stop stops the system and removes its directory.
func (i *Instance) Stop() error {
	err := i.Halt()
	return errors.Join(err, os.RemoveAll(i.Dir))
}

// Halt stops the system and leaves its directory.
func (i *Instance) Halt() error {
	if !i.Running() {
		return nil
	}
	if _, err := i.Run("postfix", "stop"); err != nil && i.Running() {
		return err
	}
	gone := func() error {
		if i.Running() {
			return errors.New("still running after stop")
		}
		return nil
	}
	if Until(patience, gone) == nil {
		return nil
	}
	i.Run("postfix", "abort")
	return Until(patience, gone)
}

// MasterPID is the process id of the running master, or 0.
func (i *Instance) MasterPID() int {
	b, err := os.ReadFile(filepath.Join(i.Spool, "pid", "master.pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 || !exists(fmt.Sprintf("/proc/%d", pid)) {
		return 0
	}
	return pid
}

// Running tells whether the master runs.
func (i *Instance) Running() bool { return i.MasterPID() != 0 }

// LogText is the mail log so far.
func (i *Instance) LogText() string {
	b, _ := os.ReadFile(i.Log)
	return string(b)
}

// Until calls check again and again until it returns nil or the limit has
// passed; then it returns the last error.
func Until(limit time.Duration, check func() error) error {
	deadline := time.Now().Add(limit)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := check()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(wait)
	}
}
