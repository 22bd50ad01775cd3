package trace

import (
	"reflect"
	"strings"
	"testing"
)

func read(t *testing.T, text string) *Trace {
	t.Helper()
	tr, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestRead(t *testing.T) {
	tr := read(t, `10 1.000001 clone(child_stack=0xc0, flags=CLONE_VM|CLONE_THREAD) = 11
11 1.000002 openat(AT_FDCWD</q>, "incoming/A", O_RDWR|O_CREAT, 0600 <unfinished ...>
10 1.000003 fsync(5</q/incoming>) = -1 EIO (Input/output error) (INJECTED)
11 1.000004 <... openat resumed>) = 7</q/incoming/A>
11 1.000005 --- SIGURG {si_signo=SIGURG} ---
11 1.000006 write(9<TCP:[127.0.0.1:25->127.0.0.1:4]>, "250 a = b, \"c\"\r\n", 17) = 17
10 1.000007 exit_group(0) = ?
10 1.000008 +++ exited with 0 +++
10 1.0000`)
	type event struct {
		name, arg string
		end       bool
		result    int64
	}
	var got []event
	for _, e := range tr.Events {
		got = append(got, event{e.Name, e.Bytes(1), e.End, e.Result})
	}
	want := []event{
		{"clone", "", false, 11}, {"clone", "", true, 11},
		{"openat", "incoming/A", false, 7},
		{"fsync", "", false, -1}, {"fsync", "", true, -1},
		{"openat", "incoming/A", true, 7},
		{"write", "250 a = b, \"c\"\r\n", false, 17}, {"write", "250 a = b, \"c\"\r\n", true, 17},
		{"exit_group", "", false, 0}, {"exit_group", "", true, 0},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if p := tr.Process(11); p != 10 {
		t.Errorf("thread 11 belongs to %d", p)
	}
	if c := tr.Events[3].Call; c.Errno != "EIO" || !c.Injected || c.Descriptor(0) != "/q/incoming" {
		t.Errorf("%+v", c)
	}
	if c := tr.Events[6].Call; c.Descriptor(0) != "TCP:[127.0.0.1:25->127.0.0.1:4]" || c.Arg(2) != "17" {
		t.Errorf("%+v", c)
	}
	if c := tr.Events[5].Call; c.Path(1, true, "/") != "/q/incoming/A" {
		t.Errorf("path %s", c.Path(1, true, "/"))
	}
}

func TestArguments(t *testing.T) {
	tr := read(t, `1 1.0 sendmsg(3<UNIX:[1->2]>, {msg_name=NULL, msg_iov=[{iov_base="a\0\12b", iov_len=4}, {iov_base="c", iov_len=1}], msg_iovlen=2}, 0) = 5
1 1.1 unlink("deferred/A/x") = 0
1 1.2 pwrite64(4</q/j>(deleted), "D"..., 1, 77) = 1
1 1.3 fsync(3</q/j> <unfinished ...>
`)
	for i, want := range map[int]string{0: "a\x00\nbc"} {
		if got := tr.Events[i].Bytes(1); got != want {
			t.Errorf("bytes %q, want %q", got, want)
		}
	}
	if got := tr.Events[2].Path(0, false, "/q"); got != "/q/deferred/A/x" {
		t.Error(got)
	}
	if c := tr.Events[4]; c.Descriptor(0) != "/q/j" || c.Bytes(1) != "D" || c.Arg(3) != "77" {
		t.Errorf("%+v", c.Call)
	}
	if c := tr.Events[6]; c.Finished || c.Descriptor(0) != "/q/j" {
		t.Errorf("%+v", c.Call)
	}
}

func TestForeignLine(t *testing.T) {
	for _, text := range []string{"hello\n1 1.0 close(3) = 0\n", "1 1.0 nothing\n1 1.0 close(3) = 0\n", "1 1.0 close(3)\n1 1.0 close(3) = 0\n"} {
		if _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
