package run

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"posthaste/internal/config"
	"posthaste/internal/deliver/local"
	"posthaste/internal/mail"
	"posthaste/internal/system/privilege"
)

func TestCatalog(t *testing.T) {
	for _, c := range Catalog().Conflicts() {
		t.Error(c)
	}
}

func set(t *testing.T, main, master string) *config.Set {
	m, err := config.ParseMain("/x/main.cf", []byte("myhostname = mx.example.test\nmydomain = example.test\n"+main))
	if err != nil {
		t.Fatal(err)
	}
	s, err := config.ParseMaster("/x/master.cf", []byte(master))
	if err != nil {
		t.Fatal(err)
	}
	return &config.Set{Dir: "/x", Main: m, Master: s}
}

func TestCheck(t *testing.T) {
	const smtpd = "25 inet n - n - - smtpd\n"
	for _, c := range []struct{ main, master, want string }{
		{"", smtpd, ""},
		{"smtpd_timeout = soon\n", smtpd, "smtpd_timeout"},
		{"smtpd_helo_required = perhaps\n", smtpd, "/x/main.cf, line 3"},
		{"", smtpd + "26 inet n - n - - smtpd -o smtpd_recipient_limit=many\n", "/x/master.cf, line 2"},
		{"lmtp_connect_timeout = x\n", "lmtp unix - - n - - lmtp\n", "lmtp_connect_timeout"},
		{"maximal_backoff_time = x\n", "qmgr unix n - n 300 1 qmgr\n", "maximal_backoff_time"},
	} {
		err := Check(set(t, c.main, c.master))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q %q: %v, want %q", c.main, c.master, err, c.want)
		}
	}
}

func TestAround(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"a", "b/spool/incoming", "b/other", "c"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rules, err := around(filepath.Join(root, "b/spool"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rules {
		if r.Access != privilege.ReadOnly {
			t.Errorf("%s may be written", r.Path)
		}
		if rel, ok := strings.CutPrefix(r.Path, root+"/"); ok {
			got = append(got, rel)
		}
		if strings.HasPrefix(filepath.Join(root, "b/spool")+"/", r.Path+"/") {
			t.Errorf("%s lets the queue directory be read", r.Path)
		}
	}
	if want := []string{"a", "c", "b/other"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSubmission(t *testing.T) {
	want := local.Forward{
		Envelope:   mail.Envelope{Sender: "a@b.test", FullName: "A"},
		Recipients: []mail.Recipient{{Address: "c@d.test", Notify: mail.NotifyDelay}},
		Headers:    []string{"Delivered-To: x@y.test"},
	}
	want.Content.Offset, want.Content.Length, want.Content.Digest, want.Content.Summed = 3, 4, 5, true
	got, err := decodeSubmission(encodeSubmission(&want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
}

func FuzzSubmission(f *testing.F) {
	f.Add(encodeSubmission(&local.Forward{Recipients: []mail.Recipient{{Address: "c@d.test"}}}))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if s, err := decodeSubmission(frame); err == nil && (s.Content.Offset < 0 || s.Content.Length < 0) {
			t.Errorf("%+v", s)
		}
	})
}
