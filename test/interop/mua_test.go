package interop

import (
	"bytes"
	"context"
	"mime"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// s-nail hands its mail to our sendmail command.
func TestMailProgram(t *testing.T) {
	t.Parallel()
	snail := program(t, "s-nail", "s-nail")
	i := start(t, boxes("mail", "copy"), nil)
	dir := t.TempDir()
	var content []byte
	for n := range 5000 {
		content = append(content, byte(n*n>>3))
	}
	if err := os.WriteFile(filepath.Join(dir, "data.bin"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	send := func(text string, args ...string) {
		t.Helper()
		common := []string{"-n", "-S", "mta=" + i.Program("sendmail"), "-S", "mta-arguments=-C " + i.Conf, "-S", "sendwait", "-S", "mime-encoding=8bit",
			"-S", "ttycharset=utf-8", "-S", "sendcharsets=utf-8", "-r", "me@client.test"}
		cmd := exec.CommandContext(ctx, snail, append(common, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C.UTF-8", "MAILRC=/dev/null")
		output(t, cmd, text)
	}
	body := "Sch\u00f6ne Gr\u00fc\u00dfe\n.\n..two\nFrom here\n\u4f60\u597d\n"
	send(body, "-s", "\u00dcber \u4f60\u597d", "-a", filepath.Join(dir, "data.bin"), "-c", "copy@"+boxDomain, "mail@"+boxDomain)
	for _, box := range []string{"mail", "copy"} {
		got := arrived(t, i, box, 1)[0]
		m, err := mail.ReadMessage(strings.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil || subject != "\u00dcber \u4f60\u597d" {
			t.Errorf("subject %q, %v", subject, err)
		}
		if from := m.Header.Get("Return-Path"); from != "<me@client.test>" {
			t.Errorf("the envelope sender is %s", from)
		}
		if got := attachment(t, got, "data.bin"); !bytes.Equal(got, content) {
			t.Errorf("the attachment changed: %d bytes instead of %d", len(got), len(content))
		}
		if strings.Count(got, "\n\n"+body) != 1 {
			t.Errorf("the text changed:\n%s", got)
		}
	}
	empty(t, i, patience)
}
