package command

import "posthaste/internal/getopt"

// Options reads command-line options.
type Options = getopt.Options

// OptionError is a wrong option.
type OptionError = getopt.OptionError

// NewOptions reads args (without the command name) by a specification of
// getopt(3).
func NewOptions(args []string, spec string) *Options { return getopt.New(args, spec) }
