package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseMaster(t *testing.T) {
	f, err := ReadMaster("testdata/site/master.cf")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Services) != 11 || len(f.Warnings) != 0 {
		t.Fatalf("%d services, warnings %q", len(f.Services), f.Warnings)
	}
	base := Service{File: f.Path, Unprivileged: true, MaxProc: MaxProcDefault}
	submission, amavis, flush, spam := base, base, base, base
	submission.Name, submission.Type, submission.Line, submission.Chroot, submission.Command = "submission", "inet", 4, true, "smtpd"
	submission.Overrides = []Override{
		{"syslog_name", "postfix/submission"},
		{"smtpd_tls_security_level", "encrypt"},
		{"smtpd_client_restrictions", "$mua_client_restrictions"},
		{"smtpd_sender_restrictions", "reject_sender_login_mismatch, permit"},
		{"smtpd_relay_restrictions", ""},
	}
	amavis.Name, amavis.Type, amavis.Line, amavis.MaxProc, amavis.Command, amavis.Verbose = "[::1]:10025", "inet", 11, 10, "smtpd", 1
	amavis.Overrides = []Override{{"content_filter", ""}}
	flush.Name, flush.Type, flush.Line, flush.Chroot, flush.Command, flush.MaxProc = "flush", "unix", 16, true, "flush", 0
	flush.Wakeup, flush.WakeupIfUsed = 1000*time.Second, true
	spam.Name, spam.Type, spam.Line, spam.Private, spam.Unprivileged, spam.Command = "spamassassin", "unix", 19, true, false, "pipe"
	spam.Args = []string{"flags=DROhu", "user=vmail:vmail", "argv=/usr/bin/spamc", "-e", "/usr/sbin/sendmail  -oi", "-f", "${sender}", "${recipient}"}
	for _, want := range []Service{submission, amavis, flush, spam} {
		got, ok := f.Find(want.Name, want.Type)
		if !ok {
			t.Errorf("%s is missing", want.Name)
			continue
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Service{}), cmpopts.IgnoreFields(Service{}, "Fields")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, diff)
		}
	}
	if host, port := amavis.Host(); host != "::1" || port != "10025" {
		t.Errorf("host %q, port %q", host, port)
	}
}

func TestParseMasterErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"\nsmtp inet n - n - smtpd", `/x/master.cf, line 2: bad field count: "smtp inet n - n - smtpd"`},
		{"smtp inet z - n - - smtpd", `line 1: invalid private field "z" in`},
		{"smtp inet y - n - - smtpd", `inet service cannot be private`},
		{"smtp bar n - n - - smtpd", `invalid type field "bar"`},
		{"smtp inet n x n - - smtpd", `invalid unprivileged field "x"`},
		{"smtp inet n - q - - smtpd", `invalid chroot field "q"`},
		{"smtp inet n - n 5x - smtpd", `invalid wakeup field "5x"`},
		{"smtp inet n - n - -5 smtpd", `invalid process_limit field "-5"`},
		{"host: inet n - n - - smtpd", `invalid service field "host:"`},
		{"../x unix n - n - - smtpd", `invalid service field "../x"`},
		{"smtp inet n - n - - -v", `invalid command field "-v"`},
		{"smtp inet n - n - - smtpd -o", `missing name=value after -o`},
		{"smtp inet n - n - - smtpd -o c", `missing '=' after attribute name: "c"`},
		{"smtp inet n - n - - smtpd -o { a = b", `missing '}' in "{ a = b"`},
		{"smtp inet n - n - - smtpd -o { a = b }c", `syntax error after '}'`},
		{"smtp inet n - n - - smtpd -o {{a}=b}", `invalid parameter name: "{a}"`},
		{"smtp inet n - n - - {smtpd -v}", `invalid command field "{smtpd -v}"`},
	} {
		_, err := ParseMaster("/x/master.cf", []byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want %s", test.text, err, test.want)
		}
	}
}

func TestDuplicateRow(t *testing.T) {
	f, err := ParseMaster("m", []byte("a unix - - n - - smtp\nb unix - - n - - smtp\na unix - - n - 3 lmtp\na pass - - n - - smtpd\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := f.Find("a", "unix"); s.Command != "lmtp" || len(f.Services) != 3 || len(f.Rows) != 4 {
		t.Errorf("services: %+v", f.Services)
	}
	want := []string{`m, line 3: duplicate master.cf entry for service "a" (unix) -- using the last entry`}
	if diff := cmp.Diff(want, f.Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestChrooted(t *testing.T) {
	for _, test := range []struct {
		column string
		level  Level
		want   bool
	}{
		{"y", Level{Major: 3}, true}, {"n", Level{}, false}, {"-", Level{}, true}, {"-", Level{Major: 1}, false},
	} {
		s, err := ParseService("a unix - - " + test.column + " - - smtp")
		if err != nil || s.Chrooted(test.level) != test.want {
			t.Errorf("%q at %v: %v, %v", test.column, test.level, !test.want, err)
		}
	}
}

func TestChangeRow(t *testing.T) {
	s, err := ParseService("submission inet n - y - - smtpd -o syslog_name=x -voa=b flags=x {x  y} -o c=d")
	if err != nil {
		t.Fatal(err)
	}
	check := func(want string, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		if got := FormatService(s, false); got != "submission inet  n       -       y       -       -       "+want {
			t.Errorf("got %s", got)
		}
	}
	check("smtpd -o syslog_name=y -v -o a=b flags=x {x  y} -o c=d", s.SetOverride("syslog_name", "y"))
	check("smtpd -o syslog_name=y -v -o a=b -o new=1 flags=x {x  y} -o c=d", s.SetOverride("new", "1"))
	check("smtpd -o syslog_name=y -v -o a=b flags=x {x  y} -o c=d", s.RemoveOverride("new"))
	check("smtpd -o syslog_name=y -v -o {a=p q} flags=x {x  y} -o c=d", s.SetOverride("a", "p q"))
	check("smtp -v", s.SetField(7, "smtp   -v"))
	if err := s.SetField(4, "z"); err == nil {
		t.Error("chroot z was taken")
	}
	if err := s.SetField(4, "n extra"); err == nil {
		t.Error("two words were taken")
	}
}

func FuzzParseMaster(f *testing.F) {
	f.Add([]byte("smtp inet n - n - - smtpd\n  -o { a = b c } -v { x }\n# c\n"))
	f.Add([]byte("a unix - n y 5? 0 pipe -o{ a=b} -oc=d -- argv=x"))
	if data, err := os.ReadFile("testdata/site/master.cf"); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMaster("master.cf", data)
		if err != nil {
			return
		}
		for _, s := range m.Rows {
			// What we write means what we read.
			for _, fold := range []bool{false, true} {
				again, err := ParseMaster("master.cf", []byte(FormatService(s, fold)+"\n"))
				if err != nil {
					t.Fatalf("%q: %v", FormatService(s, fold), err)
				}
				if len(again.Rows) != 1 {
					t.Fatalf("%q: %d rows", FormatService(s, fold), len(again.Rows))
				}
				r := again.Rows[0]
				if diff := cmp.Diff(s, r, cmpopts.IgnoreUnexported(Service{}), cmpopts.IgnoreFields(Service{}, "Line")); diff != "" {
					t.Fatal(diff)
				}
			}
		}
	})
}
