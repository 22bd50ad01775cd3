package check

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"posthaste/test/order/trace"
)

// The parts of which traces are made. Process 1 receives, 2 is the queue's, 3
// delivers to mailboxes, 4 is postdrop.
const (
	id     = "4jZQ"
	head   = `N\23X-Test-Id: t.1N\0`
	create = `1 openat(AT_FDCWD</q>, "incoming/4jZQ", O_RDWR|O_CREAT|O_EXCL, 0600) = 7</q/incoming/4jZQ>
1 pwrite64(7</q/incoming/4jZQ>, "` + head + `", 20, 0) = 20
1 fchmod(7</q/incoming/4jZQ>, 0700) = 0
`
	syncFile = `1 fsync(7</q/incoming/4jZQ>) = 0
`
	syncDir = `1 fsync(8</q/incoming>) = 0
`
	ok = `1 write(9<TCP:[127.0.0.1:25->127.0.0.1:99]>, "250 2.0.0 Ok: queued as 4jZQ\r\n", 30) = 30
`
	segment = `1 openat(AT_FDCWD</q>, "journal/S.new", O_RDWR|O_CREAT|O_EXCL, 0600) = 5</q/journal/S.new>
1 renameat(AT_FDCWD</q>, "journal/S.new", AT_FDCWD</q>, "journal/S") = 0
`
	syncJournal = `1 fsync(6</q/journal>) = 0
`
	syncSegment = `1 fdatasync(5</q/journal/S>) = 0
`
	claim = `2 renameat(AT_FDCWD</q>, "incoming/4jZQ", AT_FDCWD</q>, "active/4jZQ") = 0
`
	taken1 = `3 read(4<TCP:[127.0.0.1:9->127.0.0.1:25]>, "250 2.0.0 Ok: queued as SINK test=t.1 for=a@r.test\r\n", 99) = 53
`
	remove = `2 unlinkat(AT_FDCWD</q>, "active/4jZQ", 0) = 0
`
	deliver = `3 openat(10</m/box/tmp>, "x", O_WRONLY|O_CREAT|O_EXCL, 0600) = 11</m/box/tmp/x>
3 write(11</m/box/tmp/x>, "Delivered-To: b@box.test\nX-Test-Id: t.1\n\n", 42) = 42
3 fsync(11</m/box/tmp/x>) = 0
3 linkat(10</m/box/tmp>, "x", 12</m/box/new>, "y", 0) = 0
`
	syncNew = `3 fsync(12</m/box/new>) = 0
`
	markB = `2 pwrite64(7</q/active/4jZQ>, "D", 1, 15) = 1
`
	defers = `2 renameat(AT_FDCWD</q>, "active/4jZQ", AT_FDCWD</q>, "deferred/4/4jZQ") = 0
`
)

// jot is a write of a frame to the segment.
func jot(process, kind int, offset, size int) string {
	b := []byte("PHJ1\x00\x00\x00\x00")
	b = append(b, byte(kind), 0, byte(len(id)), 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint64(b, uint64(offset))
	b = append(b, id...)
	var text strings.Builder
	for _, c := range b {
		fmt.Fprintf(&text, `\%03o`, c)
	}
	return fmt.Sprintf("%d pwrite64(5</q/journal/S>, \"%s\"..., 99, 0) = 99\n", process, text.String())
}

// lines numbers calls, as the clock does.
func lines(text string) string {
	var b strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		n++
		pid, rest, _ := strings.Cut(line, " ")
		fmt.Fprintf(&b, "%s 1.%06d %s", pid, n, rest)
	}
	return b.String()
}

func replay(t *testing.T, text string, recipients ...string) Report {
	t.Helper()
	return replayOn(t, false, text, recipients...)
}

// replayOn replays what happened with mailboxes on a file system that commits in
// order, or not.
func replayOn(t *testing.T, ordered bool, text string, recipients ...string) Report {
	t.Helper()
	tr, err := trace.Read(strings.NewReader(lines(text)))
	if err != nil {
		t.Fatal(err)
	}
	return Run(tr, Options{Spool: "/q", Ordered: ordered, Mail: map[string]Mail{"t.1": {Sender: "s@r.test", Recipients: recipients}}})
}

