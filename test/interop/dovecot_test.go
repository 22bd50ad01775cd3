package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"posthaste/test/harness"
)

// dovecotConf is a Dovecot that takes mail by LMTP for the users in a file and
// knows nobody else.
const dovecotConf = `base_dir = @DIR@/run
state_dir = @DIR@/state
log_path = @DIR@/log
protocols = lmtp
ssl = no
listen = 127.0.0.1
first_valid_uid = 1
default_internal_user = @OWNER@
default_internal_group = @GROUP@
default_login_user = @OWNER@
mail_location = maildir:~/Maildir
auth_username_format = %n
userdb {
  driver = passwd-file
  args = @DIR@/users
}
passdb {
  driver = passwd-file
  args = @DIR@/users
}
service anvil {
  chroot =
}
service lmtp {
  chroot =
  inet_listener lmtp {
    address = 127.0.0.1
    port = @PORT@
  }
}
`

// Dovecot takes mail from our LMTP client, and refuses one of the recipients.
func TestDovecotLMTP(t *testing.T) {
	t.Parallel()
	port, dir := startDovecot(t)
	sink, values := newSink(t)
	i := start(t, boxes()+fmt.Sprintf("transport_maps = inline:{{dovecot.example.test = lmtp:inet:127.0.0.1:%d}}\n", port), values)
	text := swaksHead + "Subject: to Dovecot\n\n.\n..two\nFrom here\n\u4f60\u597d \xff\n"
	dialogue := "S: 220 {*}\nC: HELO client.test\nS: 250 {*}\nC: MAIL FROM:<a@client.test>\nS: 250 {*}\n"
	for _, name := range []string{"u1", "nobody", "u2"} {
		dialogue += "C: RCPT TO:<" + name + "@dovecot.example.test>\nS: 250 {*}\n"
	}
	dialogue += "C: DATA\nS: 354 {*}\n"
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.HasPrefix(line, ".") {
			line = "." + line
		}
		dialogue += "C: " + line + "\n"
	}
	play(t, i, dialogue+"C: .\nS: 250 2.0.0 Ok: queued as {*}\nC: QUIT\nS: 221 {*}\n")
	front := regexp.MustCompile(`\AReturn-Path: <a@client\.test>\nReceived: from mx\.example\.test (?:.*\n)(?:\t.*\n)+` +
		`Received: from client\.test (?:.*\n)(?:\t.*\n)+\z`)
	for _, name := range []string{"u1", "u2"} {
		got := delivered(t, filepath.Join(dir, "mail", name, "Maildir"), 1)[0]
		head, ok := strings.CutSuffix(got, text)
		if !ok || !front.MatchString(head) {
			t.Errorf("%s has\n%q\nsent\n%q", name, got, text)
		}
	}
	if err := sink.Wait(1, patience); err != nil {
		t.Fatalf("no notice of the unknown user: %v", err)
	}
	notice := strings.Join(strings.Fields(sink.Messages()[0]), " ") // unfolded
	if !strings.Contains(notice, " Final-Recipient: rfc822; nobody@dovecot.example.test ") ||
		!strings.Contains(notice, " Diagnostic-Code: smtp; 550 5.1.1 <nobody@dovecot.example.test> User doesn't exist") {
		t.Errorf("notice:\n%s", notice)
	}
	empty(t, i, patience)
}

// startDovecot starts a Dovecot of its own in a directory, for the users u1 and u2.
func startDovecot(t *testing.T) (port int, dir string) {
	t.Helper()
	path := program(t, "dovecot", "dovecot-lmtpd")
	if !exists("/usr/lib/dovecot/lmtp") {
		t.Skip("SKIPPED: no LMTP server of Dovecot (Debian package dovecot-lmtpd)")
	}
	owner, group := dovecotUser(t)
	dir, err := os.MkdirTemp("", "dovecot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if port, err = harness.FreePort(); err != nil {
		t.Fatal(err)
	}
	uid, gid := harness.Mailbox()
	var users string
	for _, name := range []string{"u1", "u2"} {
		users += fmt.Sprintf("%s:{PLAIN}x:%d:%d::%s/mail/%s::\n", name, uid, gid, dir, name)
	}
	conf := strings.NewReplacer("@DIR@", dir, "@PORT@", fmt.Sprint(port), "@OWNER@", owner, "@GROUP@", group).Replace(dovecotConf)
	for _, err := range []error{os.Chmod(dir, 0o755), os.Mkdir(dir+"/mail", 0o755), os.Chown(dir+"/mail", uid, gid),
		os.WriteFile(dir+"/users", []byte(users), 0o644), os.WriteFile(dir+"/conf", []byte(conf), 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path, "-F", "-c", dir+"/conf")
	background(t, cmd, os.Interrupt)
	err = harness.Until(patience, func() error {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		log, _ := os.ReadFile(dir + "/log")
		t.Fatalf("Dovecot: %v\n%s", err, log)
	}
	return port, dir
}

// dovecotUser is whom Dovecot runs as: its Debian user when root, else the
// invoking user.
func dovecotUser(t *testing.T) (owner, group string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return harness.Owner()
	}
	if _, err := user.Lookup("dovecot"); err != nil {
		t.Skip("SKIPPED: no user dovecot: ", err)
	}
	return "dovecot", "dovecot"
}
