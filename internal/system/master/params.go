package master

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"posthaste/internal/config"
)

// Params are the main.cf parameters of master.
type Params struct {
	Common       config.Common
	Disabled     []string `cf:"master_service_disable" default:"" doc:"Rows of master.cf that are not served: a type, or name/type."`
	LogPrefixes  []string `cf:"maillog_file_prefixes" default:"/var, /dev/stdout" doc:"Where maillog_file may be."`
	LogMode      string   `cf:"maillog_file_permissions" default:"0600" doc:"Mode of a log file that is created: 0600, 0640 or 0644."`
	LogSuffix    string   `cf:"maillog_file_rotate_suffix" default:"%Y%m%d-%H%M%S" doc:"Appended to the name of a log file that is put away, as for strftime(3)."`
	Compressor   string   `cf:"maillog_file_compressor" default:"gzip" doc:"Program that compresses such a file."`
	Ports        string   `cf:"known_tcp_ports" default:"lmtp=24, smtp=25, smtps=submissions=465, submission=587" doc:"Names of ports that are known without services(5)."`
	ImportEnv    []string `cf:"import_environment" default:"MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME XDG_RUNTIME_DIR" doc:"Environment that processes inherit: name, or name=value."`
	ThrottleTime string   `cf:"service_throttle_time" default:"60s" doc:"Longest pause before a process that keeps failing is started again."`
}

// disabled tells whether master_service_disable names a row: a type alone,
// or name/type; also the older form name.type.
func (p *Params) disabled(s config.Service) bool {
	return slices.ContainsFunc(p.Disabled, func(item string) bool {
		return item == s.Type || item == s.Name+"/"+s.Type || item == s.Name+"."+s.Type
	})
}

// port returns the number of a port: a number, a known name, or a name the
// system knows.
func (p *Params) port(name string, system func(string) (int, error)) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 16); err == nil {
		return int(n), nil
	}
	for _, item := range config.SplitList(p.Ports) {
		names := strings.Split(item, "=")
		if i := slices.Index(names, name); i >= 0 && i < len(names)-1 {
			n, err := strconv.ParseUint(names[len(names)-1], 10, 16)
			if err != nil {
				return 0, fmt.Errorf("parameter known_tcp_ports: bad port in %q", item)
			}
			return int(n), nil
		}
	}
	return system(name)
}

// logMode is maillog_file_permissions.
func (p *Params) logMode() (os.FileMode, error) {
	switch p.LogMode {
	case "0600", "600":
		return 0o600, nil
	case "0640", "640":
		return 0o640, nil
	case "0644", "644":
		return 0o644, nil
	}
	return 0, fmt.Errorf("parameter maillog_file_permissions: bad value %q: want 0600, 0640 or 0644", p.LogMode)
}

// owner is who the queue belongs to. Without root everything belongs to
// whoever runs it.
type owner struct {
	root     bool
	uid, gid int // mail_owner
	drop     int // setgid_group
}

func (p *Params) owner(root bool) (owner, error) {
	if !root {
		return owner{uid: os.Geteuid(), gid: os.Getegid(), drop: os.Getegid()}, nil
	}
	u, err := user.Lookup(p.Common.MailOwner)
	if err != nil {
		return owner{}, fmt.Errorf("file main.cf: parameter mail_owner: unknown user name value: %s", p.Common.MailOwner)
	}
	g, err := user.LookupGroup(p.Common.SetgidGroup)
	if err != nil {
		return owner{}, fmt.Errorf("file main.cf: parameter setgid_group: unknown group name: %s", p.Common.SetgidGroup)
	}
	o := owner{root: true}
	for _, n := range []struct {
		text string
		to   *int
	}{{u.Uid, &o.uid}, {u.Gid, &o.gid}, {g.Gid, &o.drop}} {
		if *n.to, err = strconv.Atoi(n.text); err != nil {
			return owner{}, fmt.Errorf("parameter mail_owner: bad id %q of user %s", n.text, p.Common.MailOwner)
		}
	}
	if o.uid == 0 {
		return owner{}, fmt.Errorf("file main.cf: parameter mail_owner: user %s has the id of the super-user", p.Common.MailOwner)
	}
	return o, nil
}

// environment is what import_environment leaves of env.
func (p *Params) environment(env []string) []string {
	out := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, item := range p.ImportEnv {
		if strings.Contains(item, "=") {
			out = append(out, item)
			continue
		}
		for _, e := range env {
			if strings.HasPrefix(e, item+"=") {
				out = append(out, e)
			}
		}
	}
	return out
}
