package master

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"posthaste/internal/maillog"
)

func TestStrftime(t *testing.T) {
	at := time.Date(2026, 3, 9, 4, 5, 6, 0, time.UTC)
	for format, want := range map[string]string{
		"%Y%m%d-%H%M%S": "20260309-040506", "%F_%T": "2026-03-09_04:05:06", "%%Y%q": "%Y%q", "%j": "068",
	} {
		if got := strftime(format, at); got != want {
			t.Errorf("%s: %s, want %s", format, got, want)
		}
	}
}

// A log file to which somebody still writes is not taken away from under them.
func TestUnwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() {
		close(closed)
		f.Close()
	})
	free, err := unwritten(path)
	if err != nil || !free {
		t.Fatalf("free %v, %v", free, err)
	}
	select {
	case <-closed:
	default:
		t.Error("called free while it was open for writing")
	}
}

func TestInspector(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"fine": 0o644, "group": 0o664, "world": 0o646} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, mode)
	}
	os.Symlink("fine", dir+"/inside")
	os.Symlink("/etc/passwd", dir+"/outside")
	var got []string
	i := inspector{mail: "mail", warn: func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }}
	i.tree(dir, os.Geteuid(), true)
	slices.Sort(got)
	want := []string{"group or other writable: " + dir + "/./group", "group or other writable: " + dir + "/./world",
		"symlink leaves directory: " + dir + "/./outside"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	got = nil
	i.one(dir+"/fine", os.Geteuid()+1, true)
	i.one(dir+"/nosuch", 0, true)
	if len(got) != 1 || got[0] != "not owned by mail: "+dir+"/fine" {
		t.Errorf("got %q", got)
	}
}

// A subdirectory of a queue that the mail owner cannot use is named, with what to
// do; those below others, too.
func TestInspectorOfHashedDirectories(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"5": 0o700, "A": 0o500, "B": 0o700, "B/0": 0o070, "B/1": 0o700, "Z": 0o500} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(filepath.Join(dir, name), 0o700) // to be removed
		os.Chmod(filepath.Join(dir, name), mode)
	}
	var got []string
	i := inspector{mail: "mail", warn: func(format string, args ...any) {
		_, text, _ := strings.Cut(fmt.Sprintf(format, args...), dir+"/")
		name, _, _ := strings.Cut(text, ",")
		got = append(got, name)
	}}
	mine := owner{uid: os.Geteuid(), gid: os.Getegid()}
	for depth, want := range []string{"", "A", "A B/0", "A B/0", "A B/0", "A B/0"} {
		got = nil
		if i.hashed(dir, depth, mine); strings.Join(got, " ") != want {
			t.Errorf("depth %d: %q, want %s", depth, got, want)
		}
	}
	got = nil
	if i.hashed(dir, 1, owner{uid: mine.uid + 1, gid: mine.gid + 1}); len(got) != 3 {
		t.Errorf("of another user: %q", got)
	}
}

// What a script hears is trouble; what happens as it should is for the log.
func TestControlSpeaksToScriptsOfTroubleOnly(t *testing.T) {
	var log maillog.Memory
	var out bytes.Buffer
	c := control{plan: &plan{}, log: maillog.New(&log, "postfix/postfix-script"), stderr: &out}
	c.say("all is %s", "well")
	c.warn("odd")
	if err := c.fail("bad\nline"); err != said(1) {
		t.Errorf("error %v", err)
	}
	if got := out.String(); got != "postfix/postfix-script: warning: odd\npostfix/postfix-script: fatal: bad?line\n" {
		t.Errorf("printed %q", got)
	}
	if got := log.String(); strings.Count(got, "\n") != 3 || !strings.Contains(got, "postfix-script: all is well\n") {
		t.Errorf("logged %q", got)
	}
}