// Where changes are committed in their order, a sync of the file after its rename
// makes its name durable, and nothing less.
func TestOrdered(t *testing.T) {
	const (
		synced = "3 fsync(11</m/box/new/y>) = 0\n"
		moved  = "3 renameat2(10</m/box/tmp>, \"x\", 12</m/box/new>, \"y\", RENAME_NOREPLACE) = 0\n"
	)
	byFile := create + syncFile + syncDir + ok + claim
	written := strings.Split(deliver, "3 fsync")[0]
	for _, c := range []struct{ name, text, strict, ordered string }{
		{"after the rename", written + moved + synced, "file synced, directory not synced", ""},
		{"before the rename", deliver, "file synced, directory not synced", "file synced, directory not synced"},
		{"begun before the end of the rename", written +
			"3 renameat2(10</m/box/tmp>, \"x\", 12</m/box/new>, \"y\", RENAME_NOREPLACE <unfinished ...>\n" +
			"5 fsync(11</m/box/new/y>) = 0\n3 <... renameat2 resumed>) = 0\n",
			"file synced, directory not synced", "file synced, directory not synced"},
		{"failed", written + moved + "3 fsync(11</m/box/new/y>) = -1 EIO (Input/output error)\n" + synced,
			"a sync of the file failed", "a sync of the file failed"},
		{"not done by strace", written + moved + "3 fsync(11</m/box/new/y>) = 0 (INJECTED)\n",
			"file and directory not synced", "file and directory not synced"},
	} {
		for ordered, want := range map[bool]string{false: c.strict, true: c.ordered} {
			if want != "" {
				want = "R3: removed: <b@box.test>: mailbox: " + want
			}
			got := ""
			for _, f := range replayOn(t, ordered, byFile+c.text+remove, "b@box.test").Findings {
				got += fmt.Sprintf("%s: %s", f.Rule, f.What)
			}
			if got != want {
				t.Errorf("%s, ordered %t: got %q, want %q", c.name, ordered, got, want)
			}
		}
	}
}

