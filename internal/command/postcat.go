package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
	"posthaste/internal/table"
)

const postcatUsage = "[-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope records)] " +
	"[-h (header text)] [-o (offsets)] [-q (access queue)] [-r (physical order)] [-s offset] [-v] [file(s)...]"

// postcat is one run of the command.
type postcat struct {
	env     Env
	options record.DumpOptions
	search  bool // names are queue ids
	dir     string
}

// Postcat is postcat(1): it shows queue files.
func Postcat(env Env) int {
	p := &postcat{env: env}
	names, err := p.read()
	var option *OptionError
	if errors.As(err, &option) {
		return env.Usage(err, postcatUsage)
	}
	if err == nil {
		err = p.run(names)
	}
	if err != nil {
		return env.Fatal("%s", maillog.Sanitize(err.Error()))
	}
	return 0
}

func (p *postcat) read() ([]string, error) {
	o := &p.options
	o.Warn = func(format string, args ...any) {
		p.env.Warn("%s", maillog.Sanitize(fmt.Sprintf(format, args...)))
	}
	opts := NewOptions(p.env.arguments(), "bc!dehoqrs:v")
	option, value, err := opts.Next()
	for ; err == nil; option, value, err = opts.Next() {
		switch option {
		case 'b':
			o.Body = true
		case 'c':
			p.dir = value
		case 'd':
			o.Types = true
		case 'e':
			o.Envelope = true
		case 'h':
			o.Header = true
		case 'o':
			o.Offsets = true
		case 'q':
			p.search = true
		case 'r':
			o.Physical = true
		case 's':
			if o.Start, err = strconv.ParseInt(value, 10, 64); err != nil || o.Start < 0 {
				return nil, fmt.Errorf("bad offset: %s", value)
			}
		case 'v':
			o.Pointers = true
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !o.Body && !o.Envelope && !o.Header {
		o.Body, o.Envelope, o.Header = true, true, true
	}
	return opts.Rest(), nil
}

func (p *postcat) run(names []string) error {
	if len(names) == 0 {
		return p.stdin()
	}
	if p.search {
		return p.queued(names)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("open %s: %s", name, table.ErrorText(err))
		}
		err = p.show(f, name)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// catOutput remembers a failure to write, which says nothing of the queue file.
type catOutput struct {
	io.Writer
	err error
}

func (o *catOutput) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	o.err = err
	return n, err
}

// show prints one file.
func (p *postcat) show(f io.ReaderAt, name string) error {
	out := &catOutput{Writer: p.env.Stdout}
	if err := record.Dump(out, f, name, p.options); err != nil {
		if out.err != nil {
			return fmt.Errorf("output write error: %s", table.ErrorText(out.err))
		}
		p.options.Warn("%s: %v", name, err)
		return errors.New("record read error")
	}
	return nil
}

// stdin shows standard input. A pipe is copied first, since pointers lead to
// and fro.
func (p *postcat) stdin() error {
	if f, ok := p.env.Stdin.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
			return p.show(f, "stdin")
		}
	}
	copied, err := os.CreateTemp("", "postcat-")
	if err != nil {
		return err
	}
	defer copied.Close()
	if err := os.Remove(copied.Name()); err != nil {
		return err
	}
	if _, err := io.Copy(copied, p.env.Stdin); err != nil {
		return err
	}
	return p.show(copied, "stdin")
}

// queued shows messages by their queue ids.
func (p *postcat) queued(names []string) error {
	s, err := openInstance(p.env, p.dir)
	if err != nil {
		return err
	}
	q, err := s.queue()
	if err != nil {
		return err
	}
	for _, name := range names {
		id := mail.QueueID(name)
		if !id.Valid() {
			return fmt.Errorf("bad mail queue ID: %s", name)
		}
		if err := p.message(q, id); err != nil {
			return err
		}
	}
	return nil
}

func (p *postcat) message(q *queue.Queue, id mail.QueueID) error {
	n, _, err := q.Find(id)
	if err == nil {
		var m *queue.Message
		if m, err = q.Open(n, id); err == nil {
			defer m.Close()
			return p.show(m, q.Path(n, id))
		}
	}
	if errors.Is(err, queue.ErrGone) {
		err = syscall.ENOENT
	}
	return fmt.Errorf("open queue file %s: %s", id, table.ErrorText(err))
}
