package smtpd

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestDialogues plays testdata/*.txt. A case is a text archive:
//
//	-- main.cf --    settings on top of those in smtpd_test.go
//	-- dialogue --   client ADDRESS: connect; C: a command, R: bytes as a Go
//	                 string without quotes, S: an expected reply line, or EOF.
//	                 Commands in a row are sent with one write.
//	-- log --        lines that the log must hold, in this order
//	-- queue --      the messages that were queued, all of them
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			playFile(t, txtar.Parse(data))
		})
	}
}

func playFile(t *testing.T, a *txtar.Archive) {
	part := map[string]string{}
	for _, f := range a.Files {
		part[f.Name] = string(f.Data)
	}
	r := newRig(t, part["main.cf"], nil)
	p := &player{t: t, r: r}
	t.Cleanup(p.hangUp)
	for _, line := range strings.Split(part["dialogue"], "\n") {
		p.line(line)
	}
	p.hangUp()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.srv.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	rest := r.log.Lines()
	for _, want := range strings.Split(strings.TrimSpace(part["log"]), "\n") {
		for {
			if len(rest) == 0 {
				t.Fatalf("log lacks %q, or has it in another order:\n%s", want, strings.Join(r.log.Lines(), "\n"))
			}
			line := rest[0]
			rest = rest[1:]
			if strings.HasSuffix(line, want) {
				break
			}
		}
	}
	queue := ""
	for _, m := range r.box.messages {
		queue += m.String()
	}
	if d := cmp.Diff(part["queue"], queue); d != "" {
		t.Errorf("queue (-want +got):\n%s", d)
	}
}

// player speaks for the client.
type player struct {
	t    *testing.T
	r    *rig
	conn *net.TCPConn
	in   *bufio.Reader
	out  []byte
}

func (p *player) line(line string) {
	p.t.Helper()
	kind, text, _ := strings.Cut(line, " ")
	switch kind {
	case "", "#":
	case "client":
		p.hangUp()
		p.conn = p.r.dial(text)
		p.in = bufio.NewReader(p.conn)
	case "C:":
		p.out = append(append(p.out, text...), "\r\n"...)
	case "R:":
		raw, err := strconv.Unquote(`"` + text + `"`)
		if err != nil {
			p.t.Fatalf("%q: %v", line, err)
		}
		p.out = append(p.out, raw...)
	case "S:":
		p.expect(text)
	default:
		p.t.Fatalf("bad line %q", line)
	}
}

func (p *player) flush() {
	if len(p.out) > 0 {
		p.conn.Write(p.out) // a failed write shows as a missing reply
		p.out = nil
	}
}

func (p *player) expect(want string) {
	p.t.Helper()
	p.flush()
	got, err := p.in.ReadString('\n')
	if want == "EOF" {
		if err == nil {
			p.t.Fatalf("got %q, want the end of the connection", got)
		}
		return
	}
	if got != want+"\r\n" {
		p.t.Fatalf("got  %q (%v)\nwant %q\nlog:\n%s", got, err, want, p.r.log)
	}
}

// hangUp closes the connection and waits until the server has, too.
func (p *player) hangUp() {
	if p.conn == nil {
		return
	}
	p.flush()
	p.conn.CloseWrite()
	io.Copy(io.Discard, p.in)
	p.conn.Close()
	p.conn = nil
}
