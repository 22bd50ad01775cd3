package command

import (
	"errors"
	"strings"
)

// Postmap is postmap(1): it writes, changes and asks lookup tables. Its exit
// status is 0 for success, or when a key was found, else 1.
func Postmap(env Env) int {
	return runTableTool(env, tableTool{
		options: "bc!d:fFhijmnNopq:rsuUvw",
		usage:   "[-bfFhijmnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
	})
}

// Postalias is postalias(1): postmap for sources in the form of aliases(5).
func Postalias(env Env) int {
	return runTableTool(env, tableTool{
		options: "c!d:fFijnNopq:rsuvw",
		usage:   "[-fFijnNoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
		aliases: true,
	})
}

// runTableTool reads the command line, does the work and reports a failure.
func runTableTool(env Env, tool tableTool) int {
	tool.env = env
	found, err := tool.run()
	var option *OptionError
	switch {
	case errors.As(err, &option), errors.Is(err, errNoTable):
		return env.Usage(err, tool.usage)
	case err != nil:
		return env.Fatal("%s", visible(err.Error()))
	case !found:
		return 1
	}
	return 0
}

// run returns false when keys were asked for and none was found.
func (t *tableTool) run() (bool, error) {
	specs, err := t.readOptions()
	if err != nil {
		return false, err
	}
	if err := t.readConfig(); err != nil {
		return false, err
	}
	for i, spec := range specs {
		if !strings.Contains(spec, ":") {
			specs[i] = t.defaultType + ":" + spec
		}
	}
	switch {
	case t.deleteKey != nil:
		return t.deleteAll(specs)
	case t.queryKey != nil:
		return t.queryAll(specs)
	case t.list:
		return true, t.listAll(specs)
	}
	for _, spec := range specs {
		if err := t.update(spec); err != nil {
			return false, err
		}
		if t.incremental {
			break // standard input is for the first table
		}
	}
	return true, nil
}
