package interop

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posthaste/test/harness"
	"posthaste/test/peer"
)

const swaksHead = "Date: Thu, 01 Jan 2026 00:00:00 +0000\nFrom: <a@client.test>\nTo: somebody@client.test\nMessage-Id: <1@client.test>\n"

func TestSwaks(t *testing.T) {
	t.Parallel()
	swaks := program(t, "swaks", "swaks")
	i := start(t, boxes("plain", "pipe", "eight", "m1", "m2", "m3", "quit", "file"), nil)
	send := func(t *testing.T, text, to string, options ...string) string {
		t.Helper()
		args := append([]string{"--server", i.Addr(), "--helo", "client.test", "--from", "a@client.test",
			"--to", to, "--data", "-"}, options...)
		return run(t, strings.TrimSuffix(text, "\n"), swaks, args...) // swaks ends the last line
	}
	long := strings.Repeat("long line ", 97) // below the limit of 998
	t.Run("plain", func(t *testing.T) {
		text := swaksHead + "Subject: plain\n\n.\n..dots\n" + long + "\n\ttab \n\nend\n\n"
		send(t, text, "plain@"+boxDomain)
		same(t, arrived(t, i, "plain", 1)[0], text)
	})
	t.Run("pipelining", func(t *testing.T) {
		text := swaksHead + "Subject: pipelined\n\n.dot\n"
		out := send(t, text, "pipe@"+boxDomain, "--pipeline")
		if !strings.Contains(out, " -> MAIL FROM:<a@client.test>\n -> RCPT TO:<pipe@"+boxDomain+">\n -> DATA\n<-  250 ") {
			t.Errorf("not pipelined:\n%s", out)
		}
		same(t, arrived(t, i, "pipe", 1)[0], text)
	})
	t.Run("8bit", func(t *testing.T) {
		text := swaksHead + "Subject: Gr\u00fc\u00dfe\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\u4f60\u597d, \xff\xfe \x80\n"
		send(t, text, "eight@"+boxDomain)
		same(t, arrived(t, i, "eight", 1)[0], text)
	})
	t.Run("recipients", func(t *testing.T) {
		text := swaksHead + "Subject: three\n\nto three\n"
		send(t, text, "m1@"+boxDomain+",m2@"+boxDomain+",m3@"+boxDomain)
		for _, box := range []string{"m1", "m2", "m3"} {
			got := arrived(t, i, box, 1)[0]
			same(t, got, text)
			if !strings.Contains(got, "\nDelivered-To: "+box+"@"+boxDomain+"\n") {
				t.Errorf("%s got the mail of somebody else:\n%s", box, got)
			}
		}
	})
	t.Run("quit after RCPT", func(t *testing.T) {
		out := send(t, "not\nsent\n", "quit@"+boxDomain, "--quit-after", "RCPT")
		if !strings.Contains(out, "<-  221 2.0.0 Bye") {
			t.Errorf("no orderly end:\n%s", out)
		}
		err := harness.Until(patience, func() error {
			if !peer.Match("{*} ehlo=1 mail=1 rcpt=1 quit=1 commands=4\n{*}", i.LogText()) {
				return os.ErrNotExist
			}
			return nil
		})
		if err != nil {
			t.Error("no line of the session that ended after RCPT")
		}
		arrived(t, i, "quit", 0)
	})
	t.Run("attachment", func(t *testing.T) { swaksAttachment(t, i, swaks) })
	empty(t, i, patience)
}

// swaksAttachment sends all bytes there are as an attachment that swaks encodes.
func swaksAttachment(t *testing.T, i *harness.Instance, swaks string) {
	var content []byte
	for n := range 70000 {
		content = append(content, byte(n*n>>4))
	}
	file := filepath.Join(t.TempDir(), "all.bin")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "", swaks, "--server", i.Addr(), "--from", "a@client.test", "--to", "file@"+boxDomain,
		"--body", "see there", "--attach-name", "all.bin", "--attach", "@"+file)
	if got := attachment(t, arrived(t, i, "file", 1)[0], "all.bin"); !bytes.Equal(got, content) {
		t.Errorf("the attachment changed: %d bytes instead of %d", len(got), len(content))
	}
}

// attachment is a file in a message of several parts, decoded.
func attachment(t *testing.T, text, name string) []byte {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	_, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	for r := multipart.NewReader(m.Body, parameters["boundary"]); ; {
		part, err := r.NextPart()
		if err != nil {
			t.Fatalf("no part named %s: %v\n%s", name, err, tail(text))
		}
		if part.FileName() != name {
			continue
		}
		if !strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "base64") {
			t.Fatalf("the part is not in base64: %v", part.Header)
		}
		content, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, part))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
}
