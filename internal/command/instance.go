package command

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"posthaste/internal/config"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/system/privilege"
)

// instance is the mail system of a configuration directory, as a command sees it.
type instance struct {
	env    Env
	dir    string // of the configuration
	snap   *config.Snapshot
	common config.Common
}

// openInstance reads main.cf. dir is the value of -c, or empty.
func openInstance(env Env, dir string) (*instance, error) {
	s := &instance{env: env, dir: config.Dir(dir, env.Getenv)}
	file, err := config.ReadMain(filepath.Join(s.dir, "main.cf"))
	if err != nil {
		return nil, err
	}
	if s.snap, err = config.New(file, env.Catalog, nil); err != nil {
		return nil, err
	}
	return s, s.snap.Bind(&s.common)
}

// queue opens the queue below queue_directory.
func (s *instance) queue() (*queue.Queue, error) {
	return queue.New(queue.Options{
		FS: queue.DirFS(s.common.QueueDirectory), HashNames: s.common.HashQueueNames,
		HashDepth: s.common.HashQueueDepth, ShortIDs: !s.common.LongQueueIDs, Journal: queue.NotesOnly,
	})
}

// logger opens the mail log for a command. When the log is the standard output
// of the running system, the system is asked to write the lines.
func (s *instance) logger() (*maillog.Logger, error) {
	sink, err := s.sink()
	if err != nil {
		return nil, err
	}
	return maillog.NewBase(sink, s.common.SyslogName).Named(s.env.Name()), nil
}

func (s *instance) sink() (maillog.Sink, error) {
	switch s.common.MaillogFile {
	case "":
		return maillog.NewSyslog(maillog.SyslogSocket, s.common.SyslogFacility)
	case "/dev/stdout":
		socket := filepath.Join(s.common.QueueDirectory, "public/postlog")
		return maillog.NewPostlog(socket, s.common.MyHostname), nil
	}
	file, err := maillog.OpenFile(s.common.MaillogFile)
	if err != nil {
		return nil, err
	}
	return maillog.NewFile(file, s.common.MyHostname), nil
}

// errSuperuser is Postfix's refusal.
var errSuperuser = errors.New("use of this command is reserved for the superuser")

// superuser fails unless the command is run by root or, for a mail system that
// runs without root, by the user that it belongs to.
func (s *instance) superuser() error {
	if os.Geteuid() == 0 {
		return nil
	}
	st, err := os.Stat(s.common.QueueDirectory)
	if err != nil {
		return err
	}
	if own, ok := st.Sys().(*syscall.Stat_t); !ok || int(own.Uid) != os.Geteuid() {
		return errSuperuser
	}
	return nil
}

// becomeOwner makes a command that root started run as mail_owner from here
// on, as the files of the queue must belong to.
func (s *instance) becomeOwner() error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := privilege.Lookup(s.common.MailOwner)
	if err != nil {
		return err
	}
	_, err = privilege.Drop{User: &u, NoNewPrivileges: true}.Apply()
	return err
}
