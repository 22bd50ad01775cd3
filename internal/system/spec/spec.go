// Package spec is what master tells a child process: which services it hosts,
// with which configuration, and which descriptor is what. It holds words only
// and reads one descriptor.
package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Role is a kind of process.
type Role string

// The roles. Each is one trust domain; see ARCHITECTURE.md, Processes.
const (
	Inbound  Role = "inbound"
	Queue    Role = "queue"
	Outbound Role = "outbound"
	Local    Role = "local"
	Memory   Role = "" // became memory inside other processes: the row is accepted
)

// Roles says which process hosts the services of a master.cf command.
var Roles = map[string]Role{
	"smtpd": Inbound, "postscreen": Inbound, "qmqpd": Inbound,

	"qmgr": Queue, "oqmgr": Queue, "nqmgr": Queue, "pickup": Queue, "cleanup": Queue, "bounce": Queue, "defer": Queue, "trace": Queue,
	"verify": Queue, "flush": Queue, "showq": Queue, "postlogd": Queue,

	"smtp": Outbound, "lmtp": Outbound, "relay": Outbound,
	"error": Outbound, "retry": Outbound, "discard": Outbound,

	"local": Local, "virtual": Local, "pipe": Local, "spawn": Local,

	"anvil": Memory, "scache": Memory, "tlsmgr": Memory, "proxymap": Memory,
	"dnsblog": Memory, "tlsproxy": Memory, "trivial-rewrite": Memory, "nbdb_reindexd": Memory,
}

// Notify is the datagram socket of new mail, below the queue directory. It is
// no row of master.cf: master makes it for the queue process. A datagram is
// the id of a message that is ready in incoming; an empty one asks for a scan.
const Notify = "private/notify"

// Spec is what a child gets.
type Spec struct {
	Role     Role
	Chroot   bool   // below QueueDirectory, once everything is open
	Config   []byte // config.Encode
	Rows     []Row
	LogFile  bool // descriptor LogFD is the log; else syslog
	QueueDir string
}

// Row is a service of master.cf with its listening descriptors.
type Row struct {
	Name, Type string // find the row in the configuration by these
	Listeners  []int  // descriptor numbers; empty for Notify's host when absent
}

// The descriptors a child inherits. Listeners follow from FirstListener.
const (
	SpecFD        = 3 // the encoded Spec
	LifelineFD    = 4 // end of file when master is gone
	ReadyFD       = 5 // one byte tells master that the services are served
	LogFD         = 6 // the log file, or /dev/null
	FirstListener = 7
)

// maxSpec bounds a spec: both configuration files fit many times.
const maxSpec = 64 << 20

// File encodes s into a file that only its descriptors know.
func (s *Spec) File() (*os.File, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("spec", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "spec")
	if _, err := f.WriteAt(data, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ErrNoMaster is the error of a child that master did not start.
var ErrNoMaster = errors.New("this process must be started by master")

// Read reads the spec of this process.
func Read(f *os.File) (*Spec, error) {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, maxSpec))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoMaster, err)
	}
	s := new(Spec)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoMaster, err)
	}
	return s, nil
}
