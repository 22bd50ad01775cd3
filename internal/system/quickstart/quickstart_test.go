package quickstart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posthaste/internal/config"
)

func TestWrite(t *testing.T) {
	base := t.TempDir()
	for d := base; os.Geteuid() == 0 && d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	dir := filepath.Join(base, "var")
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	set, err := config.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := set.Main.Get("queue_directory"); v.Value != dir+"/spool" {
		t.Errorf("queue_directory = %s", v.Value)
	}
	if _, found := set.Master.Find(Address, "inet"); !found {
		t.Errorf("master.cf does not listen on %s", Address)
	}
	for _, s := range set.Main.Settings {
		if strings.Contains(s.Value, "@") {
			t.Errorf("%s = %s", s.Name, s.Value)
		}
	}
	// Every address of the domain has a maildir.
	boxes, err := os.ReadFile(filepath.Join(dir, "mailboxes"))
	if err != nil || !strings.Contains(string(boxes), "\n@example.test ") {
		t.Errorf("mailboxes: %v\n%s", err, boxes)
	}
	// The second time everything stays as it is.
	path := filepath.Join(dir, "main.cf")
	if err := os.WriteFile(path, []byte("mine = yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(path); string(data) != "mine = yes\n" {
		t.Errorf("main.cf was written again: %s", data)
	}
	if err := write(filepath.Join(base, "a b")); err == nil {
		t.Error("a directory was accepted that main.cf cannot name")
	}
}