func TestRules(t *testing.T) {
	byFile := create + syncFile + syncDir + ok
	journaled := segment + syncJournal + create + jot(1, kindCommit, 0, 20) + syncSegment + ok
	begun, ended := "1 fdatasync(5</q/journal/S> <unfinished ...>\n", "1 <... fdatasync resumed>) = 0\n"
	for _, c := range []struct {
		name, text string
		to         []string
		want       string // rule and what; empty: nothing
	}{
		{"file and directory", byFile, nil, ""},
		{"directory not synced", create + syncFile + ok, nil, "R1: 250: file synced, directory not synced"},
		{"directory synced before", syncDir + create + syncFile + ok, nil, "R1: 250: file synced, directory not synced"},
		{"file not synced", create + syncDir + ok, nil, "R1: 250: file not synced"},
		{"written after the sync", create + syncFile + syncDir +
			"1 pwrite64(7</q/incoming/4jZQ>, \"x\", 1, 20) = 1\n" + ok, nil, "R1: 250: file not synced"},
		{"nothing synced", create + ok, nil, "R1: 250: file and directory not synced"},
		{"sync after the 250", create + syncFile + ok + syncDir, nil, "R1: 250: file synced, directory not synced"},
		{"strace said so", create + syncFile + "1 fsync(8</q/incoming>) = 0 (INJECTED)\n" + ok, nil, "R1: 250: file synced, directory not synced"},
		{"sync not over", create + syncFile + "2 fsync(8</q/incoming> <unfinished ...>\n" + ok + "2 <... fsync resumed>) = 0\n", nil,
			"R1: 250: file synced, directory not synced"},
		{"whole file system", create + "1 syncfs(3</q>) = 0\n" + ok, nil, ""},
		{"new hash directory", "1 mkdirat(AT_FDCWD</q>, \"incoming\", 0700) = 0\n" + byFile, nil, "R1: 250: file synced, directory not synced"},
		{"new hash directory, synced", "1 mkdirat(AT_FDCWD</q>, \"incoming\", 0700) = 0\n1 fsync(3</q>) = 0\n" + byFile, nil, ""},
		{"a failed sync tried again", create + "1 fsync(7</q/incoming/4jZQ>) = -1 EIO (Input/output error)\n" + syncFile + syncDir + ok, nil,
			"R2: 250: a sync of the file failed"},
		{"another's sync of the directory failed", create + "1 fsync(8</q/incoming>) = -1 EIO (Input/output error)\n" + syncFile + syncDir + ok, nil,
			"R2: 250: a sync of the directory failed"},
		{"unknown message", ok, nil, "R1: no such message"},
		{"discarded", create + "1 unlinkat(AT_FDCWD</q>, \"incoming/4jZQ\", 0) = 0\n" + ok, nil, "R1: acknowledged after it was removed"},

		{"journal", journaled, nil, ""},
		{"journal not synced", segment + syncJournal + create + jot(1, kindCommit, 0, 20) + ok, nil, "R1: 250: journal: the segment is not synced"},
		{"journal's name not synced", segment + create + jot(1, kindCommit, 0, 20) + syncSegment + ok, nil,
			"R1: 250: journal: the segment's name is not synced"},
		{"sync that began too early", segment + syncJournal + create + begun + strings.Replace(jot(2, kindCommit, 0, 20), "1 ", "2 ", 1) + ended + ok, nil,
			"R1: 250: journal: the segment is not synced"},
		{"journal's sync failed for another", segment + syncJournal + create + jot(1, kindCommit, 0, 20) +
			"1 fdatasync(5</q/journal/S>) = -1 EIO (Input/output error)\n" + syncSegment + ok, nil, "R2: 250: a sync of the segment failed"},
		{"half of it in the journal", segment + syncJournal + create + jot(1, kindCommit, 0, 10) + syncSegment + ok, nil,
			"R1: 250: journaled in part: 10 of 20 bytes"},
		{"in pieces", segment + syncJournal + create + jot(1, kindPiece, 0, 15) + jot(1, kindPiece, 15, 5) + jot(1, kindCommit, 0, 0) + syncSegment + ok, nil, ""},
		{"a piece is missing", segment + syncJournal + create + jot(1, kindPiece, 0, 10) + jot(1, kindPiece, 15, 5) + jot(1, kindCommit, 0, 0) + syncSegment + ok, nil,
			"R1: 250: journaled in part: 10 of 20 bytes"},
		{"segment retired", journaled + "1 syncfs(3</q>) = 0\n1 unlinkat(AT_FDCWD</q>, \"journal/S\", 0) = 0\n", nil, ""},
		{"segment retired too early", journaled + "1 unlinkat(AT_FDCWD</q>, \"journal/S\", 0) = 0\n", nil,
			"journal: its segment is retired: file and directory not synced"},

		{"peer took it", byFile + claim + taken1 + remove, []string{"a@r.test"}, ""},
		{"peer was not heard", byFile + claim + remove + taken1, []string{"a@r.test"}, "R3: removed: <a@r.test>: no copy was delivered"},
		{"peer took one copy", byFile + claim + taken1 + remove, []string{"a@r.test", "c@r.test"}, "R3: removed: <c@r.test>: no copy was delivered"},
		{"mailbox", byFile + claim + deliver + syncNew + remove, []string{"b@box.test"}, ""},
		{"mailbox, name not synced", byFile + claim + deliver + remove + syncNew, []string{"b@box.test"},
			"R3: removed: <b@box.test>: mailbox: file synced, directory not synced"},
		{"not noted", journaled + claim + taken1 + remove, []string{"a@r.test"}, "journal: removed, and the journal was not told before"},
		{"noted", journaled + claim + taken1 + jot(2, kindGone, 0, 0) + remove, []string{"a@r.test"}, ""},
		{"marked too early", byFile + claim + deliver + markB, []string{"b@box.test", "a@r.test"},
			"R3: marked: mailbox: file synced, directory not synced"},
		{"deferred with a mark", byFile + claim + deliver + syncNew + markB + defers, []string{"b@box.test", "a@r.test"}, "R4: deferred: a mark is not synced"},
		{"deferred, mark synced", byFile + claim + deliver + syncNew + markB + "2 fsync(7</q/active/4jZQ>) = 0\n" + defers, []string{"b@box.test", "a@r.test"}, ""},
		{"deferred, mark in the journal", journaled + claim + deliver + syncNew + markB + jot(2, kindMark, 15, 0) + syncSegment + defers,
			[]string{"b@box.test", "a@r.test"}, ""},

		{"postdrop", "4 execve(\"/x/postdrop\", [\"postdrop\"], 0x1) = 0\n4 openat(AT_FDCWD</q>, \"maildrop/4jZQ\", O_RDWR|O_CREAT|O_EXCL, 0600) = 7\n" +
			"4 write(7</q/maildrop/4jZQ>, \"x\", 1) = 1\n4 fsync(7</q/maildrop/4jZQ>) = 0\n4 exit_group(0) = ?\n", nil,
			"R1: exit 0 of postdrop: file synced, directory not synced"},
		{"postdrop that fails", "4 execve(\"/x/postdrop\", [\"postdrop\"], 0x1) = 0\n4 openat(AT_FDCWD</q>, \"maildrop/4jZQ\", O_RDWR|O_CREAT|O_EXCL, 0600) = 7\n" +
			"4 exit_group(75) = ?\n", nil, ""},
	} {
		r := replay(t, c.text, c.to...)
		var got []string
		for _, f := range r.Findings {
			got = append(got, fmt.Sprintf("%s: %s", f.Rule, f.What))
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// What a notice or the next hop holds durably needs no other copy.
func TestNextInTheQueue(t *testing.T) {
	first := create + syncFile + syncDir + ok + claim
	next := func(content string) string {
		return `2 openat(AT_FDCWD</q>, "incoming/4jZR", O_RDWR|O_CREAT|O_EXCL, 0600) = 8</q/incoming/4jZR>
2 pwrite64(8</q/incoming/4jZR>, "` + content + `", 20, 0) = 20
`
	}
	synced := "2 fsync(8</q/incoming/4jZR>) = 0\n2 fsync(9</q/incoming>) = 0\n"
	notice := next(`multipart/report <a@r.test>: gone X-Test-Id: t.1\n`)
	for _, c := range []struct {
		name, text string
		findings   int
	}{
		{"hop", first + next(`X-Test-Id: t.1\n`) + synced + remove, 0},
		{"hop, not synced", first + next(`X-Test-Id: t.1\n`) + remove, 1},
		{"another message", first + next(`X-Test-Id: t.2\n`) + synced + remove, 1},
		{"notice", first + notice + synced + remove, 0},
		{"notice, not synced", first + notice + remove, 1},
		{"notice of another recipient", first + strings.ReplaceAll(notice, "a@r", "c@r") + synced + remove, 1},
	} {
		if r := replay(t, c.text, "a@r.test"); len(r.Findings) != c.findings {
			t.Errorf("%s: %v", c.name, r.Findings)
		}
	}
}

func TestNoteDelay(t *testing.T) {
	r := replay(t, segment+syncJournal+create+jot(2, kindGone, 0, 0)+syncSegment+jot(2, kindGone, 0, 0))
	if r.NotesOpen != 1 || r.NoteDelay.Microseconds() != 1 {
		t.Errorf("%d notes open, delay %s", r.NotesOpen, r.NoteDelay)
	}
	// Without a journal it is the directory, and the file, that is to be synced.
	first := create + syncFile + syncDir + ok + claim + taken1
	const syncActive, syncMarks = "2 fsync(8</q/active>) = 0\n", "2 fsync(7</q/active/4jZQ>) = 0\n"
	for _, c := range []struct {
		name, text string
		open       int
		delay      int64 // in microseconds
	}{
		{"removal", first + remove, 1, 0},
		{"removal, synced before", first + syncActive + remove, 1, 0},
		{"removal, synced", first + remove + syncDir + syncActive, 0, 2},
		{"removal, sync failed", first + remove + "2 fsync(8</q/active>) = -1 EIO (Input/output error)\n" + syncActive, 1, 0},
		{"mark", first + markB, 1, 0},
		{"mark, synced", first + markB + syncDir + syncMarks, 0, 2},
		{"mark, removed", first + markB + syncDir + remove + syncActive, 0, 1},
	} {
		r := replay(t, c.text, "a@r.test")
		if r.NotesOpen != c.open || r.NoteDelay.Microseconds() != c.delay {
			t.Errorf("%s: %d notes open, delay %s", c.name, r.NotesOpen, r.NoteDelay)
		}
	}
}
