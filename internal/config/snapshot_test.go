package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBind(t *testing.T) {
	s := snapshot(t, `
myhostname = mail.example.com
mydomain = example.com
myorigin = /etc/mailname
smtpd_timeout = 5m
maximal_queue_lifetime = 3
smtpd_recipient_limit = 50
smtpd_helo_required = YES
smtpd_milters = { inet:localhost:1, connect_timeout=3s }, unix:/x
forward_path = $home/.forward${recipient_delimiter}
smtpd_tls_security_level = may
stress = yes
`, "smtpd_recipient_limit=60", "smtpd_tls_security_level=", "syslog_name=postfix/$service_name")
	var got sample
	if err := s.Bind(&got); err != nil {
		t.Fatal(err)
	}
	want := sample{
		Timeout: 5 * time.Minute, Lifetime: 72 * time.Hour, Limit: 60, Helo: true,
		Banner:  "mail.example.com ESMTP Postfix",
		Milters: []string{"{ inet:localhost:1, connect_timeout=3s }", "unix:/x"},
		Forward: "$home/.forward${recipient_delimiter}",
		Client:  clientSample{HeloTimeout: 5 * time.Minute, HeloName: "mail.example.com", Port: "smtp"},
		Common:  got.Common,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.SyslogName != "postfix/submission" || got.MyOrigin != "example.org" || got.MessageSizeLimit != 10240000 {
		t.Errorf("syslog_name %q, myorigin %q, message_size_limit %d", got.SyslogName, got.MyOrigin, got.MessageSizeLimit)
	}
}

func TestBindAs(t *testing.T) {
	s := snapshot(t, "myhostname = a.example\nsmtp_helo_timeout = 1s\nlmtp_lhlo_timeout = 2s\n")
	var got clientSample
	if err := s.BindAs(&got, "smtp_", "lmtp_"); err != nil {
		t.Fatal(err)
	}
	want := clientSample{HeloTimeout: 2 * time.Second, HeloName: "a.example", Port: "24"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBindErrors(t *testing.T) {
	for _, test := range []struct{ text, override, want string }{
		{"\nsmtpd_recipient_limit = abc\n", "", "/etc/postfix/main.cf, line 2: bad numerical configuration: smtpd_recipient_limit = abc"},
		{"", "smtpd_recipient_limit=1x", "/etc/postfix/master.cf, line 7: bad numerical configuration: smtpd_recipient_limit = 1x"},
		{"smtpd_recipient_limit = 0\n", "", "main.cf, line 1: invalid smtpd_recipient_limit parameter value 0 < 1"},
		{"smtpd_helo_required = maybe\n", "", "bad boolean configuration: smtpd_helo_required = maybe"},
		{"smtpd_timeout = 30x\n", "", "main.cf, line 1: parameter smtpd_timeout: bad time value or unit: 30x"},
		{"smtpd_timeout =\n", "", "bad time value or unit: "},
		{"smtpd_timeout = 99999999999999w\n", "", "bad time value or unit"},
		{"myorigin = /nonexistent\n", "", "main.cf, line 1: parameter myorigin: open /nonexistent"},
	} {
		var overrides []string
		if test.override != "" {
			overrides = []string{test.override}
		}
		err := snapshot(t, test.text, overrides...).Bind(&sample{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want %s", test.text+test.override, err, test.want)
		}
	}
	if err := snapshot(t, "").Bind(sample{}); err == nil {
		t.Error("bound a struct that is not a pointer")
	}
}

// A broken value of a built-in parameter is found at once; that of a name
// nobody uses is not an error.
func TestNewChecks(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"unused = ${\n", ""},
		{"forward_path = ${\n", ""},
		{"x = 1\nsmtpd_banner = ${x\n", `/etc/postfix/main.cf, line 2: parameter smtpd_banner: truncated macro reference: "${x"`},
		{"smtpd_banner = $a\na = $b\nb = $a\n", `parameter smtpd_banner: unreasonable macro call nesting`},
		{"slow_destination_rate_delay = $-\n", `parameter slow_destination_rate_delay: empty macro name`},
		{"compatibility_level = abc\n", `main.cf, line 1: malformed compatibility level syntax: "abc"`},
		{"mynetworks_style = bogus\nproxy_interfaces = $mynetworks\n", `unknown mynetworks mask style value "bogus" in "bogus"`},
	} {
		_, err := NewSnapshot(parseMain(t, test.text), testCatalog(), Service{}, testHost())
		if test.want == "" && err == nil {
			continue
		}
		if err == nil || test.want == "" || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want %s", test.text, err, test.want)
		}
	}
}

func TestComputed(t *testing.T) {
	for _, test := range []struct{ text, name, want string }{
		{"", "myhostname", "vm.localdomain"},
		{"", "mydomain", "localdomain"},
		{"", "mydestination", "vm.localdomain, localhost.localdomain, localhost"},
		{"mydomain = bar.example", "myhostname", "vm.bar.example"},
		{"myhostname = foo", "mydomain", "localdomain"},
		{"myhostname = foo.bar.example", "mydomain", "bar.example"},
		{"mydomain = $myhostname", "myhostname", "vm."},
		{"mydomain = $myhostname", "mydomain", "vm."},
		{"myhostname = a.$mydomain", "myhostname", "a."},
		{"inet_interfaces = $mynetworks", "mynetworks", ""},
		{"", "mynetworks", "127.0.0.0/8 192.0.2.0/28 [::1]/128 [2001:db8::]/64"},
		{"compatibility_level = 2", "mynetworks", "127.0.0.1/32 192.0.2.2/32 [::1]/128 [2001:db8::2]/128"},
		{"mynetworks_style = class", "mynetworks", "127.0.0.0/8 192.0.2.0/24 [::1]/128 [2001:db8::]/64"},
		{"inet_protocols = ipv4", "mynetworks", "127.0.0.0/8 192.0.2.0/28"},
		{"inet_interfaces = loopback-only", "mynetworks", "127.0.0.0/8 [::1]/128"},
		{"inet_interfaces = $myhostname, 127.0.0.1\nmyhostname = mail.example.com", "mynetworks", "192.0.2.0/28 127.0.0.0/8"},
		{"inet_interfaces = 203.0.113.5", "mynetworks", "203.0.113.5/32"},
		{"mynetworks =", "mynetworks", ""},
		{"config_directory = /elsewhere", "config_directory", "/etc/postfix"},
		{"myorigin = /etc/mailname", "myorigin", "/etc/mailname"},
		{"", "service_name", "submission"},
		{"", "smtpd_timeout", "300s"},
		{"stress = yes", "smtpd_timeout", "10s"},
		{"", "append_dot_mydomain", "yes"},
		{"compatibility_level = 3.6", "append_dot_mydomain", "no"},
		{"", "virtual_maps", ""},
		{"virtual_maps = hash:/x", "virtual_alias_domains", "hash:/x"},
	} {
		got, _ := snapshot(t, test.text).Get(test.name)
		if got != test.want {
			t.Errorf("%q: %s = %q, want %q", test.text, test.name, got, test.want)
		}
	}
	_, _, err := snapshot(t, "inet_interfaces = nowhere.example").Lookup("mynetworks")
	if err == nil || !strings.Contains(err.Error(), "line 1: parameter inet_interfaces: host not found: nowhere.example") {
		t.Errorf("error %v", err)
	}
}

func TestTransport(t *testing.T) {
	s := snapshot(t, "slow_destination_concurrency_limit = 3\ndefault_destination_concurrency_limit = 7\n"+
		"default_destination_rate_delay = 2\nspf_time_limit = 1h\nbad_recipient_limit = x\n")
	for _, test := range []struct {
		service, suffix, want string
		set                   bool
	}{
		{"slow", "_destination_concurrency_limit", "3", true},
		{"smtp", "_destination_concurrency_limit", "7", false},
		{"local", "_destination_concurrency_limit", "2", false},
		{"smtp", "_initial_destination_concurrency", "5", false},
		{"slow", "_destination_rate_delay", "2", false},
		{"spf", "_time_limit", "1h", true},
		{"other", "_time_limit", "1000s", false},
		{"other", "_no_such_thing", "", false},
	} {
		got, set := s.Transport(test.service, test.suffix)
		if got != test.want || set != test.set {
			t.Errorf("%s%s: %q, %v", test.service, test.suffix, got, set)
		}
	}
	if n, err := s.TransportInt("slow", "_destination_concurrency_limit"); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if d, err := s.TransportDuration("slow", "_destination_rate_delay", "s"); d != 2*time.Second || err != nil {
		t.Errorf("%v, %v", d, err)
	}
	want := "/etc/postfix/main.cf, line 5: bad numerical configuration: bad_recipient_limit = x"
	if _, err := s.TransportInt("bad", "_recipient_limit"); err == nil || err.Error() != want {
		t.Errorf("error %v", err)
	}
}

func TestParseDuration(t *testing.T) {
	for _, test := range []struct {
		text, unit string
		want       time.Duration
		ok         bool
	}{
		{"30", "s", 30 * time.Second, true},
		{"30", "", 30 * time.Second, true},
		{"2", "h", 2 * time.Hour, true},
		{"2m", "h", 2 * time.Minute, true},
		{"1W", "s", 7 * 24 * time.Hour, true},
		{"0", "d", 0, true},
		{"", "s", 0, false}, {"s", "s", 0, false}, {"-1", "s", 0, false}, {"1.5h", "s", 0, false}, {"3 s", "s", 0, false},
		{"9223372036854775807s", "s", 0, false},
	} {
		got, err := ParseDuration(test.text, test.unit)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("%q %q: %v, %v", test.text, test.unit, got, err)
		}
	}
}
