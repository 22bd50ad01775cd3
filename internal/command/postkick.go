package command

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"posthaste/internal/ipc"
	"posthaste/internal/table"
)

const postkickUsage = "[-c config_dir] [-v] class service request"

// Postkick is postkick(1): it sends a request, one letter per wish, to a
// service of the running mail system.
func Postkick(env Env) int {
	dir := ""
	opts := NewOptions(env.arguments(), "c!v")
	option, value, err := opts.Next()
	for ; err == nil; option, value, err = opts.Next() {
		if option == 'c' {
			dir = value
		}
	}
	if !errors.Is(err, io.EOF) || len(opts.Rest()) != 3 {
		return env.Usage(err, postkickUsage)
	}
	class, service, request := opts.Rest()[0], opts.Rest()[1], opts.Rest()[2]
	s, err := openInstance(env, dir)
	if err != nil {
		return env.Fatal("%v", err)
	}
	if err := ipc.Trigger(filepath.Join(s.common.QueueDirectory, class, service), request, ipc.TriggerTime); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			env.Warn("unable to look up %s/%s: %s", class, service, table.ErrorText(err))
		}
		env.Warn("Cannot contact class %s service %s - perhaps the mail system is down", class, service)
		return 1
	}
	return 0
}
