package command

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"posthaste/internal/mail"
)

// readOptions reads the command line.
func (s *sendmail) readOptions() error {
	o := NewOptions(s.env.arguments(), sendmailOptions)
	for {
		if !o.InCluster() && s.special(o) {
			continue
		}
		flag, value, err := o.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = s.set(flag, value)
		}
		if err != nil {
			return err
		}
	}
	s.recipients = o.Rest()
	if s.verify {
		for _, other := range []struct {
			flag  string
			given bool
		}{
			{"-t", s.extract}, {"-N", s.notify != 0}, {"-R", s.envelope.Return != 0}, {"-v", s.verbose > 0},
		} {
			if other.given {
				return fmt.Errorf("%s option cannot be used with -bv", other.flag)
			}
		}
	}
	return nil
}

// special takes arguments that getopt cannot: -q alone, and -V as it was
// before it meant the envelope id.
func (s *sendmail) special(o *Options) bool {
	args := o.Rest()
	if len(args) == 0 {
		return false
	}
	old := func(shown, now string) {
		s.warn("option %s is deprecated with Postfix 2.3; specify %s instead", shown, now)
	}
	switch first := args[0]; {
	case first == "-q":
		if s.mode == modeDaemon {
			s.warn("ignoring -q option in daemon mode")
		} else {
			s.mode = modeFlush
		}
	case first == "-V" && len(args) > 1 && len(args[1]) == 2:
		old("-V", "-XV")
		s.envelope.VERP = defaultVERP
	case len(first) == 4 && strings.HasPrefix(first, "-V"):
		old(first, "-X"+first[1:])
		s.envelope.VERP = first[2:]
	case first == "-XV":
		s.envelope.VERP = defaultVERP
	default:
		return false
	}
	o.Skip(1)
	return true
}

// defaultVERP stands for default_verp_delimiters until that is read.
const defaultVERP = "\x00"

func (s *sendmail) set(flag byte, value string) error {
	switch flag {
	case 'n':
		return errors.New("-n option not supported")
	case 'B':
		return s.setBody(value)
	case 'b':
		return s.setMode(value)
	case 'C':
		s.configDir = mainFileDir(value)
	case 'F':
		s.fullName = &value
	case 'f', 'r':
		s.sender = &value
	case 'G':
		s.envelope.Origin.Remote = true
	case 'I':
		s.mode = modeAliases
	case 'i':
		s.allDots = true
	case 'N':
		s.setNotify(value)
	case 'o':
		switch value {
		case "i":
			s.allDots = true
		case "A":
			return errors.New("-oA requires pathname")
		}
	case 'q':
		return s.setQueue(value)
	case 'R':
		switch strings.ToLower(value) {
		case "full":
			s.envelope.Return = mail.ReturnFull
		case "hdrs":
			s.envelope.Return = mail.ReturnHeaders
		default:
			s.warn("bad -R option value -- ignored")
		}
	case 't':
		s.extract = true
	case 'V':
		s.setEnvelopeID(value)
	case 'v':
		s.verbose++
	case 'X':
		if !strings.HasPrefix(value, "V") {
			return fmt.Errorf("unsupported: -X%.1s", value)
		}
		s.envelope.VERP = value[1:]
	}
	return nil
}

func (s *sendmail) setBody(value string) error {
	switch value {
	case "8BITMIME":
		s.envelope.Encoding = mail.Encoding8Bit
	case "7BIT":
		s.envelope.Encoding = mail.Encoding7Bit
	default:
		return errors.New("-B option needs 8BITMIME or 7BIT")
	}
	return nil
}

func (s *sendmail) setMode(value string) error {
	switch value[:min(1, len(value))] {
	case "d", "l":
		if s.mode == modeFlush {
			s.warn("ignoring -q option in daemon mode")
		}
		s.mode = modeDaemon
	case "h", "H":
		s.mode = modeNothing
	case "i":
		s.mode = modeAliases
	case "m":
		s.mode = modeSubmit
	case "p":
		s.mode = modeList
	case "s":
		s.mode = modeStandAlone
	case "v":
		s.mode, s.verify = modeSubmit, true
	default:
		return fmt.Errorf("unsupported: -b%.1s", value)
	}
	return nil
}

func (s *sendmail) setQueue(value string) error {
	first, rest := byte(0), ""
	if value != "" {
		first, rest = value[0], value[1:]
	}
	switch {
	case first >= '0' && first <= '9':
		if s.mode != modeDaemon {
			s.mode = modeNothing
		}
	case first == 'I' && rest == "":
		return errors.New("specify: -qIqueueid")
	case first == 'I':
		s.mode, s.target = modeFlushID, rest
	case first == 'R' && rest == "":
		return errors.New("specify: -qRsitename")
	case first == 'R':
		s.mode, s.target = modeFlushSite, rest
	default:
		return fmt.Errorf("-q%.1s is not implemented", value)
	}
	return nil
}

// setNotify reads the value of -N (RFC 3461 section 4.1).
func (s *sendmail) setNotify(value string) {
	bits := map[string]mail.Notify{"never": mail.NotifyNever, "success": mail.NotifySuccess,
		"failure": mail.NotifyFailure, "delay": mail.NotifyDelay}
	var notify mail.Notify
	for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		bit := bits[strings.ToLower(word)]
		if bit == 0 {
			s.warn("unknown DSN NOTIFY command value \"%s\" in \"%s\"", word, value)
			notify = 0
			break
		}
		notify |= bit
	}
	if notify == 0 || notify&mail.NotifyNever != 0 && notify != mail.NotifyNever {
		s.warn("bad -N option value -- ignored")
		return
	}
	s.notify = notify
}

// maxEnvelopeID is the longest ENVID (RFC 3461 section 4.4).
const maxEnvelopeID = 100

func (s *sendmail) setEnvelopeID(value string) {
	switch {
	case len(value) > maxEnvelopeID:
		s.warn("too long -V option value -- ignored")
	case value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }):
		s.warn("bad syntax in -V option value -- ignored")
	default:
		s.envelope.EnvelopeID = value
	}
}
