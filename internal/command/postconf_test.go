package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"posthaste/internal/config"
)

const postconfMain = `# comment
myhostname = host.example.com
mydestination = $myhostname, localhost.$mydomain,
  # within
	localhost
unused_param = foo
used_macro = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = $used_macro, check_recipient_access hash:/etc/postfix/xx, reject_unauth_destination, reject_unknown_recipient_domain
smtpd_timeout=30
smtpd_timeout=40
smtpd_client_restrictions =
slow_destination_concurrency_limit = 3
mua_client_restrictions = permit
`

const postconfMaster = `# comment
smtp      inet  n       -       y       -       -       smtpd
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
# within
  -o smtpd_client_restrictions=$mua_client_restrictions
  -o { smtpd_sender_restrictions = permit_mynetworks, reject }
  -o bogus_thing=1
slow      unix  -       -       n       -       10      smtp -v -o smtp_connect_timeout=5
127.0.0.1:10025 inet n - - 300? - smtpd
maildrop  unix  -       n       n       -       -       pipe
  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient} { a  b }
`

// site is a configuration directory for postconf.
type site struct {
	t   *testing.T
	dir string
}

func newSite(t *testing.T, main, master string) site {
	t.Helper()
	s := site{t, t.TempDir()}
	for name, text := range map[string]string{"main.cf": main, "master.cf": master} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// postconf runs the command and returns all its output, the directory written
// as DIR, standard error first.
func (s site) postconf(args ...string) string {
	s.t.Helper()
	var out, errs bytes.Buffer
	status := Postconf(Env{
		Args: append([]string{"/usr/sbin/postconf", "-c", s.dir}, args...), Stdin: strings.NewReader(""),
		Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" },
		Catalog: config.NewCatalog(config.Common{}), TableTypes: []string{"hash", "static"},
	})
	text := strings.ReplaceAll(errs.String()+out.String(), s.dir, "DIR")
	if fatal := strings.Contains(errs.String(), "postconf: fatal: "); fatal != (status != 0) {
		s.t.Errorf("%q: exit status %d with %s", args, status, text)
	}
	return text
}

func (s site) file(name string) string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

const (
	overriding    = "postconf: warning: DIR/main.cf, line 10: overriding earlier entry: smtpd_timeout=30\n"
	mainUnused    = "postconf: warning: DIR/main.cf: unused parameter: unused_param=foo\n"
	masterUnused  = "postconf: warning: DIR/master.cf: unused parameter: bogus_thing=1\n"
	mainWarnings  = overriding + mainUnused + masterUnused
	shownSettings = `config_directory = DIR
mua_client_restrictions = permit
mydestination = $myhostname, localhost.$mydomain, localhost
myhostname = host.example.com
slow_destination_concurrency_limit = 3
smtpd_client_restrictions =
smtpd_recipient_restrictions = $used_macro, check_recipient_access hash:/etc/postfix/xx, reject_unauth_destination, reject_unknown_recipient_domain
smtpd_timeout = 40
used_macro = permit_sasl_authenticated, reject
`
)

// The expected output is Postfix's.
func TestPostconfShow(t *testing.T) {
	s := newSite(t, postconfMain, postconfMaster)
	submission := "smtpd -o syslog_name=postfix/submission -o smtpd_client_restrictions=$mua_client_restrictions" +
		" -o {smtpd_sender_restrictions=permit_mynetworks, reject} -o bogus_thing=1"
	for _, test := range []struct{ args, want string }{
		{"-n", mainWarnings + shownSettings},
		{"-nq", overriding + shownSettings},
		{"-nx mydestination", mainWarnings + "mydestination = host.example.com, localhost.example.com, localhost\n"},
		{"-x -o myhostname=zz.example mydestination", mainWarnings + "mydestination = zz.example, localhost.example, localhost\n"},
		{"-f smtpd_recipient_restrictions", mainWarnings + "smtpd_recipient_restrictions = $used_macro, check_recipient_access\n" +
			"    hash:/etc/postfix/xx, reject_unauth_destination,\n    reject_unknown_recipient_domain\n"},
		{"-C user", mainWarnings + "mua_client_restrictions = permit\nused_macro = permit_sasl_authenticated, reject\n"},
		{"-h myhostname relayhost", mainWarnings + "host.example.com\n\n"},
		{"-H myhostname", mainWarnings + "myhostname\n"},
		{"-n relayhost", mainWarnings},
		{"foo slow_recipient_limit maildrop_time_limit", overriding + "postconf: warning: foo: unknown parameter\n" + mainUnused + masterUnused +
			"slow_recipient_limit = $default_recipient_limit\nmaildrop_time_limit = $command_time_limit\n"},
		{"-x slow_recipient_limit", mainWarnings + "slow_recipient_limit = 20000\n"},
		{"-d mydestination config_directory", "mydestination = $myhostname, localhost.$mydomain, localhost\nconfig_directory = /etc/postfix\n"},
		{"-df smtpd_relay_restrictions", "smtpd_relay_restrictions = ${{$compatibility_level} <level {1} ? {} :\n" +
			"    {permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination}}\n"},
		{"-M submission slow", overriding + masterUnused + "submission inet  n       -       y       -       -       " + submission + "\n" +
			"slow       unix  -       -       n       -       10      smtp -v -o smtp_connect_timeout=5\n"},
		{"-Mx submission/*", overriding + masterUnused + "submission inet  n       -       y       -       -       " +
			strings.Replace(submission, "$mua_client_restrictions", "permit", 1) + "\n"},
		{"-Mf", overriding + masterUnused + `smtp       inet  n       -       y       -       -       smtpd
submission inet  n       -       y       -       -       smtpd
    -o syslog_name=postfix/submission
    -o smtpd_client_restrictions=$mua_client_restrictions
    -o {smtpd_sender_restrictions=permit_mynetworks, reject}
    -o bogus_thing=1
slow       unix  -       -       n       -       10      smtp -v
    -o smtp_connect_timeout=5
127.0.0.1:10025 inet n   -       -       300?    -       smtpd
maildrop   unix  -       n       n       -       -       pipe flags=DRXhu
    user=vmail argv=/usr/bin/maildrop -d ${recipient} {a  b}
`},
		{"-F slow", overriding + masterUnused + `slow/unix/service = slow
slow/unix/type = unix
slow/unix/private = -
slow/unix/unprivileged = -
slow/unix/chroot = n
slow/unix/wakeup = -
slow/unix/process_limit = 10
slow/unix/command = smtp -v -o smtp_connect_timeout=5
`},
		{"-Fh */*/wakeup", overriding + masterUnused + "-\n-\n-\n300?\n-\n"},
		{"-FH smtp/inet/chroot nope", overriding + `postconf: warning: unmatched request: "nope"` + "\n" + masterUnused + "smtp/inet/chroot\n"},
		{"-P", overriding + masterUnused + `submission/inet/bogus_thing = 1
submission/inet/smtpd_client_restrictions = $mua_client_restrictions
submission/inet/smtpd_sender_restrictions = permit_mynetworks, reject
submission/inet/syslog_name = postfix/submission
slow/unix/smtp_connect_timeout = 5
`},
		{"-Ph submission/inet/syslog_name", overriding + masterUnused + "postfix/submission\n"},
		{"-m", "hash\nstatic\n"},
		{"-l", "flock\nfcntl\ndotlock\n"},
	} {
		if diff := cmp.Diff(test.want, s.postconf(strings.Fields(test.args)...)); diff != "" {
			t.Errorf("postconf %s (-want +got):\n%s", test.args, diff)
		}
	}
}

func TestPostconfErrors(t *testing.T) {
	s := newSite(t, "myhostname = a.example\n", "smtp inet n - n - - smtpd\n")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-Z"}, "postconf: invalid option -- 'Z'\npostconf: fatal: usage: postconf "},
		{[]string{"-nd"}, "fatal: specify one of -d -n\n"},
		{[]string{"-X", "a=b"}, "fatal: specify one of -e -X\n"},
		{[]string{"-hH"}, "fatal: specify one of -h -H\n"},
		{[]string{"-MF"}, "fatal: specify one of -F -M\n"},
		{[]string{"-fX", "a"}, "fatal: specify one of -f -X\n"},
		{[]string{"-Mn"}, "fatal: with option -M, do not specify -n\n"},
		{[]string{"-P#", "a/b/c"}, "fatal: with option -P, do not specify -#\n"},
		{[]string{"-C", "builtin,foo"}, `fatal: unknown -C option value "foo" in "builtin,foo"` + "\n"},
		{[]string{"-n", "-o", "foo"}, "fatal: invalid parameter override: foo: missing '=' after attribute name\n"},
		{[]string{"-e"}, "fatal: -e requires name=value argument\n"},
		{[]string{"-MX"}, "fatal: missing service argument\n"},
		{[]string{"-e", "mydestination"}, `fatal: missing '=' after attribute name: "mydestination"` + "\n"},
		{[]string{"-e", "a=b\nc"}, "fatal: -e, -X, or -# accepts no multi-line input\n"},
		{[]string{"-#", "#a"}, "fatal: -e, -X, or -# accepts no comment input\n"},
		{[]string{"-M", "a/b/c"}, "fatal: -M option requires service_name[/type]\n"},
		{[]string{"-F", "smtp/inet/foo"}, `fatal: invalid service attribute name: "foo"` + "\n"},
		{[]string{"-M#", "foo"}, "fatal: -Me, -MX or -M# requires service_name/type\n"},
		{[]string{"-Me", "smtp/inet=smtp inet n"}, `fatal: bad field count: "smtp inet n"` + "\n"},
		{[]string{"-Me", "*/inet=smtp inet n - n - - smtpd"}, "accepts no wildcard"},
		{[]string{"-F", "smtp/chroot=n"}, "fatal: -Fe or -FX requires service_name/type/field_name\n"},
		{[]string{"-F", "smtp/inet/chroot=z"}, `fatal: invalid chroot field "z"`},
		{[]string{"-P", "smtp/foo=n"}, "fatal: -Pe or -PX requires service_name/type/parameter\n"},
		{[]string{"-P", "smtp/inet/a=b c"}, "fatal: -Pe does not accept whitespace in parameter value\n"},
		{[]string{"-F", "nope/inet/chroot=n"}, `warning: unmatched service_name/type: "nope/inet/chroot=n"` + "\n"},
	} {
		if got := s.postconf(test.args...); !strings.Contains(got, test.want) {
			t.Errorf("postconf %q: %s, want %s", test.args, got, test.want)
		}
	}
	if s.file("main.cf") != "myhostname = a.example\n" || s.file("master.cf") != "smtp inet n - n - - smtpd\n" {
		t.Errorf("a file has changed:\n%s%s", s.file("main.cf"), s.file("master.cf"))
	}
}

