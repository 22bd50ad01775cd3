package queue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"posthaste/internal/mail"
)

// The logs of flush(8): for each site a file with the ids of messages that wait
// for it, one a line, in the directory flush. They are news only, not synced:
// a message that is missing there is tried at its time all the same.

// Site is a log of messages that wait for one site.
type Site struct {
	Name    string // of the file; TakeSite and RemoveSite take it for the site
	Size    int64
	Changed time.Time // when a message was added, or all were taken
	Taken   time.Time // when they were last taken, or the log was made
}

// sitePath is the file of a site: in lower case, and '_' for all that is no
// letter and no digit.
func (q *Queue) sitePath(site string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, site)
	return q.Path(FlushLog, mail.QueueID(name))
}

// AddSite notes that a message waits for a site.
func (q *Queue) AddSite(site string, id mail.QueueID) error {
	if site == "" || !id.Valid() {
		return fmt.Errorf("bad site %q or queue id %q", site, id)
	}
	path := q.sitePath(site)
	for range idTries {
		f, st, err := q.openLog(path)
		if err != nil {
			return err
		}
		// The log may have been removed before it was locked.
		if now, gone := q.fs.Lstat(path); gone != nil || now.Inode != st.Inode {
			f.Close()
			continue
		}
		_, err = f.WriteAt([]byte(string(id)+"\n"), st.Size)
		return errors.Join(err, f.Close())
	}
	return fmt.Errorf("%s: removed again and again", path)
}

// TakeSite calls each for every id in the log of a site, as often as it is
// there, and empties the log. No log is no error.
func (q *Queue) TakeSite(site string, each func(mail.QueueID)) error {
	f, err := q.fs.Open(q.sitePath(site), true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := lockLog(f)
	if err != nil {
		return err
	}
	if !st.Mode.IsRegular() {
		return fmt.Errorf("flush log of %s: not a regular file", site)
	}
	if err := eachLine(f, st.Size, each); err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	return f.SetTimes(q.now()) // also where reading leaves no trace (noatime)
}

// eachLine reads queue ids, one a line. What is none is left out.
func eachLine(f io.ReaderAt, size int64, each func(mail.QueueID)) error {
	in := io.NewSectionReader(f, 0, size)
	buf := make([]byte, 64<<10)
	kept := 0
	for {
		n, err := in.Read(buf[kept:])
		text := buf[:kept+n]
		for {
			line, rest, found := bytes.Cut(text, []byte{'\n'})
			if !found {
				break
			}
			if id := mail.QueueID(line); id.Valid() {
				each(id)
			}
			text = rest
		}
		if kept = copy(buf, text); kept == len(buf) {
			kept = 0 // no line is as long
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Sites tells about all logs.
func (q *Queue) Sites() (list []Site, err error) {
	q.walk(string(FlushLog), 0, func(dir string, entry DirEntry, e error) bool {
		if e != nil {
			err = e
			return false
		}
		if st, e := q.fs.Lstat(dir + "/" + entry.Name); e == nil && st.Mode.IsRegular() {
			list = append(list, Site{entry.Name, st.Size, st.MTime, st.ATime})
		}
		return true
	})
	return list, err
}

// RemoveSite removes the log of a site, unless there is a message in it.
func (q *Queue) RemoveSite(site string) error {
	path := q.sitePath(site)
	f, err := q.fs.Open(path, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := lockLog(f); err != nil || st.Size > 0 {
		return err
	}
	return q.fs.Remove(path)
}
