package smtp

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"posthaste/internal/config"
)

// bind reads main.cf text as the SMTP or the LMTP client does.
func bind(t *testing.T, text string, lmtp bool) (p Params) {
	t.Helper()
	main, err := config.ParseMain("main.cf", []byte("myhostname = client.test\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	catalog := config.NewCatalog(Params{}, config.As(Params{}, "smtp_", "lmtp_"))
	for _, conflict := range catalog.Conflicts() {
		t.Error(conflict)
	}
	snap, err := config.New(main, catalog, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lmtp {
		err = snap.BindAs(&p, "smtp_", "lmtp_")
	} else {
		err = snap.Bind(&p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDefaultsOfBothClients(t *testing.T) {
	t.Parallel()
	p := bind(t, "", false)
	if p.TCPPort != "smtp" || p.ConnectTimeout != 30*time.Second || !p.SkipQuitResponse || p.HeloName != "client.test" ||
		p.LineLengthLimit != 998 || p.MXAddressLimit != 5 || p.DataDoneTimeout != 600*time.Second {
		t.Errorf("SMTP defaults are %+v", p)
	}
	if _, err := New(p, Deps{}); err != nil {
		t.Errorf("defaults are refused: %v", err)
	}
	p = bind(t, "lmtp_lhlo_name = other.test\nlmtp_lhlo_timeout = 1m\nlmtp_assume_final = yes\n", true)
	if p.TCPPort != "24" || p.ConnectTimeout != 0 || p.SkipQuitResponse || p.HeloName != "other.test" || p.HeloTimeout != time.Minute || !p.AssumeFinal {
		t.Errorf("LMTP parameters are %+v", p)
	}
}

// Every default is that of Postfix.
func TestDefaultsArePostfix(t *testing.T) {
	t.Parallel()
	catalog := config.NewCatalog(Params{})
	for _, name := range catalog.Names() {
		if !strings.HasPrefix(name, "smtp_") && !strings.HasPrefix(name, "disable_") {
			continue
		}
		p, _ := catalog.Get(name)
		if want, ok := catalog.PostfixDefault(name); !ok || p.Default != want {
			t.Errorf("%s: default is %q, Postfix has %q", name, p.Default, want)
		}
	}
}

func TestBadParameters(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"smtp_address_preference = ipv5":    "smtp_address_preference",
		"smtp_address_verify_target = quit": "smtp_address_verify_target",
		"smtp_dns_support_level = some":     "smtp_dns_support_level",
		"smtp_host_lookup = nis":            "smtp_host_lookup",
		"smtp_dns_resolver_options = res_x": "smtp_dns_resolver_options",
		"smtp_bind_address = ::1":           "smtp_bind_address",
		"smtp_bind_address6 = 192.0.2.1":    "smtp_bind_address6",
		"smtp_fallback_relay = a..b":        "smtp_fallback_relay",
		"inet_protocols = ipv5":             "inet_protocols",
	} {
		if _, err := New(bind(t, text+"\n", false), Deps{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want one that names %s", text, err, want)
		}
	}
}

func TestBindAddress(t *testing.T) {
	t.Parallel()
	list := func(text string) (addrs []netip.Addr) {
		for _, s := range strings.Fields(text) {
			addrs = append(addrs, netip.MustParseAddr(s))
		}
		return addrs
	}
	for _, tt := range []struct{ value, interfaces, want string }{
		{"", "192.0.2.1", "192.0.2.1"},
		{"", "192.0.2.1 2001:db8::1", "192.0.2.1"},
		{"", "192.0.2.1 127.0.0.1", "invalid IP"},
		{"", "127.0.0.1", "invalid IP"},
		{"[192.0.2.9]", "192.0.2.1", "192.0.2.9"},
	} {
		got, err := bindAddress("smtp_bind_address", tt.value, list(tt.interfaces), netip.Addr.Is4)
		if err != nil || got.String() != tt.want {
			t.Errorf("%q with %s: got %v, %v; want %s", tt.value, tt.interfaces, got, err, tt.want)
		}
	}
}

// A local address that this machine does not have is passed over, or not.
func TestBindAddressMissing(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", nil)
	for enforce, want := range map[bool]string{
		false: "sent 2.0.0 (250 2.0.0 Ok: queued as 12345)",
		true:  "SITE deferred 4.4.0 (server configuration error)",
	} {
		p := params()
		p.BindAddress, p.BindAddressEnforce = "192.0.2.1", enforce
		a := newSetup(t, p, nil, false)
		if got := a.results(t, request(t, srv.addr.String(), "a@b.test")); got != want {
			t.Errorf("enforce %v: got %s, want %s", enforce, got, want)
		}
		if !strings.HasPrefix(a.log.text(), "warning: smtp_connect_addr: bind 192.0.2.1: Cannot assign requested address") {
			t.Errorf("log is %s", a.log.text())
		}
	}
}
