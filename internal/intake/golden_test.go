package intake_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"posthaste/internal/intake"
	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

var update = flag.Bool("update", false, "write the results into testdata")

// TestGolden runs the scenarios of testdata: settings and a message in, what
// is queued and logged out. In a scenario, `main.cf` holds settings, `envelope`
// lines such as `from: …`, `to: …`, `local` and options, `message` the
// content (\r is a carriage return), and every further file a table in $dir.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := scenario(t, a)
			for i := range a.Files {
				if a.Files[i].Name != "result" {
					continue
				}
				if *update {
					a.Files[i].Data = []byte(got)
					if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
						t.Fatal(err)
					}
				} else if want := string(a.Files[i].Data); got != want {
					t.Errorf("got:\n%s\nwant:\n%s", got, want)
				}
				return
			}
			t.Fatal("no result in the scenario")
		})
	}
}

func scenario(t *testing.T, a *txtar.Archive) string {
	files := map[string]string{}
	for _, f := range a.Files {
		files[f.Name] = string(f.Data)
	}
	door, q, log := setup(t, files["main.cf"], files)
	e, options := remote(""), intake.Options{}
	var rcpts []mail.Recipient
	for line := range strings.Lines(files["envelope"]) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch name {
		case "from":
			e.Sender = mail.Address(value)
		case "to":
			rcpts = append(rcpts, mail.Recipient{Address: mail.Address(value)})
		case "local":
			e.Origin = mail.Origin{}
			options.UserID = "1000"
		case "trusted": // an SMTP client of local_header_rewrite_clients
			e.Origin.Remote = false
		case "name":
			e.FullName = value
		case "no-mappings":
			options.NoAddressMappings = true
		case "no-checks":
			options.NoHeaderBodyChecks = true
		case "internal":
			options.Internal = true
		default:
			t.Fatalf("envelope: %q", line)
		}
	}
	_, err := send(door.With(options), e, files["message"], rcpts...)
	return result(t, q.last, err) + logged(log)
}

// result shows what is in the queue.
func result(t *testing.T, d *draft, err error) string {
	var b strings.Builder
	if err != nil {
		fmt.Fprintf(&b, "error %v\n", err)
	}
	if !d.committed {
		b.WriteString("nothing queued\n")
		return b.String()
	}
	info, err := record.Read(&d.file, 0)
	if err != nil {
		t.Fatal(err)
	}
	if d.held {
		b.WriteString("held\n")
	}
	fmt.Fprintf(&b, "sender <%s>\n", info.Sender.Quoted())
	for _, r := range info.Entries {
		fmt.Fprintf(&b, "recipient <%s> original <%s> dsn %s notify %d\n", r.Address.Quoted(), r.Original.Quoted(), r.DSNOriginal, r.Notify)
	}
	for _, v := range []struct{ name, value string }{
		{"filter", info.ContentFilter}, {"redirect", string(info.Redirect)},
		{"message_id", info.MessageID}, {"encoding", string(info.Encoding)},
	} {
		if v.value != "" {
			fmt.Fprintf(&b, "%s %s\n", v.name, v.value)
		}
	}
	for line := range strings.Lines(content(t, d)) {
		b.WriteString("| " + line)
	}
	return b.String()
}

func logged(l *logLines) string {
	var b strings.Builder
	for _, line := range l.lines {
		b.WriteString("log " + line + "\n")
	}
	return b.String()
}
