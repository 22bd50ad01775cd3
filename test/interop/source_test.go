package interop

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"posthaste/test/harness"
)

// Postfix's own load generator sends through our relay to Postfix's own sink.
func TestSmtpSource(t *testing.T) {
	t.Parallel()
	const messages, size = 5000, 1500
	source := program(t, "smtp-source", "postfix")
	port, dump := startSmtpSink(t, program(t, "smtp-sink", "postfix"))
	i := start(t, boxes(), map[string]string{"SINK": fmt.Sprint(port)})
	run(t, "", source, "-s", "10", "-m", fmt.Sprint(messages), "-N", "-l", fmt.Sprint(size),
		"-f", "source@client.test", "-t", "r@"+sinkDomain, i.Addr())
	empty(t, i, time.Minute)

	files, err := filepath.Glob(dump + "/m.*")
	if err != nil || len(files) != messages {
		t.Errorf("%d messages arrived instead of %d, %v", len(files), messages, err)
	}
	to := regexp.MustCompile(`\nX-Rcpt-Args: <([0-9]+)r@` + regexp.QuoteMeta(sinkDomain) + `>`)
	id := regexp.MustCompile(`\nMessage-Id: <(\S+)>\n`)
	recipients, ids, bodies := map[string]int{}, map[string]int{}, map[[sha256.Size]byte]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(string(text), "\n\n")
		r, m := to.FindAllStringSubmatch(head, -1), id.FindAllStringSubmatch(head+"\n", -1)
		if len(r) != 1 || len(m) != 1 || !strings.Contains(head, "\nX-Mail-Args: <source@client.test>") {
			t.Fatalf("envelope or Message-Id:\n%s", head)
		}
		recipients[r[0][1]]++
		ids[m[0][1]]++
		bodies[sha256.Sum256([]byte(body))]++
	}
	for n := range messages {
		if got := recipients[fmt.Sprint(n+1)]; got != 1 {
			t.Errorf("message %d arrived %d times", n+1, got)
		}
	}
	if len(recipients) != messages || len(ids) != messages {
		t.Errorf("%d recipients, %d message ids", len(recipients), len(ids))
	}
	if want := sha256.Sum256([]byte(sourceBody(size))); bodies[want] != messages {
		t.Errorf("%d of %d bodies are as they were sent", bodies[want], messages)
	}
}

// sourceBody is what smtp-source sends for a length: lines that begin with the
// last digit of their number, and the rest. The empty line is what smtp-sink
// adds to each message in its file.
func sourceBody(length int) string {
	const width = 80 // with CRLF
	var b strings.Builder
	for n := 1; length >= width; n++ {
		fmt.Fprintf(&b, "%d%s\n", n%10, strings.Repeat("X", width-3))
		length -= width
	}
	return b.String() + strings.Repeat("X", length) + "\n\n"
}

// startSmtpSink starts smtp-sink, which writes each message to a file m.… in a
// directory.
func startSmtpSink(t *testing.T, program string) (port int, dump string) {
	t.Helper()
	dump, err := os.MkdirTemp("", "smtp-sink-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dump) })
	port, err = harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-d", "m."}
	if os.Geteuid() == 0 {
		if err := os.Chmod(dump, 0o777); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-u", "nobody")
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	cmd := exec.Command(program, append(args, addr, "100")...)
	cmd.Dir = dump
	background(t, cmd, os.Kill)
	err = harness.Until(patience, func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return port, dump
}
