package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posthaste/internal/config"
)

// toolbox runs the table commands in a directory with a small main.cf.
type toolbox struct {
	t   *testing.T
	dir string
}

func newToolbox(t *testing.T) toolbox {
	b := toolbox{t, t.TempDir()}
	b.write("main.cf", "compatibility_level = 3.6\ndefault_database_type = hash\nmyhostname = h.test\nalias_database = hash:"+b.dir+"/aliases\n")
	return b
}

func (b toolbox) path(name string) string { return filepath.Join(b.dir, name) }

func (b toolbox) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// run returns the exit status, standard output and standard error. DIR in an
// argument stands for the directory, in the output too.
func (b toolbox) run(command tool, stdin string, args ...string) (int, string, string) {
	b.t.Helper()
	args = append([]string{"/usr/sbin/" + command.name}, args...)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "DIR", b.dir)
	}
	var out, errs bytes.Buffer
	status := command.run(Env{
		Args: args, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
		Getenv: func(name string) string {
			if name == "MAIL_CONFIG" {
				return b.dir
			}
			return ""
		},
		Catalog: config.NewCatalog(config.Common{}),
	})
	return status, out.String(), strings.ReplaceAll(errs.String(), b.dir, "DIR")
}

// tool is a command and the name it is called by.
type tool struct {
	name string
	run  func(Env) int
}

var (
	postmap    = tool{"postmap", Postmap}
	postalias  = tool{"postalias", Postalias}
	newaliases = tool{"newaliases", Newaliases}
)

type step struct {
	command    tool
	stdin      string
	args       string
	status     int
	out, error string
}

func (b toolbox) steps(steps []step) {
	b.t.Helper()
	for _, s := range steps {
		status, out, errs := b.run(s.command, s.stdin, strings.Fields(s.args)...)
		if status != s.status || out != s.out || errs != s.error {
			b.t.Errorf("%s <%q:\nstatus %d, out %q, error %q\n  want %d, out %q, error %q",
				s.args, s.stdin, status, out, errs, s.status, s.out, s.error)
		}
	}
}

// The answers and texts are those of Postfix 3.7.
func TestPostmap(t *testing.T) {
	b := newToolbox(t)
	b.write("m", "# c\nfoo bar\nfoo baz\nnoval\n  cont\nnovalue\nKey:  colon\nbad\xff v\n\"a b\" c\n")
	b.steps([]step{
		{postmap, "", "hash:DIR/m", 0, "", `postmap: warning: DIR/m.db: duplicate entry: "foo"
postmap: warning: DIR/m, line 6: expected format: key whitespace value -- ignoring this line
postmap: warning: DIR/m, line 7: record is in "key: value" format; is this an alias file?
postmap: warning: DIR/m, line 8: non-UTF-8 input "bad? v" -- ignoring this line
`},
		{postmap, "", "-s DIR/m", 0, "foo\tbar\nnoval\tcont\nkey:\tcolon\n\"a b\"\tc\n", ""},
		{postmap, "", "-q FOO hash:DIR/m", 0, "bar\n", ""},
		{postmap, "", "-fq FOO hash:DIR/m", 1, "", ""},
		{postmap, "", "-q nope hash:DIR/m static:x", 0, "x\n", ""},
		{postmap, "", "-q nope hash:DIR/m", 1, "", ""},
		{postmap, "FOO\nnope\nnoval\n", "-q - hash:DIR/m", 0, "FOO\tbar\nnoval\tcont\n", ""},
		{postmap, "foo\n", "-j -q - hash:DIR/m", 0, "{\"foo\": \"bar\"}\n", ""},
		{postmap, "nope\n", "-q - hash:DIR/m", 1, "", ""},
		{postmap, "", "-d foo hash:DIR/m", 0, "", ""},
		{postmap, "", "-d foo hash:DIR/m", 1, "", ""},
		{postmap, "foo new\n", "-i hash:DIR/m", 0, "", ""},
		{postmap, "foo new2\n", "-i hash:DIR/m", 0, "", "postmap: warning: DIR/m.db: duplicate entry: \"foo\"\n"},
		{postmap, "foo new3\n", "-iw hash:DIR/m", 0, "", ""},
		{postmap, "", "-q foo hash:DIR/m", 0, "new\n", ""},
		{postmap, "foo new4\n", "-ir hash:DIR/m", 0, "", ""},
		{postmap, "", "-q foo btree:DIR/m", 0, "new4\n", ""},
		{postmap, "foo\nnoval\n", "-d - hash:DIR/m", 0, "", ""},
		{postmap, "", "-s hash:DIR/m", 0, "key:\tcolon\n\"a b\"\tc\n", ""},
		{postmap, "a b\n", "-i hash:DIR/new", 0, "", ""},
		{postmap, "", "-q a hash:DIR/new", 0, "b\n", ""},
		{postmap, "", "-q x fail:zz", 1, "", "postmap: fatal: table fail:zz: query error: Application error\n"},
		{postmap, "", "-q x hash:DIR/no", 1, "", "postmap: fatal: open database DIR/no.db: No such file or directory\n"},
		{postmap, "", "hash:DIR/no", 1, "", "postmap: fatal: open DIR/no: No such file or directory\n"},
		{postmap, "", "-q x foo:DIR/no", 1, "", "postmap: fatal: unsupported dictionary type: foo\n"},
		{postmap, "", "regexp:DIR/m", 1, "", "postmap: fatal: unsupported dictionary type: regexp does not support bulk-mode creation.\n"},
		{postmap, "", "-s static:x", 1, "", "postmap: fatal: table static:x: sequence operation is not supported\n"},
		{postmap, "", "-q a -d b x", 1, "", "postmap: fatal: specify only one of -s -q or -d\n"},
		{postmap, "", "-b DIR/m", 1, "", "postmap: fatal: specify -b -h or -m only with \"-q -\"\n"},
	})
}

