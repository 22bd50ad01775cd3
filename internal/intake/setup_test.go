package intake_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posthaste/internal/address"
	"posthaste/internal/config"
	"posthaste/internal/intake"
	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
	"posthaste/internal/table"
	"posthaste/internal/table/open"
)

// memory is a file in memory.
type memory struct{ data []byte }

func (f *memory) WriteAt(b []byte, at int64) (int, error) {
	if n := int(at) + len(b); n > len(f.data) {
		f.data = append(f.data, make([]byte, n-len(f.data))...)
	}
	return copy(f.data[at:], b), nil
}

func (f *memory) ReadAt(b []byte, at int64) (int, error) {
	if at >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// draft is a queue file in memory.
type draft struct {
	file                       memory
	w                          *record.Writer
	held, committed, discarded bool
}

func (d *draft) ID() mail.QueueID        { return "4XyZ12abcdz1" }
func (d *draft) Records() *record.Writer { return d.w }
func (d *draft) Hold() error             { d.held = true; return nil }
func (d *draft) Discard()                { d.discarded = true }
func (d *draft) Commit(context.Context) error {
	d.committed = true
	return d.w.End()
}

// queue makes drafts and keeps the last one.
type queue struct{ last *draft }

func (q *queue) Create() (intake.Draft, error) {
	q.last = &draft{}
	q.last.w = record.NewWriter(&q.last.file)
	return q.last, nil
}

// logLines keeps log lines, bytes that are not printable as '?'.
type logLines struct{ lines []string }

func (l *logLines) add(s string) {
	l.lines = append(l.lines, strings.Map(func(r rune) rune {
		if r < ' ' {
			return '?'
		}
		return r
	}, s))
}
func (l *logLines) Info(format string, args ...any) { l.add(fmt.Sprintf(format, args...)) }
func (l *logLines) Warning(format string, args ...any) {
	l.add("warning: " + fmt.Sprintf(format, args...))
}

var arrival = time.Date(2026, 3, 5, 9, 8, 7, 123456000, time.UTC)

// setup makes a door from a main.cf text and files ($dir is where they are).
func setup(t testing.TB, main string, files map[string]string) (*intake.Door, *queue, *logLines) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base := "compatibility_level = 3.6\nmyhostname = mx.example.com\nmydomain = example.com\nmyorigin = example.com\n" +
		"mydestination = example.com, localhost\ninet_interfaces = 127.0.0.1\nrelay_domains =\ndir = " + dir + "\n"
	file, err := config.ParseMain("main.cf", []byte(base+main))
	if err != nil {
		t.Fatal(err)
	}
	snap, err := config.New(file, config.NewCatalog(address.Params{}, intake.Params{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	var p intake.Params
	var a address.Params
	for _, params := range []any{&p, &a} {
		if err := snap.Bind(params); err != nil {
			t.Fatal(err)
		}
	}
	log, q := &logLines{}, &queue{}
	tables := open.New(table.Options{})
	t.Cleanup(func() { tables.Close() })
	door, err := intake.New(p, intake.Deps{
		Queue: q, Tables: tables, Log: log, Now: func() time.Time { return arrival },
		Maps: address.NewMaps(a, address.Deps{Tables: tables, Log: log}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return door, q, log
}

// remote is an envelope as the SMTP server makes it.
func remote(sender mail.Address) mail.Envelope {
	c := mail.Client{Name: "client.test", Address: "192.0.2.1", Port: "1234", Helo: "helo.test", Protocol: "ESMTP"}
	return mail.Envelope{Sender: sender, Origin: mail.Origin{Client: c, Logged: c, Remote: true}}
}

// send gives a whole message to the door.
func send(door *intake.Door, e mail.Envelope, content string, rcpts ...mail.Recipient) (*intake.Message, error) {
	ctx := context.Background()
	m, err := door.Open(ctx, e)
	if err != nil {
		return nil, err
	}
	for _, r := range rcpts {
		if err := m.Recipient(ctx, r); err != nil {
			break
		}
	}
	if content != "" {
		for line := range strings.SplitSeq(strings.TrimSuffix(content, "\n"), "\n") {
			if m.Line([]byte(strings.ReplaceAll(line, "\\r", "\r"))) != nil {
				break
			}
		}
	}
	return m, m.Commit(ctx)
}

// content reads the lines of a finished queue file.
func content(t testing.TB, d *draft) string {
	t.Helper()
	info, err := record.Read(&d.file, 0)
	if err != nil {
		t.Fatal(err)
	}
	lines := info.Content.Lines()
	defer lines.Close()
	var b strings.Builder
	for {
		line, complete, err := lines.Next()
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		b.Write(line)
		if complete {
			b.WriteByte('\n')
		}
	}
}