func TestPostconfEdit(t *testing.T) {
	const replacedHead = "submission inet  n       -       y       -       -       smtpd\n"
	rest := "    -o smtpd_client_restrictions=$mua_client_restrictions\n" +
		"    -o {smtpd_sender_restrictions=permit_mynetworks, reject}\n    -o bogus_thing=1\n"
	before, after, _ := strings.Cut(postconfMaster, "submission inet")
	_, after, _ = strings.Cut(after, "bogus_thing=1\n")
	withRow := func(row string) string { return before + row + "# within\n" + after }
	for _, test := range []struct {
		args         []string
		main, master string // empty: not changed
		out          string
	}{
		{[]string{"relayhost = [mx.example]:25", "mua_client_restrictions="},
			strings.Replace(postconfMain, "restrictions = permit\n", "restrictions = \n", 1) + "relayhost = [mx.example]:25\n", "", ""},
		{[]string{"-e", "smtpd_timeout=5s"},
			strings.NewReplacer("smtpd_timeout=30", "smtpd_timeout = 5s", "smtpd_timeout=40", "smtpd_timeout = 5s").Replace(postconfMain), "",
			"postconf: warning: DIR/main.cf: multiple entries for \"smtpd_timeout\"\n"},
		{[]string{"-#", "mydestination"},
			strings.NewReplacer("mydestination =", "#mydestination =", "\tlocal", "#\tlocal").Replace(postconfMain), "", ""},
		{[]string{"-X", "unused_param"}, strings.Replace(postconfMain, "unused_param = foo\n", "", 1), "", ""},
		{[]string{"-M", "submission/inet=submission inet n - n - 5 smtpd -o a=b"}, "",
			withRow("submission inet  n       -       n       -       5       smtpd\n    -o a=b\n"), ""},
		{[]string{"-MX", "submission/*"}, "", withRow(""), ""},
		{[]string{"-F", "submission/inet/chroot=n"}, "",
			withRow(strings.Replace(replacedHead, "y", "n", 1) + "    -o syslog_name=postfix/submission\n" + rest), ""},
		{[]string{"-P", "submission/inet/syslog_name=x", "submission/inet/new="}, "",
			withRow(replacedHead + "    -o syslog_name=x\n" + rest + "    -o new=\n"), ""},
		{[]string{"-PX", "submission/inet/syslog_name", "submission/inet/none"}, "", withRow(replacedHead + rest), ""},
	} {
		s := newSite(t, postconfMain, postconfMaster)
		if diff := cmp.Diff(test.out, s.postconf(test.args...)); diff != "" {
			t.Errorf("postconf %q: output %s", test.args, diff)
		}
		if test.main == "" {
			test.main = postconfMain
		}
		if test.master == "" {
			test.master = postconfMaster
		}
		if diff := cmp.Diff(test.main, s.file("main.cf")); diff != "" {
			t.Errorf("postconf %q: main.cf %s", test.args, diff)
		}
		if diff := cmp.Diff(test.master, s.file("master.cf")); diff != "" {
			t.Errorf("postconf %q: master.cf %s", test.args, diff)
		}
	}
}

// postconf is the tool to mend a configuration, so it works with broken ones.
func TestPostconfBroken(t *testing.T) {
	s := newSite(t, "smtpd_banner = ${x\nrelayhost = $smtpd_banner\n", "")
	if got, want := s.postconf("smtpd_banner"), "smtpd_banner = ${x\n"; got != want {
		t.Errorf("got %s", got)
	}
	if got := s.postconf("-x", "relayhost"); !strings.Contains(got, `DIR/main.cf, line 2: parameter relayhost: truncated macro reference: "${x"`) {
		t.Errorf("got %s", got)
	}
	if err := os.Remove(filepath.Join(s.dir, "master.cf")); err != nil {
		t.Fatal(err)
	}
	want := "postconf: warning: open DIR/master.cf: No such file or directory\nmail_owner = postfix\n"
	if got := s.postconf("mail_owner"); got != want {
		t.Errorf("got %s", got)
	}
	if got, want := s.postconf("-M"), "postconf: fatal: open DIR/master.cf: No such file or directory\n"; got != want {
		t.Errorf("got %s", got)
	}
}
