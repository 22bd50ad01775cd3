package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const editSample = `# head
myhostname = host.example.com
# about mydestination
mydestination = $myhostname,
  # inner comment
	localhost
#relayhost = x
relayhost = old
smtpd_timeout=30
smtpd_timeout=40`

func TestEditMain(t *testing.T) {
	for _, test := range []struct {
		about    string
		mode     EditMode
		settings []Setting
		change   []string // pairs: old, new
		repeated []string
	}{
		{"replace", Replace, []Setting{{Name: "relayhost", Value: "new"}}, []string{"relayhost = old", "relayhost = new"}, nil},
		{"empty", Replace, []Setting{{Name: "relayhost"}}, []string{"relayhost = old", "relayhost = "}, nil},
		{"continued", Replace, []Setting{{Name: "mydestination", Value: "x"}},
			[]string{"mydestination = $myhostname,", "mydestination = x", "\tlocalhost\n", ""}, nil},
		{"new and repeated", Replace, []Setting{{Name: "a", Value: "1"}, {Name: "smtpd_timeout", Value: "5"}, {Name: "a", Value: "2"}},
			[]string{"smtpd_timeout=30", "smtpd_timeout = 5", "smtpd_timeout=40", "smtpd_timeout = 5\na = 2\n"}, []string{"smtpd_timeout"}},
		{"comment out", CommentOut, []Setting{{Name: "mydestination"}},
			[]string{"mydestination = $", "#mydestination = $", "\tlocalhost", "#\tlocalhost"}, nil},
		{"exclude", Exclude, []Setting{{Name: "mydestination"}, {Name: "smtpd_timeout"}, {Name: "nothing"}},
			[]string{"mydestination = $myhostname,\n", "", "\tlocalhost\n", "", "smtpd_timeout=30\nsmtpd_timeout=40", ""}, []string{"smtpd_timeout"}},
	} {
		got, repeated := EditMain([]byte(editSample), test.mode, test.settings)
		want := strings.NewReplacer(test.change...).Replace(editSample)
		if diff := cmp.Diff(strings.TrimRight(want, "\n"), strings.TrimRight(string(got), "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.about, diff)
		}
		if diff := cmp.Diff(test.repeated, repeated); diff != "" {
			t.Errorf("%s: repeated: %s", test.about, diff)
		}
	}
}

func TestEditMaster(t *testing.T) {
	const text = "# head\nsmtp inet n - y - - smtpd\n  -o a=b\n# within\n  -o c=d\n# of b\nb unix - - n - - smtp\n"
	for _, test := range []struct {
		about string
		mode  EditMode
		edits []RowEdit
		want  string
	}{
		{"replace", Replace, []RowEdit{{"smtp", "inet", "X\n"}}, "# head\nX\n# within\n# of b\nb unix - - n - - smtp\n"},
		{"twice, and a new one", Replace, []RowEdit{{"b", "unix", "X\n"}, {"b", "unix", "Y\n"}, {"c", "unix", "Z\n"}},
			"# head\nsmtp inet n - y - - smtpd\n  -o a=b\n# within\n  -o c=d\n# of b\nY\nZ\n"},
		{"comment out", CommentOut, []RowEdit{{"smtp", "inet", ""}},
			"# head\n#smtp inet n - y - - smtpd\n#  -o a=b\n# within\n#  -o c=d\n# of b\nb unix - - n - - smtp\n"},
		{"exclude", Exclude, []RowEdit{{"smtp", "inet", ""}, {"b", "inet", ""}}, "# head\n# within\n# of b\nb unix - - n - - smtp\n"},
	} {
		if diff := cmp.Diff(test.want, string(EditMaster([]byte(text), test.mode, test.edits))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.about, diff)
		}
	}
}

func TestRewriteFile(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "main.cf"), filepath.Join(dir, "link.cf")
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("main.cf", link); err != nil {
		t.Fatal(err)
	}
	// Writers at the same time lose nothing, also through a symbolic link.
	const writers = 20
	var wait sync.WaitGroup
	for i := range writers {
		wait.Go(func() {
			target := path
			if i%2 == 0 {
				target = link
			}
			err := RewriteFile(target, func(old []byte) ([]byte, error) { return append(old, 'x'), nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	data, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(data, bytes.Repeat([]byte("x"), writers)) {
		t.Errorf("%q, %v", data, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", st.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	err = RewriteFile(filepath.Join(dir, "missing"), nil)
	if err == nil || !IsNotExist(err) || !strings.HasSuffix(err.Error(), "/missing: No such file or directory") {
		t.Errorf("error %v", err)
	}
}

func TestRewriteFileEditFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "main.cf")
	if err := os.WriteFile(path, []byte("a = b\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := RewriteFile(path, func([]byte) ([]byte, error) { return nil, errNoName }); err != errNoName {
		t.Errorf("error %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "a = b\n" {
		t.Errorf("%q, %v", data, err)
	}
}
