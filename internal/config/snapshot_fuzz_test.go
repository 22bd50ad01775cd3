package config

import (
	"strings"
	"testing"
)

// FuzzSnapshot takes a main.cf from text to values. A setting without macros
// has its value; no value is larger than an expansion may be; and a parameter
// that is wrong is named with its file.
func FuzzSnapshot(f *testing.F) {
	f.Add("myhostname = a.b.test\nmydomain = $myhostname\nx = ${myhostname?{y}:{z}}\n")
	f.Add("a = $b\nb = $a\n")
	f.Add("relayhost = ${{$compatibility_level} >=level {3.6} ? {a} : {b}}\nqueue_directory=/x\n")
	f.Add("a = 1234567890123456\nb=$a$a$a$a$a$a$a$a\nc=$b$b$b$b$b$b$b$b\nd=$c$c$c$c$c$c$c$c\ne=$d$d$d$d$d$d$d$d\nf=$e$e$e$e$e$e$e$e\ng=$f$f$f$f$f$f$f$f\n")
	var common Common
	catalog := NewCatalog(&common)
	f.Fuzz(func(t *testing.T, text string) {
		main, err := ParseMain("main.cf", []byte(text))
		if err != nil {
			return
		}
		snap, err := NewSnapshot(main, catalog, Service{}, Host{Name: func() (string, error) { return "h.test", nil }})
		if err != nil {
			if !strings.Contains(err.Error(), "main.cf") {
				t.Errorf("which file? %v", err)
			}
			return
		}
		for _, s := range main.Settings {
			last, _ := main.Get(s.Name)
			value, defined, err := snap.Lookup(s.Name)
			if len(value) > maxExpansion {
				t.Errorf("%s has %d bytes", s.Name, len(value))
			}
			literal := !strings.Contains(last.Value, "$") && s.Name != "config_directory"
			if literal && (err != nil || !defined || value != last.Value) {
				t.Errorf("%s is %q, want %q, %v", s.Name, value, last.Value, err)
			}
		}
	})
}
