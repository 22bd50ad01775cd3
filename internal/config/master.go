package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Service is one row of master.cf.
type Service struct {
	Name string // as written: smtp, 25, 127.0.0.1:10025, [::1]:smtp, private name
	Type string // inet, unix, fifo, pass, unix-dgram

	Private      bool          // the socket is in private/ and not in public/
	Unprivileged bool          // runs as mail_owner and not as root
	Chroot       bool          // runs below the queue directory
	ChrootAuto   bool          // the column was '-': by compatibility_level, y below 1
	Wakeup       time.Duration // 0: never
	WakeupIfUsed bool          // the time was followed by '?'
	MaxProc      int           // 0: no limit; MaxProcDefault: $default_process_limit

	Command   string     // smtpd, smtp, …
	Args      []string   // without -o, -v and -D; braces removed; unexpanded
	Overrides []Override // -o settings in order; unexpanded
	Verbose   int        // number of -v
	Debug     bool       // -D

	File   string
	Line   int
	Fields Fields // the row as written

	options int // how many words of Fields.Command are the command and its options
}

// MaxProcDefault is the MaxProc of a row whose column is '-'.
const MaxProcDefault = -1

// Fields are the columns of a row as written: service, type, private,
// unprivileged, chroot, wakeup, process limit, and the command with its
// arguments (a group in braces is one argument, braces included; `-o` and its
// setting are two).
type Fields struct {
	Columns [7]string
	Command []string
}

// MasterFile is a parsed master.cf.
type MasterFile struct {
	Path     string
	Services []Service // one per service name and type, in file order
	Rows     []Service // all rows, with those that a later row replaces
	Warnings []string

	text []byte
}

// ReadMaster reads and parses the master.cf at path.
func ReadMaster(path string) (*MasterFile, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return ParseMaster(path, data)
}

// ParseMaster parses the text of a master.cf. path is used in messages only.
// Of two rows with the same name and type the last counts, with a warning, as
// in Postfix.
func ParseMaster(path string, data []byte) (*MasterFile, error) {
	f := &MasterFile{Path: path, text: data}
	for _, line := range logicalLines(data) {
		if isSpace(line.text[0]) {
			f.Warnings = append(f.Warnings, fmt.Sprintf("%s: logical line must not start with whitespace: \"%.30s\"", path, line.text))
			continue
		}
		row, err := ParseService(line.text)
		if err != nil {
			return nil, &Error{File: path, Line: line.first, Text: err.Error()}
		}
		row.File, row.Line = path, line.first
		f.Rows = append(f.Rows, row)
	}
	index := make(map[[2]string]int)
	for _, row := range f.Rows {
		key := [2]string{row.Name, row.Type}
		if i, ok := index[key]; ok {
			f.Warnings = append(f.Warnings, fmt.Sprintf("%s, line %d: duplicate master.cf entry for service \"%s\" (%s) -- using the last entry",
				path, row.Line, row.Name, row.Type))
			f.Services[i] = row
			continue
		}
		index[key] = len(f.Services)
		f.Services = append(f.Services, row)
	}
	return f, nil
}

// Find returns the row with the given name and type.
func (f *MasterFile) Find(name, typ string) (Service, bool) {
	for _, s := range f.Services {
		if s.Name == name && s.Type == typ {
			return s, true
		}
	}
	return Service{}, false
}

// Chrooted tells whether the service runs below the queue directory: its
// column says so, or is '-' at a compatibility level below 1.
func (s Service) Chrooted(level Level) bool {
	return s.Chroot || s.ChrootAuto && level.Compare(Level{Major: 1}) < 0
}

// Host splits the name of an inet service: the host part without brackets
// (empty: the addresses of inet_interfaces) and the port or service name.
func (s Service) Host() (host, port string) {
	i := strings.LastIndexByte(s.Name, ':')
	if i < 0 {
		return "", s.Name
	}
	host, port = s.Name[:i], s.Name[i+1:]
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return host, port
}

// ParseService parses one logical line of master.cf, without file and line.
func ParseService(text string) (Service, error) {
	words, err := splitArgs(text)
	if err != nil {
		return Service{}, err
	}
	var s Service
	if len(words) < len(s.Fields.Columns)+1 {
		return Service{}, fmt.Errorf("bad field count: \"%s\"", excerpt(text))
	}
	copy(s.Fields.Columns[:], words)
	if err := s.parseColumns(); err != nil {
		return Service{}, fmt.Errorf("%w in \"%s\"", err, excerpt(text))
	}
	if err := s.parseCommand(words[len(s.Fields.Columns):]); err != nil {
		return Service{}, fmt.Errorf("%w in \"%s\"", err, excerpt(text))
	}
	return s, nil
}

// columnNames are the names of Fields.Columns in messages and in postconf -F.
var columnNames = [...]string{"service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit"}

func badColumn(i int, value string) error {
	return fmt.Errorf("invalid %s field \"%s\"", columnNames[i], excerpt(value))
}

func (s *Service) parseColumns() error {
	c := s.Fields.Columns
	s.Name, s.Type = c[0], c[1]
	switch s.Type {
	case "inet":
		if _, port := s.Host(); port == "" {
			return badColumn(0, s.Name)
		}
	case "unix", "fifo", "pass", "unix-dgram":
		// The name becomes a file below the queue directory.
		if strings.HasPrefix(s.Name, "/") || strings.Contains("/"+s.Name+"/", "/../") {
			return badColumn(0, s.Name)
		}
	default:
		return badColumn(1, s.Type)
	}
	var ok [3]bool
	s.Private, ok[0] = flag(c[2], s.Type != "inet")
	s.Unprivileged, ok[1] = flag(c[3], true)
	s.Chroot, ok[2] = flag(c[4], false)
	s.ChrootAuto = c[4] == "-"
	for i, good := range ok {
		if !good {
			return badColumn(2+i, c[2+i])
		}
	}
	if s.Type == "inet" && s.Private {
		// A network socket cannot be hidden in a directory.
		return errors.New("inet service cannot be private")
	}
	if c[5] != "-" {
		text, ifUsed := strings.CutSuffix(c[5], "?")
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return badColumn(5, c[5])
		}
		s.Wakeup, s.WakeupIfUsed = time.Duration(n)*time.Second, ifUsed
	}
	s.MaxProc = MaxProcDefault
	if c[6] != "-" {
		n, err := strconv.ParseUint(c[6], 10, 31)
		if err != nil {
			return badColumn(6, c[6])
		}
		s.MaxProc = int(n)
	}
	return nil
}

func flag(text string, unset bool) (value, ok bool) {
	switch text {
	case "y":
		return true, true
	case "n":
		return false, true
	case "-":
		return unset, true
	}
	return false, false
}
