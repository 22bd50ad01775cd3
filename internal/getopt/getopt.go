// Package getopt reads command lines as getopt(3) of POSIX does. It touches
// nothing.
package getopt

import (
	"fmt"
	"io"
	"strings"
)

// Options reads command-line options as getopt(3) of POSIX does: clustered
// flags (-fn), values attached or apart (-cDIR, -c DIR), `--` ends the
// options, and so does the first argument that is not one.
type Options struct {
	spec    string
	args    []string
	cluster string // flags of the current argument not yet returned
}

// New reads args (without the command name) by spec: each letter is an
// option, one with a value is followed by ':', or by '!' when the value must
// not be empty: it may be a shell variable that was never set.
func New(args []string, spec string) *Options {
	return &Options{spec: spec, args: args}
}

// OptionError is a wrong option. Its text is getopt's.
type OptionError struct {
	Option       byte
	MissingValue bool // else the option is not known
}

// Error makes *OptionError an error.
func (e *OptionError) Error() string {
	if e.MissingValue {
		return fmt.Sprintf("option requires an argument -- '%c'", e.Option)
	}
	return fmt.Sprintf("invalid option -- '%c'", e.Option)
}

// Next returns the next option and its value, io.EOF when there is none left,
// or an *OptionError.
func (o *Options) Next() (option byte, value string, err error) {
	if o.cluster == "" {
		if len(o.args) == 0 || len(o.args[0]) < 2 || o.args[0][0] != '-' {
			return 0, "", io.EOF
		}
		first := o.args[0]
		o.args = o.args[1:]
		if first == "--" {
			return 0, "", io.EOF
		}
		o.cluster = first[1:]
	}
	option, o.cluster = o.cluster[0], o.cluster[1:]
	at := strings.IndexByte(o.spec, option)
	if at < 0 || option == ':' || option == '!' {
		return 0, "", &OptionError{Option: option}
	}
	if at+1 == len(o.spec) || o.spec[at+1] != ':' && o.spec[at+1] != '!' {
		return option, "", nil
	}
	if o.cluster != "" {
		value, o.cluster = o.cluster, ""
		return option, value, nil
	}
	if len(o.args) == 0 || o.args[0] == "" && o.spec[at+1] == '!' {
		return 0, "", &OptionError{Option: option, MissingValue: true}
	}
	value, o.args = o.args[0], o.args[1:]
	return option, value, nil
}

// Rest returns the arguments after the options. It is valid after io.EOF.
func (o *Options) Rest() []string { return o.args }

// InCluster tells whether the next option is part of the same argument as the
// last one.
func (o *Options) InCluster() bool { return o.cluster != "" }

// Unread is what stands behind the last option in its argument.
func (o *Options) Unread() string { return o.cluster }

// Skip goes over the next n arguments.
func (o *Options) Skip(n int) { o.args = o.args[n:] }

// JoinLong makes `NAME VALUE` one argument, `NAME=VALUE`, wherever it stands,
// for a long option that getopt(3) of POSIX does not know. A name at the very
// end stays as it is.
func JoinLong(args []string, name string) []string {
	var joined []string
	for i := 0; i < len(args); i++ {
		if args[i] == name && i+1 < len(args) {
			i++
			joined = append(joined, name+"="+args[i])
		} else {
			joined = append(joined, args[i])
		}
	}
	return joined
}

// TakeLong takes the long option NAME=VALUE out of args, and tells how often it
// was there; the last value counts. NAME alone counts, too, with the value "".
func TakeLong(args []string, name string) (rest []string, value string, count int) {
	for _, a := range args {
		if v, found := strings.CutPrefix(a, name); found && (v == "" || v[0] == '=') {
			value = strings.TrimPrefix(v, "=")
			count++
		} else {
			rest = append(rest, a)
		}
	}
	return rest, value, count
}
