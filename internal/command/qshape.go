package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const qshapeUsage = "[ -s ] [ -p ] [ -m <min_subdomains> ] [ -l ] " +
	"[ -b <bucket_count> ] [ -t <bucket_time> ] [ -w <terminal_width> ] " +
	"[ -N <batch_msg_count> ] [ -n <batch_top_domains> ] " +
	"[ -c <config_directory> ] [ <queue_name> ... ]"

// qshape is one run of the command.
type qshape struct {
	env    Env
	dir    string
	queues []string
	shape  shape
	batch  int // messages between two tables on a terminal; 0: the last one only
	clear  string
	seen   int
}

// Qshape is qshape(1): how many messages the queue has for each domain, by age.
func Qshape(env Env) int {
	q := &qshape{env: env, shape: newShape(time.Now())}
	if err := q.options(); err != nil {
		var bad *OptionError
		if errors.As(err, &bad) {
			return env.Usage(err, qshapeUsage)
		}
		return env.Fatal("%v", err)
	}
	if err := q.open(); err != nil {
		return env.Fatal("%v", err)
	}
	for _, name := range q.queues {
		if err := q.walk(name, true); err != nil {
			env.Warn("%v", err)
		}
	}
	if err := q.results(); err != nil {
		return env.Fatal("%v", err)
	}
	return 0
}

// options reads the command line. Numbers below their least value leave the
// default in force.
func (q *qshape) options() error {
	s := &q.shape
	batch, top := 1000, 20
	opts := NewOptions(q.env.arguments(), "lhc!psw:b:t:m:n:N:")
	for {
		option, value, err := opts.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && option == 'h' {
			err = &OptionError{Option: 'h'}
		}
		if err != nil {
			return err
		}
		switch option {
		case 'c':
			q.dir = value
		case 'l':
			s.linear = true
		case 'p':
			s.parents = true
		case 's':
			s.senders = true
		case 'w':
			err = atLeast(&s.width, 80, value)
		case 'b':
			err = atLeast(&s.buckets, 1, value)
		case 'm':
			err = atLeast(&s.least, 1, value)
		case 'n':
			err = atLeast(&top, 0, value)
		case 'N':
			err = atLeast(&batch, 0, value)
		case 't':
			var minutes float64
			if minutes, err = strconv.ParseFloat(value, 64); err == nil && minutes > 0 && minutes < 1e9 {
				s.tick = minutes
			}
		}
		if err != nil || s.buckets > maxBuckets {
			return fmt.Errorf("bad value of -%c: %q", option, value)
		}
	}
	if q.queues = opts.Rest(); len(q.queues) == 0 {
		q.queues = []string{"incoming", "active"}
	}
	if out, ok := q.env.Stdout.(*os.File); ok && isTerminal(out) {
		q.batch, s.top = batch, top
		if batch > 0 {
			q.clear = "\x1b[H\x1b[2J"
		}
	}
	return nil
}

// atLeast reads a number into n, unless it is too small.
func atLeast(n *int, least int, value string) error {
	got, err := strconv.Atoi(value)
	if err == nil && got >= least {
		*n = got
	}
	return err
}

// open finds the queue directory, and becomes its owner, when a queue is named
// by less than its whole path.
func (q *qshape) open() error {
	var s *instance
	for i, name := range q.queues {
		if name == "" || filepath.IsAbs(name) {
			continue // an empty one is not all of them
		}
		if s == nil {
			var err error
			if s, err = openInstance(q.env, q.dir); err != nil {
				return err
			}
		}
		q.queues[i] = filepath.Join(s.common.QueueDirectory, name)
	}
	if s == nil {
		return nil
	}
	return s.becomeOwner()
}

// listAhead is how many names are read from a directory at a time.
const listAhead = 1024

// walk counts the messages at or below a path; only the path that was asked for
// may be a link.
func (q *qshape) walk(path string, asked bool) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if st, err := d.Stat(); err != nil || !st.IsDir() {
		return errors.Join(err, q.file(path))
	}
	for {
		list, err := d.ReadDir(listAhead)
		for _, e := range list {
			name, failed := filepath.Join(path, e.Name()), error(nil)
			switch {
			case e.IsDir():
				failed = q.walk(name, false)
			case e.Type().IsRegular():
				failed = q.file(name)
			}
			if failed != nil && !errors.Is(failed, os.ErrNotExist) {
				q.env.Warn("%v", failed)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// file counts one file, if it is a message.
func (q *qshape) file(path string) error {
	m, err := readShape(path)
	if m == nil || err != nil {
		return err
	}
	q.shape.add(m)
	if q.seen++; q.batch > 0 && q.seen%q.batch == 0 {
		return q.results()
	}
	return nil
}

// results prints the table as it is now.
func (q *qshape) results() error {
	out := bufio.NewWriter(q.env.Stdout)
	out.WriteString(q.clear)
	q.shape.print(out)
	return out.Flush()
}
