package command

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/table"
)

// errNoTable asks for the usage text: no table was named.
var errNoTable = errors.New("no table")

// tableTool is one run of postmap or postalias.
type tableTool struct {
	env     Env
	options string // as for getopt(3)
	usage   string // without the name of the command
	aliases bool   // sources are aliases(5)

	configDir   string
	deleteKey   *string // -d
	queryKey    *string // -q
	list        bool    // -s
	incremental bool    // -i
	replace     bool    // -r
	ignore      bool    // -w
	noFold      bool    // -f
	fileValues  bool    // -F: values are names of files
	body        bool    // -b
	header      bool    // -h
	mime        bool    // -m
	json        bool    // -j
	keepRoot    bool    // -o
	defaultMode bool    // -p
	noUTF8      bool    // -u
	forceUTF8   bool    // -U

	defaultType   string // default_database_type
	aliasDatabase string // alias_database
	hostname      string // myhostname
	utf8          bool   // smtputf8_enable, and none of -u, -b, -h
}

// readOptions reads the command line and returns the tables it names.
func (t *tableTool) readOptions() ([]string, error) {
	options := NewOptions(t.env.arguments(), t.options)
	flag, value, err := options.Next()
	for ; err == nil; flag, value, err = options.Next() {
		t.set(flag, value)
	}
	if err != io.EOF {
		return nil, err
	}
	specs := options.Rest()
	fromStdin := t.queryKey != nil && *t.queryKey == "-"
	switch {
	case len(specs) == 0:
		return nil, errNoTable
	case t.deleteKey != nil && t.queryKey != nil:
		return nil, errors.New("specify only one of -s -q or -d")
	case t.list && (t.queryKey != nil || t.deleteKey != nil):
		return nil, errors.New("specify only one of -s or -q or -d")
	case (t.body || t.header || t.mime) && !fromStdin:
		return nil, errors.New("specify -b -h or -m only with \"-q -\"")
	}
	if t.mime {
		if t.body || t.header {
			return nil, errors.New("option -m (look into MIME parts) is not supported: only the message's own header and body can be tested")
		}
		t.warn("ignoring -m option without -b or -h")
	}
	return specs, nil
}

func (t *tableTool) set(flag byte, value string) {
	switch flag {
	case 'b':
		t.body = true
	case 'c':
		t.configDir = value
	case 'd':
		t.deleteKey = &value
	case 'f':
		t.noFold = true
	case 'F':
		t.fileValues = true
	case 'h':
		t.header = true
	case 'i':
		t.incremental = true
	case 'j':
		t.json = true
	case 'm':
		t.mime = true
	case 'o':
		t.keepRoot = true
	case 'p':
		t.defaultMode = true
	case 'q':
		t.queryKey = &value
	case 'r':
		t.replace = true
	case 's':
		t.list = true
	case 'u':
		t.noUTF8 = true
	case 'U':
		t.forceUTF8 = true
	case 'w':
		t.ignore = true
	}
	// -n, -N (a null byte after each string) and -v have nothing to change
	// here: the file format counts its bytes.
}

// readConfig takes from main.cf what tables depend on.
func (t *tableTool) readConfig() error {
	dir := config.Dir(t.configDir, t.env.Getenv)
	file, err := config.ReadMain(filepath.Join(dir, "main.cf"))
	if err != nil {
		return err
	}
	snap, err := config.New(file, t.env.Catalog, nil)
	if err != nil {
		return err
	}
	t.defaultType, _ = snap.Get("default_database_type")
	t.aliasDatabase, _ = snap.Get("alias_database")
	t.hostname, _ = snap.Get("myhostname")
	text, _ := snap.Get("smtputf8_enable")
	enabled, _ := config.ParseBool(text)
	t.utf8 = enabled && !t.noUTF8 && (!t.body && !t.header || t.forceUTF8)
	return nil
}

func (t *tableTool) tableOptions() table.Options {
	return table.Options{Warn: t.warn, UTF8: t.utf8, NoFold: t.noFold}
}

func (t *tableTool) warn(format string, args ...any) {
	t.env.Warn("%s", visible(fmt.Sprintf(format, args...)))
}

// visible replaces bytes that are not UTF-8: tables may hold any.
func visible(text string) string { return strings.ToValidUTF8(text, "?") }
