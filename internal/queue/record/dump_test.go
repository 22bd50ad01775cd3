package record

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func testFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dumped runs Dump as postcat would with these option letters.
func dumped(t testing.TB, data []byte, name, letters string) (out string, err error) {
	t.Helper()
	has := func(l string) bool { return strings.Contains(letters, l) }
	o := DumpOptions{
		Envelope: has("e"), Header: has("h"), Body: has("b"), Offsets: has("o"), Types: has("d"),
		Pointers: has("v"), Physical: has("r"), Warn: func(string, ...any) {},
	}
	if !o.Envelope && !o.Header && !o.Body {
		o.Envelope, o.Header, o.Body = true, true, true
	}
	var b bytes.Buffer
	err = Dump(&b, bytes.NewReader(data), name, o)
	return b.String(), err
}

// What the real postcat prints of the two files, taken from it.
func TestDumpGolden(t *testing.T) {
	old := time.Local
	time.Local = time.UTC
	defer func() { time.Local = old }()
	for _, file := range []string{"small", "milter"} {
		for _, letters := range []string{"all", "o", "ov", "orv", "od", "b", "h", "e", "bo"} {
			t.Run(file+"-"+letters, func(t *testing.T) {
				golden := fmt.Sprintf("%s-%s.golden", file, letters)
				if letters == "all" {
					letters = ""
				}
				got, err := dumped(t, testFile(t, file+".queue"), "FILE", letters)
				if err != nil {
					t.Fatal(err)
				}
				if want := string(testFile(t, golden)); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}

func TestDumpOfBadFiles(t *testing.T) {
	loop := append(testFile(t, "small.queue")[:197:197], "p\x0f            197"...)
	for name, c := range map[string]struct {
		data []byte
		ok   bool
		want string // in the output
	}{
		"empty":          {nil, true, ""},
		"no queue file":  {[]byte("root:x:0:0:root:/root:/bin/bash\n"), true, ""},
		"cut":            {testFile(t, "small.queue")[:215], false, "Subject: hi\n"},
		"cut in a size":  {[]byte("C\x5f  "), false, ""},
		"pointer loop":   {loop, false, "sender: a@b.test\n"},
		"bad pointer":    {append(loop[:197:197], "p\x04 -12"...), false, "MESSAGE CONTENTS"},
		"forged length":  {append(loop[:197:197], "N\xff\xff\xff\x7fx"...), false, "MESSAGE CONTENTS"},
		"bad length":     {append(loop[:197:197], "N\xff\xff\xff\xff\x01x"...), false, "MESSAGE CONTENTS"},
		"size of text":   {append([]byte("C\x05a b c"), "T\x011"...), true, "message_size: a b c\nmessage_arrival_time: "},
		"negative sizes": {[]byte("C\x09-1 -1 0 0M\x00N\x04textX\x00E\x00"), true, "text\n"},
	} {
		got, err := dumped(t, c.data, "FILE", "")
		if (err == nil) != c.ok || !strings.Contains(got, c.want) {
			t.Errorf("%s: error %v, printed\n%s", name, err, got)
		}
	}
}

// randomFile makes a file of records in an order that is mostly right.
func randomFile(r *rand.Rand) []byte {
	var b []byte
	add := func(t Type, payload string) {
		b = append(b, byte(t))
		if n := len(payload); n < 0x80 {
			b = append(b, byte(n))
		} else {
			b = append(b, byte(n)|0x80, byte(n>>7))
		}
		b = append(b, payload...)
	}
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	line := func() string {
		return pick("Subject: x", "x y", " cont", "\tcont", "A : b", ": x", "\xc3\xa4: x", "a\x00b", "X:", "tail ", strings.Repeat("a", 300))
	}
	add(Size, strings.Repeat(" ", sizePayload))
	add(Time, "1700000000 250000")
	for range r.IntN(9) {
		add(Type(pick("A", "A", "A", "W", "S", "K", "V", "L", ">", "<", "i", "n", "o", "w", "F", "I", "c", "T", "e", "r", "P", "Z", "f")[0]),
			pick("create_time=1700000001", "a = b ", "nothing", "x=", "=y", "a\x00=y", "     1700009999", "  -1", "   0", " 0", "Full \x01"))
	}
	add(Recipient, "r@c.test")
	add(Message, "")
	start, body := len(b), false
	for range r.IntN(9) {
		if !body && r.IntN(3) == 0 {
			add(Text, "")
			body = true
		}
		switch n := r.IntN(5); {
		case n == 0 && body:
			add(Fragment, line())
		case n == 1:
			add(Padding, "   0")
		case n == 2:
			add(Pointer, fmt.Sprintf("%15d", []int{0, len(b) + 17}[r.IntN(2)]))
		default:
			add(Text, line())
		}
	}
	end := len(b)
	if r.IntN(10) > 0 {
		add(Extracted, "")
		add(Attribute, "message_id=<x>")
	}
	add(End, "")
	if r.IntN(3) == 0 {
		add(Text, "heap")
	}
	copy(b[2:], fmt.Sprintf("%15d %15d %15d %15d %15d %15d", end-start, start, 1, 0, end-start, 0))
	return b
}

var dumpSeed = flag.Uint64("dumpseed", 8782295695903583808, "`number` that chooses the random files for postcat")

// The real postcat prints the same, byte for byte, of any file and with any options.
func TestDumpIsThatOfPostfix(t *testing.T) {
	postcat, err := exec.LookPath("postcat")
	if err != nil {
		t.Skip("SKIPPED: the real postcat (Debian package postfix) is not installed")
	}
	conf := t.TempDir()
	if err := os.WriteFile(conf+"/main.cf", []byte("compatibility_level = 3.6\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(*dumpSeed, 0))
	for i := range 200 {
		data := testFile(t, []string{"small.queue", "milter.queue"}[i%2])
		if i > 20 {
			data = randomFile(r)
		}
		path := filepath.Join(conf, "file")
		if err := os.WriteFile(path, data, 0o700); err != nil {
			t.Fatal(err)
		}
		letters := ""
		args := []string{"-c", conf}
		for _, l := range []string{"b", "e", "h", "d", "o", "r", "v"} {
			if r.IntN(3) == 0 {
				letters += l
				args = append(args, "-"+l)
			}
		}
		cmd := exec.Command(postcat, append(args, path)...)
		var out bytes.Buffer
		cmd.Stdout = &out
		wantErr := cmd.Run()
		got, err := dumped(t, data, path, letters)
		if got != out.String() || (err == nil) != (wantErr == nil) {
			t.Fatalf("-%s of %q: error %v, that of Postfix %v; printed\n%s\nPostfix prints\n%s", letters, data, err, wantErr, got, out.String())
		}
	}
}
