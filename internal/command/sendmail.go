package command

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
)

// exitTempFail is the status of every failure of sendmail, as in Postfix: the
// caller keeps the message and may try again (EX_TEMPFAIL of sysexits(3)).
const exitTempFail = 75

// sendmailMode is what sendmail is asked to do.
type sendmailMode uint8

const (
	modeSubmit sendmailMode = iota
	modeList
	modeFlush
	modeFlushID
	modeFlushSite
	modeAliases
	modeDaemon
	modeStandAlone
	modeNothing
)

// modeName begins the message about recipients where none may be.
var modeName = map[sendmailMode]string{
	modeList: "display queue mode", modeFlush: "flush queue mode", modeFlushID: "flush queue_id",
	modeFlushSite: "flush site", modeAliases: "alias initialization mode", modeDaemon: "daemon mode",
	modeStandAlone: "stand-alone mode",
}

// sendmail is one run of sendmail(1).
type sendmail struct {
	env       Env
	configDir string
	commands  string // command_directory
	p         sendmailParams

	mode       sendmailMode
	target     string // of a flush
	verbose    int
	extract    bool    // -t
	verify     bool    // -bv
	allDots    bool    // -i: a lone dot does not end the message
	sender     *string // -f
	fullName   *string // -F
	envelope   mail.Envelope
	notify     mail.Notify
	recipients []string // arguments

	warned []string // for the log, which is known when the options are read
}

// warn tells standard error and, at the end, the log.
func (s *sendmail) warn(format string, args ...any) {
	s.env.Warn(format, args...)
	s.warned = append(s.warned, visible(fmt.Sprintf(format, args...)))
}

// Sendmail is sendmail(1): it takes a message from standard input to postdrop,
// or calls the command that does what its options ask for. Its exit status is
// 0 or 75, or that of the other command.
func Sendmail(env Env) int {
	s := sendmail{env: env}
	code, err := s.run()
	if log := s.warned; len(log) > 0 {
		to := s.log()
		for _, text := range log {
			to.Warning("%s", text)
		}
	}
	if err != nil {
		var bad *OptionError
		if errors.As(err, &bad) {
			fmt.Fprintf(env.Stderr, "%s: %v\n", env.Name(), bad)
			err = fmt.Errorf("usage: %s [options]", env.Name())
		}
		env.Fatal("%s", visible(err.Error()))
		s.log().Fatal("%s", visible(err.Error()))
		return exitTempFail
	}
	return code
}

// log is the mail log, in which an administrator finds why a program's mail was
// not taken; nil when the user has no right to it.
func (s *sendmail) log() *maillog.Logger {
	inst, err := openInstance(s.env, s.configDir)
	if err != nil {
		return nil
	}
	sink, err := inst.sink()
	if err != nil {
		return nil
	}
	return maillog.NewBase(sink, inst.common.SyslogName).Named("sendmail") // also when called as mailq
}

func (s *sendmail) run() (int, error) {
	if s.env.Name() == "mailq" {
		s.mode = modeList
	}
	if err := s.readOptions(); err != nil {
		return 0, err
	}
	if s.mode == modeNothing {
		return 0, nil
	}
	if name := modeName[s.mode]; name != "" && len(s.recipients) > 0 {
		return 0, fmt.Errorf("%s requires no recipient", name)
	}
	if s.mode == modeAliases {
		return Newaliases(s.env), nil
	}
	if err := s.readConfig(); err != nil {
		return 0, err
	}
	verbose := strings.Fields(strings.Repeat(" -v", s.verbose))
	switch s.mode {
	case modeList:
		return s.call("postqueue", append([]string{"-p"}, verbose...)...)
	case modeFlush:
		return s.call("postqueue", append([]string{"-f"}, verbose...)...)
	case modeFlushID:
		return s.call("postqueue", append([]string{"-i", s.target}, verbose...)...)
	case modeFlushSite:
		return s.call("postqueue", append([]string{"-s", s.target}, verbose...)...)
	case modeDaemon:
		return s.call("postfix", append(verbose, "start")...)
	case modeStandAlone:
		return 0, s.standAlone()
	}
	return 0, s.submit()
}

// call runs another command in our place and returns its exit status.
func (s *sendmail) call(name string, args ...string) (int, error) {
	cmd := s.command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.env.Stdin, s.env.Stdout, s.env.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil
	case errors.As(err, &exit):
		return 0, fmt.Errorf("%s was ended by a signal: %s", name, err)
	}
	return 0, fmt.Errorf("execv %s: %s", cmd.Path, errnoText(err))
}

// command prepares another command of command_directory. It gets a small
// environment: what ours holds is not known to be harmless.
func (s *sendmail) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.commands, name), args...)
	cmd.Env = []string{"MAIL_CONFIG=" + s.configDir, "LANG=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if zone := s.env.Getenv("TZ"); zone != "" {
		cmd.Env = append(cmd.Env, "TZ="+zone)
	}
	return cmd
}

func (s *sendmail) readConfig() error {
	dir := config.Dir(s.configDir, s.env.Getenv)
	file, err := config.ReadMain(filepath.Join(dir, "main.cf"))
	if err != nil {
		return err
	}
	snap, err := config.New(file, s.env.Catalog, nil)
	if err != nil {
		return err
	}
	if s.configDir, err = filepath.Abs(dir); err != nil {
		return err
	}
	s.commands, _ = snap.Get("command_directory")
	return s.p.bind(snap)
}

// mainFileDir is the directory meant by -C, which may name main.cf itself.
func mainFileDir(path string) string {
	if st, err := os.Stat(path); err == nil && !st.IsDir() || filepath.Base(path) == "main.cf" {
		return filepath.Dir(path)
	}
	return path
}