func TestPostmapMessageQueries(t *testing.T) {
	b := newToolbox(t)
	b.write("r", "/a/ AA\n/body/ BB\n/^$/ EE\n")
	const message = "Subject: a\n b\nTo: x\n\nbody1\nbody2: a\n"
	b.steps([]step{
		{postmap, message, "-q - -h regexp:DIR/r", 0, "Subject: a\n b\tAA\n", ""},
		{postmap, message, "-q - -b regexp:DIR/r", 0, "\tEE\nbody1\tBB\nbody2: a\tAA\n", ""},
	})
}

func TestPostmapFileValues(t *testing.T) {
	b := newToolbox(t)
	b.write("one", "hello\n")
	b.write("two", "world\n")
	b.write("m", "k "+b.path("one")+", "+b.path("two")+"\nbad "+b.path("none")+"\n")
	b.steps([]step{
		{postmap, "", "-F hash:DIR/m", 0, "", "postmap: warning: DIR/m, line 2: open DIR/none: No such file or directory: skipping this entry\n"},
		{postmap, "", "-q k hash:DIR/m", 0, "aGVsbG8KCndvcmxkCg==\n", ""},
		{postmap, "", "-Fq k hash:DIR/m", 0, "hello\n\nworld\n\n", ""},
	})
}

func TestPostmapUsage(t *testing.T) {
	b := newToolbox(t)
	for _, args := range []string{"", "-Z x", "-q"} {
		status, _, errs := b.run(postmap, "", strings.Fields(args)...)
		if status != 1 || !strings.HasSuffix(errs, "postmap: fatal: usage: postmap [-bfFhijmnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...\n") {
			t.Errorf("%q: status %d, %q", args, status, errs)
		}
	}
}

func TestPostmapMode(t *testing.T) {
	b := newToolbox(t)
	b.write("m", "a b\n")
	for _, c := range []struct {
		source os.FileMode
		args   string
		want   os.FileMode
	}{
		{0o600, "DIR/m", 0o600}, {0o640, "DIR/m", 0o640}, {0o666, "DIR/m", 0o644}, {0o600, "-p DIR/m", 0o644},
	} {
		os.Chmod(b.path("m"), c.source)
		b.steps([]step{{postmap, "", c.args, 0, "", ""}})
		info, err := os.Stat(b.path("m.db"))
		if err != nil || info.Mode().Perm() != c.want {
			t.Errorf("source %v, postmap %s: database %v, want %v", c.source, c.args, info.Mode(), c.want)
		}
	}
	os.Chmod(b.path("m"), 0o644)
	b.steps([]step{{postmap, "x y\n", "-i DIR/m", 0, "", ""}})
	if info, _ := os.Stat(b.path("m.db")); info.Mode().Perm() != 0o644 {
		t.Errorf("-i changed the mode to %v", info.Mode())
	}
}

func TestPostmapOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	b := newToolbox(t)
	b.write("secret", "s\n")
	os.Chmod(b.path("secret"), 0o600)
	b.write("m", "a "+b.path("secret")+"\n")
	os.Chown(b.path("m"), 12345, 12345)
	b.steps([]step{
		{postmap, "", "-F DIR/m", 0, "", "postmap: warning: DIR/m, line 1: open DIR/secret: not readable for the owner of the table (uid 12345): skipping this entry\n"},
		{postmap, "", "-Fq a DIR/m", 1, "", ""},
	})
	info, err := os.Stat(b.path("m.db"))
	if err != nil || uidOf(info) != 12345 {
		t.Errorf("database belongs to %d, %v", uidOf(info), err)
	}
}

// The answers and texts are those of Postfix 3.7.
func TestPostalias(t *testing.T) {
	b := newToolbox(t)
	b.write("aliases", "# c\nroot: me, you\nroot: dup\nnocolon foo\n\"a b\": |\"cmd x\"\nuser@dom: z\nList: :include:/a/b, /file\n")
	warnings := `: warning: DIR/aliases.db: duplicate entry: "root"
: warning: DIR/aliases, line 4: need name:value pair
: warning: DIR/aliases, line 6: name must be local
`
	b.steps([]step{
		{postalias, "", "DIR/aliases", 0, "", strings.ReplaceAll(warnings, ": warning", "postalias: warning")},
		{postalias, "root\nzz\nLIST\n", "-q - DIR/aliases", 0, "root:\tme, you\nLIST:\t:include:/a/b, /file\n", ""},
		{postalias, "", "-q YP_MASTER_NAME -f DIR/aliases", 0, "h.test\n", ""},
		{postalias, "", "-q @ DIR/aliases", 0, "@\n", ""},
		{newaliases, "", "", 0, "", strings.ReplaceAll(warnings, ": warning", "newaliases: warning")},
	})
	if status, out, _ := b.run(postalias, "", "-q", "a b", "DIR/aliases"); status != 0 || out != "|\"cmd x\"\n" {
		t.Errorf("quoted name: %d, %q", status, out)
	}
	b.write("other", "x: y\n")
	b.steps([]step{
		{newaliases, "", "-oADIR/other", 0, "", ""},
		{postalias, "", "-q x DIR/other", 0, "y\n", ""},
	})
}
