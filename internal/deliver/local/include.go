package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
	"posthaste/internal/table"
)

// maxList is how large an :include: or .forward file may be, in bytes.
const maxList = 4 << 20

// include expands an :include: file. It is read, and its commands and files
// are used, with the rights of whoever wrote it: the user whose .forward named
// it, or the owner of the file.
func (j *job) include(ctx context.Context, p place, path string) {
	if slices.Contains(p.includes, path) || len(p.includes) >= maxDepth {
		j.deps.Log.Warning(":include: loop for file %s", path)
		j.add(p, mail.Bounce("5.4.6", ":include: loop for %s", p.local))
		return
	}
	j.once(p, ":include:"+path, func() { j.expandInclude(ctx, p, path) })
}

func (j *job) expandInclude(ctx context.Context, p place, path string) {
	misconfigured := func(format string, args ...any) {
		j.deps.Log.Warning(format, args...)
		j.add(p, mail.Bounce("5.3.5", "mail system configuration error"))
	}
	if !strings.HasPrefix(path, "/") {
		misconfigured(":include:%s uses a relative path", path)
		return
	}
	file, fault, err := j.readInclude(ctx, &p, path)
	switch {
	case err != nil:
		j.deps.Log.Warning("unable to read :include: file %s: %v", path, err)
		j.add(p, mail.Defer("4.3.5", "mail system configuration error"))
		return
	case fault != "":
		misconfigured("%s", fault)
		return
	case !file.Found:
		misconfigured("unable to lookup :include: file %s: No such file or directory", path)
		return
	case !file.Regular():
		misconfigured(":include: file %s is not a regular file", path)
		return
	case file.Mode&0o002 != 0:
		misconfigured(":include: file %s is world writable", path)
		return
	case !file.Whole:
		misconfigured(":include: file %s is larger than %d bytes", path, maxList)
		return
	}
	p.from = include
	p.includes = append(slices.Clip(p.includes), path)
	list := splitDestinations(string(file.Data))
	if len(list) > 0 {
		j.expand(ctx, p, list)
	}
}

// readInclude reads the file with the right rights and sets p's to those its
// destinations get. fault is a mistake of the administrator's.
func (j *job) readInclude(ctx context.Context, p *place, path string) (file mailbox.File, fault string, err error) {
	if p.account != nil {
		file, err = j.deps.Worker.Read(ctx, p.account.ID, path, maxList)
		return file, "", err
	}
	// An alias may name the list by a link; a list of a user is read as that
	// user, so a link of the user's leads nowhere the user could not go.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	st, err := os.Stat(path)
	if err != nil {
		if os.IsNotExist(err) {
			return file, "", nil
		}
		return file, "unable to lookup :include: file " + path + ": " + table.ErrorText(err), nil
	}
	rights, err := j.rightsOf(ctx, ownerOf(st))
	if err != nil {
		return file, ":include: file " + path + ": " + err.Error(), nil
	}
	p.owner = &rights
	if ownerOf(st) != 0 && os.Geteuid() != int(ownerOf(st)) {
		file, err = j.deps.Worker.Read(ctx, rights, path, maxList)
	} else {
		file, err = mailbox.ReadFile(path, maxList)
	}
	if err == nil && file.Found && file.Regular() && file.UID != ownerOf(st) {
		// Swapped between the look and the read: the rights would not fit.
		return mailbox.File{}, "", errors.New("file has been replaced while it was read")
	}
	return file, "", err
}
