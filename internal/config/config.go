// Package config reads a Postfix configuration directory: main.cf, master.cf,
// the expansion of $name in values, the -o settings of a service, typed access
// through struct tags, and changes written back to the files.
//
// It reads and writes those two files and asks the machine for its name and
// its network interfaces (Host). It knows no service and logs nothing: it
// returns errors and lists of things worth a warning.
package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// DefaultDir is the configuration directory when neither the -c option nor
// MAIL_CONFIG names one.
const DefaultDir = "/etc/postfix"

// Dir chooses the configuration directory: the -c option when given, else the
// environment variable MAIL_CONFIG, else DefaultDir.
func Dir(option string, getenv func(string) string) string {
	if option != "" {
		return option
	}
	if d := getenv("MAIL_CONFIG"); d != "" {
		return d
	}
	return DefaultDir
}

// Set is one configuration directory as it was read: both files, parsed.
type Set struct {
	Dir    string
	Main   *MainFile
	Master *MasterFile
}

// Load reads main.cf and master.cf in dir. An error names the file and, for
// bad text, the line.
func Load(dir string) (*Set, error) {
	mainText, err := readFile(filepath.Join(dir, "main.cf"))
	if err != nil {
		return nil, err
	}
	masterText, err := readFile(filepath.Join(dir, "master.cf"))
	if err != nil {
		return nil, err
	}
	return parseSet(dir, mainText, masterText)
}

// LoadMain reads main.cf alone: Master is empty.
func LoadMain(dir string) (*Set, error) {
	m, err := ReadMain(filepath.Join(dir, "main.cf"))
	if err != nil {
		return nil, err
	}
	return &Set{Dir: dir, Main: m, Master: new(MasterFile)}, nil
}

func parseSet(dir string, mainText, masterText []byte) (*Set, error) {
	m, err := ParseMain(filepath.Join(dir, "main.cf"), mainText)
	if err != nil {
		return nil, err
	}
	s, err := ParseMaster(filepath.Join(dir, "master.cf"), masterText)
	if err != nil {
		return nil, err
	}
	return &Set{Dir: dir, Main: m, Master: s}, nil
}

// maxFile bounds a configuration file. Real ones are a few kilobytes; the
// bound keeps a wrong path (a device, a log) from filling the memory.
const maxFile = 16 << 20

// readFile reads a configuration file. Its errors read as Postfix's do:
// `open FILE: No such file or directory`.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, openError(path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("open %s: file is larger than %d bytes", path, maxFile)
	}
	return data, nil
}
