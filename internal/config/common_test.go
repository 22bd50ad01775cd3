package config

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// sample are parameters as packages declare them.
type sample struct {
	Common
	Timeout  time.Duration `cf:"smtpd_timeout" default:"${stress?{10}:{300}}s" unit:"s" doc:"A time."`
	Lifetime time.Duration `cf:"maximal_queue_lifetime" default:"5d" unit:"d" doc:"A time in days."`
	Milters  []string      `cf:"smtpd_milters" default:"" doc:"A list."`
	Limit    int           `cf:"smtpd_recipient_limit" default:"1000" min:"1" doc:"A number."`
	Helo     bool          `cf:"smtpd_helo_required" default:"no" doc:"A switch."`
	Banner   string        `cf:"smtpd_banner" default:"$myhostname ESMTP $mail_name" doc:"A text."`
	Forward  string        `cf:"forward_path" default:"$home/.forward" raw:"yes" doc:"A raw text."`
	Level    string        `cf:"smtpd_tls_security_level" default:"" doc:"A text."`
	Client   clientSample
}

// clientSample are parameters that exist with two prefixes.
type clientSample struct {
	HeloTimeout time.Duration `cf:"smtp_helo_timeout" default:"300s" unit:"s" doc:"A time."`
	HeloName    string        `cf:"smtp_helo_name" default:"$myhostname" doc:"A name."`
	Port        string        `cf:"smtp_tcp_port" default:"smtp" doc:"A port."`
}

func testCatalog() *Catalog {
	return NewCatalog(&sample{}, As(clientSample{}, "smtp_", "lmtp_"))
}

// testHost is a machine called vm with three interfaces.
func testHost() Host {
	return Host{
		Name: func() (string, error) { return "vm", nil },
		Interfaces: func() ([]netip.Prefix, error) {
			var out []netip.Prefix
			for _, s := range []string{"127.0.0.1/8", "::1/128", "192.0.2.2/28", "2001:db8::2/64"} {
				out = append(out, netip.MustParsePrefix(s))
			}
			return out, nil
		},
		Resolve: func(name string) ([]netip.Addr, error) {
			if name == "mail.example.com" {
				return []netip.Addr{netip.MustParseAddr("192.0.2.2")}, nil
			}
			return nil, errors.New("no such host")
		},
		ReadFile: func(path string) ([]byte, error) {
			if path == "/etc/mailname" {
				return []byte("  example.org \nsecond line\n"), nil
			}
			return nil, errors.New("no such file")
		},
	}
}

func parseMain(t testing.TB, text string) *MainFile {
	t.Helper()
	f, err := ParseMain("/etc/postfix/main.cf", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// snapshot makes a snapshot of text with -o settings `name=value`.
func snapshot(t testing.TB, text string, overrides ...string) *Snapshot {
	t.Helper()
	service := Service{Name: "submission", Type: "inet", File: "/etc/postfix/master.cf", Line: 7}
	for _, o := range overrides {
		name, value, _ := strings.Cut(o, "=")
		service.Overrides = append(service.Overrides, Override{name, value})
	}
	s, err := NewSnapshot(parseMain(t, text), testCatalog(), service, testHost())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
