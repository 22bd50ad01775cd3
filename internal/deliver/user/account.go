package user

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Account is a line of the password file.
type Account struct {
	Name  string
	ID    Identity
	Home  string
	Shell string
}

// Accounts finds users. It is safe for concurrent use. An error is a temporary failure.
type Accounts interface {
	ByName(ctx context.Context, name string) (a Account, found bool, err error)
	ByUID(ctx context.Context, uid uint32) (a Account, found bool, err error)
}

// PasswdFile reads the password file and, for names that are not in it, asks
// the getent program, so that users of LDAP or NIS are found without cgo.
type PasswdFile struct {
	Path   string // empty: /etc/passwd
	Getent string // empty: none
}

// SystemAccounts are the accounts of this machine.
func SystemAccounts() PasswdFile {
	p := PasswdFile{Path: "/etc/passwd"}
	if path, err := exec.LookPath("getent"); err == nil {
		p.Getent = path
	}
	return p
}

// ByName implements Accounts. Names compare exactly.
func (p PasswdFile) ByName(ctx context.Context, name string) (Account, bool, error) {
	if name == "" || strings.ContainsAny(name, ":\n\x00") {
		return Account{}, false, nil
	}
	return p.find(ctx, name, func(a Account) bool { return a.Name == name })
}

// ByUID implements Accounts.
func (p PasswdFile) ByUID(ctx context.Context, uid uint32) (Account, bool, error) {
	return p.find(ctx, strconv.FormatUint(uint64(uid), 10), func(a Account) bool { return a.ID.UID == uid })
}

func (p PasswdFile) find(ctx context.Context, key string, want func(Account) bool) (Account, bool, error) {
	path := p.Path
	if path == "" {
		path = "/etc/passwd"
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Account{}, false, err
	}
	if a, ok := scanAccounts(data, want); ok || p.Getent == "" {
		return a, ok, nil
	}
	return p.getent(ctx, key, want)
}

// getent asks the name service. A key that begins with '-' would be read as
// an option, so such a user does not exist for us.
func (p PasswdFile) getent(ctx context.Context, key string, want func(Account) bool) (Account, bool, error) {
	if strings.HasPrefix(key, "-") {
		return Account{}, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, p.Getent, "passwd", key).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 2 { // not found
		return Account{}, false, nil
	}
	if err != nil {
		return Account{}, false, fmt.Errorf("getent passwd: %w", err)
	}
	a, ok := scanAccounts(out, want)
	return a, ok, nil
}

// scanAccounts returns the first wanted account. Lines that are not accounts
// (comments, NIS marks, bad numbers) are passed over.
func scanAccounts(data []byte, want func(Account) bool) (Account, bool) {
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		f := strings.Split(lines.Text(), ":")
		if len(f) < 7 || f[0] == "" {
			continue
		}
		uid, errU := strconv.ParseUint(f[2], 10, 32)
		gid, errG := strconv.ParseUint(f[3], 10, 32)
		if errU != nil || errG != nil {
			continue
		}
		a := Account{Name: f[0], ID: Identity{UID: uint32(uid), GID: uint32(gid)}, Home: f[5], Shell: f[6]}
		if want(a) {
			return a, true
		}
	}
	return Account{}, false
}
