package config

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func names(list []Finding) []string {
	var out []string
	for _, f := range list {
		out = append(out, f.Name)
	}
	return out
}

func analyse(t *testing.T, main, master string) *Usage {
	t.Helper()
	m, err := ParseMaster("/etc/postfix/master.cf", []byte(master))
	if err != nil {
		t.Fatal(err)
	}
	return Analyse(testCatalog(), parseMain(t, main), m, nil)
}

// A site as they are has nothing to complain about.
func TestAnalyseSite(t *testing.T) {
	set, err := Load("testdata/site")
	if err != nil {
		t.Fatal(err)
	}
	u := Analyse(NewCatalog(Common{}), set.Main, set.Master, nil)
	if len(u.Unused)+len(u.Undefined) != 0 {
		t.Errorf("unused %v, undefined %v", u.Unused, u.Undefined)
	}
	for name, want := range map[string]Class{
		"myhostname": Builtin, "slow_destination_concurrency_limit": PerService, "spamassassin_time_limit": PerService,
		"mua_client_restrictions": UserDefined, "domains_hosts": UserDefined, "people_server_host": UserDefined,
		"virtual_maps": UserDefined, "nonsense": 0,
	} {
		if got := u.Class(name); got != want {
			t.Errorf("%s: class %d, want %d", name, got, want)
		}
	}
	if !slices.Contains(names(u.NotImplemented), "biff") || slices.Contains(names(u.NotImplemented), "mydestination") {
		t.Errorf("not implemented: %v", names(u.NotImplemented))
	}
}

func TestAnalyse(t *testing.T) {
	for _, test := range []struct {
		about, main, master string
		unused, undefined   []string
	}{
		{"typing error", "unused_param = foo\n", "", []string{"unused_param"}, nil},
		{"used by an unused one", "foo = $bar\nbar = 1\n", "", []string{"foo"}, nil},
		{"restriction classes", "smtpd_restriction_classes = aa, $more\nmore = bb\naa=x\nbb=x\ncc=x\n", "", []string{"cc"}, nil},
		{"undefined", "syslog_name = $undef${undef}\n", "", nil, []string{"undef"}},
		{"conditional", "relayhost = ${a?b:c}\n", "", nil, []string{"a"}},
		{"raw values have their own macros", "mailbox_command = /x $HOME\nforward_path = $home/x\n", "", nil, nil},
		{"legacy names", "relayhost = $fallback_relay\n", "", nil, nil},
		{"no such transport", "nonexist_destination_concurrency_limit = 3\n", "a unix - - n - - smtp\n",
			[]string{"nonexist_destination_concurrency_limit"}, nil},
		{"cleanup has no transport settings", "c_recipient_limit = 3\nc_time_limit = 3\n", "c unix - - n - - cleanup\n",
			[]string{"c_recipient_limit", "c_time_limit"}, nil},
		{"tables", "virtual_alias_maps = ldap:foo, proxy:pipemap:{ldap:bar}, pgsql:baz, mysql:/x\n" +
			"foo_server_host = x\nbar_server_host = x\nbaz_hosts = x\nbaz_x = x\n", "", []string{"baz_x"}, nil},
		{"table of an unused name", "used = mysql:bar\nrelayhost = $used\nsmtpd_x = ldap:y\nbar_hosts = x\ny_bind = x\n", "",
			[]string{"smtpd_x", "y_bind"}, nil},
		{"-o settings", "mua = x\n", "s inet n - n - - smtpd -o mua=$smtpd_banner -o relayhost=$mua\nt inet n - n - - smtpd -o mua=x\n",
			[]string{"mua", "mua"}, nil},
		{"-o classes and tables", "", "s inet n - n - - smtpd -o smtpd_restriction_classes=cc -o cc=reject" +
			" -o virtual_alias_maps=ldap:q -o q_bind=1 -o bogus=1 -o relayhost=$baz\n", []string{"bogus"}, []string{"baz"}},
	} {
		u := analyse(t, test.main, test.master)
		if diff := cmp.Diff(test.unused, names(u.Unused)); diff != "" {
			t.Errorf("%s: unused: %s", test.about, diff)
		}
		if diff := cmp.Diff(test.undefined, names(u.Undefined)); diff != "" {
			t.Errorf("%s: undefined: %s", test.about, diff)
		}
	}
}

func TestWarnings(t *testing.T) {
	u := analyse(t, "typo = 1\nrelayhost = $nope # x\nbiff = no\nalways_bcc =\n", "s inet n - n - - smtpd -o foo=\n")
	want := []string{
		"/etc/postfix/main.cf, line 2: undefined parameter: nope",
		"/etc/postfix/main.cf, line 1: unused parameter: typo=1",
		"/etc/postfix/master.cf, line 1: unused parameter: foo=",
		"/etc/postfix/main.cf, line 2: #comment after other text is not allowed: relayhost = $nope # x",
		`/etc/postfix/main.cf, line 2: parameter relayhost is not implemented; the setting "$nope # x" is ignored (default: "")`,
		`/etc/postfix/main.cf, line 3: parameter biff is not implemented; the setting "no" is ignored (default: "yes")`,
	}
	if diff := cmp.Diff(want, u.Warnings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
