package host

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"posthaste/internal/config"
	"posthaste/internal/maillog"
	"posthaste/internal/system/spec"
)

// inherit takes over what master passed.
func inherit() (env *Env, lifeline, ready *os.File, err error) {
	for _, fd := range []int{spec.SpecFD, spec.LifelineFD, spec.ReadyFD, spec.LogFD} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return nil, nil, nil, spec.ErrNoMaster
		}
		unix.CloseOnExec(fd)
	}
	f := os.NewFile(spec.SpecFD, "spec")
	defer f.Close()
	env = new(Env)
	if env.Spec, err = spec.Read(f); err != nil {
		return nil, nil, nil, err
	}
	if env.Set, err = config.Decode(env.Spec.Config); err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", spec.ErrNoMaster, err)
	}
	if env.Log, err = logger(env); err != nil {
		return nil, nil, nil, err
	}
	for _, row := range env.Spec.Rows {
		if err := env.adopt(row); err != nil {
			return nil, nil, nil, fmt.Errorf("service %s %s: %w", row.Name, row.Type, err)
		}
	}
	return env, os.NewFile(spec.LifelineFD, "lifeline"), os.NewFile(spec.ReadyFD, "ready"), nil
}

// logger makes the logger of the process; services name theirs after it.
func logger(env *Env) (*maillog.Logger, error) {
	snap, err := config.New(env.Set.Main, config.NewCatalog(config.Common{}), nil)
	if err != nil {
		return nil, err
	}
	var c config.Common
	if err := snap.Bind(&c); err != nil {
		return nil, err
	}
	sink, err := Sink(&c, env.Spec.LogFile, os.NewFile(spec.LogFD, "log"))
	if err != nil {
		return nil, err
	}
	return maillog.NewBase(sink, c.SyslogName).Named(string(env.Spec.Role)), nil
}

// Sink makes the sink that maillog_file and syslog_facility ask for; file is
// the open log when useFile is set.
func Sink(c *config.Common, useFile bool, file *os.File) (maillog.Sink, error) {
	if useFile {
		return maillog.NewFile(file, c.MyHostname).Gather(), nil
	}
	return maillog.NewSyslog(maillog.SyslogSocket, c.SyslogFacility)
}

// adopt makes sockets of a row's descriptors.
func (env *Env) adopt(row spec.Row) error {
	s := Service{}
	found := row.Name == spec.Notify
	if !found {
		s.Service, found = env.Set.Master.Find(row.Name, row.Type)
	}
	if !found {
		return errors.New("not in master.cf")
	}
	for _, fd := range row.Listeners {
		unix.CloseOnExec(fd)
		if err := s.open(row.Type, os.NewFile(uintptr(fd), row.Name)); err != nil {
			return err
		}
	}
	if row.Name == spec.Notify {
		env.Notify = s.Datagrams[0]
		return nil
	}
	env.Services = append(env.Services, s)
	return nil
}

// open makes a listener of f, which it owns.
func (s *Service) open(typ string, f *os.File) error {
	switch typ {
	case "fifo":
		s.Fifos = append(s.Fifos, f)
		return nil
	case "unix-dgram":
		defer f.Close()
		c, err := net.FilePacketConn(f)
		if err != nil {
			return err
		}
		u, ok := c.(*net.UnixConn)
		if !ok {
			c.Close()
			return errors.New("not a unix datagram socket")
		}
		s.Datagrams = append(s.Datagrams, u)
		return nil
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	// The socket file belongs to master: other generations listen on it too.
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	s.Listeners = append(s.Listeners, l)
	return nil
}

// Find returns the services of a command.
func (env *Env) Find(command string) []Service {
	var out []Service
	for _, s := range env.Services {
		if s.Command == command {
			out = append(out, s)
		}
	}
	return out
}
