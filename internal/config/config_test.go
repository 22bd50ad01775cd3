package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestDir(t *testing.T) {
	env := func(string) string { return "/from/env" }
	none := func(string) string { return "" }
	if got := Dir("/from/option", env); got != "/from/option" {
		t.Error(got)
	}
	if got := Dir("", env); got != "/from/env" {
		t.Error(got)
	}
	if got := Dir("", none); got != "/etc/postfix" {
		t.Error(got)
	}
}

// Children see the configuration that master read.
func TestEncode(t *testing.T) {
	set, err := Load("testdata/site")
	if err != nil {
		t.Fatal(err)
	}
	data := Encode(set)
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(set, got, cmpopts.IgnoreUnexported(MainFile{}, MasterFile{}, Service{})); diff != "" {
		t.Error(diff)
	}
	for _, bad := range [][]byte{nil, []byte("x"), data[:len(data)-1], append(data[:len(data):len(data)], 0)} {
		if _, err := Decode(bad); err == nil {
			t.Errorf("%d bytes were decoded", len(bad))
		}
	}
}

func TestLoadErrors(t *testing.T) {
	_, err := Load("/nonexistent")
	if err == nil || err.Error() != "open /nonexistent/main.cf: No such file or directory" || !IsNotExist(err) {
		t.Errorf("error %v", err)
	}
}

func TestFormat(t *testing.T) {
	long := "aaaaaaaaaa bbbbbbbbbb cccccccccc dddddddddd eeeeeeeeee fffffffffff1"
	for _, test := range []struct{ label, value, want string }{
		{"a", "", "a ="},
		{"a", " b  c\td ", "a = b c d"},
		{"myhostname", long, "myhostname = " + long}, // 80 bytes
		{"myhostnames", long, "myhostnames = " + strings.Replace(long, " fff", "\n    fff", 1)},
		{"myhostnames", strings.Replace(long, "fff", "#ff", 1), "myhostnames = " + strings.Replace(long, "fff", "#ff", 1)},
	} {
		if got := FormatSetting(test.label, test.value, true); got != test.want {
			t.Errorf("%s: %q", test.label, got)
		}
	}
	if got := FormatValue("", false) + FormatValue(" a  b ", false); got != "a b" {
		t.Errorf("%q", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(encodeMagic + "\x00\x00\x00\x01d\x00\x00\x00\x03a=b\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if set, err := Decode(data); err == nil && string(Encode(set)) != string(data) {
			t.Fatal("decoded something else")
		}
	})
}
