package user

import (
	"regexp"
	"strconv"
	"strings"

	"posthaste/internal/mail"
)

// exSoftware is EX_SOFTWARE, which also stands for a command that was killed.
const exSoftware = 70

// sysexits are the exit statuses that say something (sysexits.h), with the
// code and text that Postfix gives them.
var sysexits = map[int]struct{ code, text string }{
	64: {"5.3.0", "command line usage error"},
	65: {"5.6.0", "data format error"},
	66: {"5.3.0", "cannot open input"},
	67: {"5.1.1", "user unknown"},
	68: {"5.1.2", "host name unknown"},
	69: {"5.3.0", "service unavailable"},
	70: {"5.3.0", "internal software error"},
	71: {"4.3.0", "system resource problem"},
	72: {"5.3.0", "critical OS file missing"},
	73: {"5.2.0", "can't create user output file"},
	74: {"5.3.0", "input/output error"},
	75: {"4.3.0", "temporary failure"},
	76: {"5.5.0", "remote error in protocol"},
	77: {"5.7.0", "permission denied"},
	78: {"5.3.5", "local configuration error"},
}

// enhanced is an RFC 3463 code at the beginning of a command's output.
var enhanced = regexp.MustCompile(`^[ \t]*([45]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ \t]+|$)`)

// Status turns the outcome of a command into a delivery result. name is the
// command as shown to people; sent is the text of a success.
func (o Outcome) Status(name, sent string) mail.Status {
	output := Printable(string(o.Output))
	// What the command said is the diagnostic of programs (RFC 3464 section 2.3.6);
	// of one that said nothing it is the meaning of its exit status.
	withOutput := func(code, text, diagnostic string) mail.Status {
		if output != "" {
			diagnostic = strings.TrimRight(output, " ")
			text += ". Command output: " + output
		}
		return diagnosed(failed(code, text), diagnostic)
	}
	name = Printable(name)
	switch {
	case o.TimedOut:
		return withOutput("5.3.0", `Command time limit exceeded: "`+name+`"`, sysexits[exSoftware].text)
	case o.Signal != 0:
		return withOutput("4.3.0", "Command died with signal "+strconv.Itoa(o.Signal)+`: "`+name+`"`, sysexits[exSoftware].text)
	case o.Exit == 0:
		return mail.Sent("2.0.0", "%s", sent)
	}
	if m := enhanced.FindStringSubmatch(output); m != nil {
		text := output[len(m[0]):]
		if strings.TrimSpace(text) == "" {
			text = "Command died with status " + strconv.Itoa(o.Exit) + `: "` + name + `"`
		}
		return diagnosed(failed(m[1], text), text)
	}
	if known, ok := sysexits[o.Exit]; ok {
		return withOutput(known.code, known.text, known.text)
	}
	status := strconv.Itoa(o.Exit)
	return withOutput("5.3.0", "Command died with status "+status+`: "`+name+`"`, "unknown mail system error "+status)
}

// diagnosed makes text the diagnostic of a status, in the terms of this system.
func diagnosed(st mail.Status, text string) mail.Status {
	st.DiagType, st.DiagText = "x-unix", text
	return st
}

func failed(code, text string) mail.Status {
	if code[0] == '4' {
		return mail.Defer(code, "%s", text)
	}
	return mail.Bounce(code, "%s", text)
}

// Printable puts text on one line: a line break becomes a space, any other
// control byte '_'.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return ' '
		case r < ' ' || r == 0x7f:
			return '_'
		}
		return r
	}, s)
}
