package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// DumpOptions say what Dump shows of a queue file.
type DumpOptions struct {
	Envelope bool // everything outside the content, and the headings
	Header   bool
	Body     bool
	Offsets  bool
	Types    bool  // the number of each record's letter
	Pointers bool  // pointers, padding, and the kind of each record of the content
	Physical bool  // with Pointers: in the order of the file, no pointer followed
	Start    int64 // offset of the first record
	Warn     func(format string, args ...any)
}

// Dump prints a queue file in the form of postcat(1). name is what to call it.
// An error is ErrDamaged or one of reading or writing; what could be read
// before is printed.
func Dump(w io.Writer, f io.ReaderAt, name string, o DumpOptions) error {
	d := dump{o: o, name: name, r: NewReader(f), w: bufio.NewWriterSize(w, 32<<10), where: dumpEnvelope}
	d.r.Raw = true
	d.r.Goto(o.Start)
	err := d.run()
	return errors.Join(err, d.w.Flush())
}

// dumpPart is where in the message Dump is.
type dumpPart uint8

const (
	dumpEnvelope dumpPart = iota
	dumpHeader
	dumpBody
	dumpExtracted
)

type dump struct {
	o       DumpOptions
	name    string
	r       *Reader
	w       *bufio.Writer
	where   dumpPart
	sized   bool
	start   int64 // where the content begins, by the size record
	end     int64 // and ends
	open    bool  // the last line is unfinished
	partial bool  // and so it was printed
	shown   int64 // offset to show for the next record
	moved   bool  // shown is that of a record that is not shown itself
}

func (d *dump) run() error {
	if d.o.Start == 0 {
		if ok, err := d.begins(); !ok || err != nil {
			return err
		}
	}
	for {
		rec, err := d.r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if done, err := d.record(rec); done || err != nil {
			return err
		}
	}
}

// begins checks that a file can be a queue file, and prints the first heading.
func (d *dump) begins() (bool, error) {
	var first [1]byte
	if n, err := d.r.f.ReadAt(first[:], 0); n == 0 {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return false, err
	}
	if t := Type(first[0]); t == Pointer || t == Padding || !InEnvelope.Accepts(t) {
		d.o.Warn("%s: input is not a valid queue file", d.name)
		return false, nil
	}
	if d.o.Envelope {
		fmt.Fprintf(d.w, "*** ENVELOPE RECORDS %s ***\n", d.name)
	}
	return true, nil
}

// record prints one record; done is true at the end.
func (d *dump) record(rec Record) (done bool, err error) {
	if !d.moved {
		d.shown = rec.Offset
	}
	d.moved = false
	switch rec.Type {
	case Pointer, Padding:
		return false, d.jump(rec)
	case Message:
		d.turn(rec, "MESSAGE CONTENTS", dumpHeader, d.where == dumpEnvelope, "message content")
		if !d.o.Header && !d.o.Body {
			d.skipTo(d.end)
		}
		return false, nil
	case Extracted:
		d.turn(rec, "HEADER EXTRACTED", dumpExtracted, d.where == dumpHeader || d.where == dumpBody, "extracted segment")
		return d.noMore(), nil
	case End:
		// What follows is shown as what came before.
		d.turn(rec, "MESSAGE FILE END", d.where, d.where == dumpExtracted, "message end")
		return !(d.o.Pointers && d.o.Physical), nil
	case Text, Fragment:
		if rec.Type == Text || d.where == dumpHeader || d.where == dumpBody {
			before := d.where
			d.text(rec)
			if before == d.where || d.o.Body {
				return false, nil
			}
			d.skipTo(d.end) // the header has ended
			return d.noMore(), nil
		}
	}
	first := rec.Type == Size && !d.sized
	if rec.Type == Size {
		d.size(rec)
	}
	if d.visible() {
		return false, d.envelope(rec)
	}
	if first && d.sized && !d.o.Envelope {
		d.where = dumpHeader
		d.skipTo(d.start)
	}
	return false, nil
}

// skipTo leaves out what is not to be shown, as far as the size record tells
// where that ends; else it is read through. It never goes back.
func (d *dump) skipTo(offset int64) {
	if d.sized && offset > d.r.Offset() {
		d.r.Goto(offset)
	}
}

// noMore tells whether all that was asked for has been printed.
func (d *dump) noMore() bool {
	return !d.o.Envelope && (d.where > dumpBody || d.where == dumpBody && !d.o.Body)
}

// jump shows or skips a pointer or padding. Where they are not shown, the next
// record is shown with their offset, as postcat does: it is the place where
// the record stands in the message.
func (d *dump) jump(rec Record) error {
	if d.o.Pointers {
		if d.visible() {
			d.prefix(rec)
			fmt.Fprintf(d.w, "%s: %s\n", rec.Type.Name(), rec.Data)
		}
		if d.o.Physical {
			return nil
		}
	} else {
		d.moved = true
	}
	if rec.Type == Pointer {
		return d.r.Follow(rec)
	}
	return nil
}

func (d *dump) visible() bool {
	switch d.where {
	case dumpHeader:
		return d.o.Header
	case dumpBody:
		return d.o.Body
	}
	return d.o.Envelope
}

// turn goes on to the next part of the message.
func (d *dump) turn(rec Record, title string, to dumpPart, inOrder bool, marker string) {
	if !inOrder {
		d.o.Warn("%s: out-of-order %s marker", d.name, marker)
	}
	d.where = to
	defer func() { d.open, d.partial = false, false }()
	if d.o.Envelope {
		if d.partial && rec.Type == Extracted {
			d.w.WriteByte('\n')
		}
		d.prefix(rec)
		fmt.Fprintf(d.w, "*** %s %s ***\n", title, d.name)
	}
}

func (d *dump) prefix(rec Record) {
	if d.o.Offsets {
		fmt.Fprintf(d.w, "%9d ", d.shown)
	}
	if d.o.Types {
		fmt.Fprintf(d.w, "%3d ", rec.Type)
	}
}

// text prints a record of the content.
func (d *dump) text(rec Record) {
	if d.where == dumpHeader && !d.open && !headerLine(rec.Data) {
		d.where = dumpBody
	}
	d.open = rec.Type == Fragment
	if !d.visible() {
		return
	}
	d.prefix(rec)
	switch {
	case d.o.Pointers && rec.Type == Fragment:
		d.w.WriteString("unterminated_text: ")
	case d.o.Pointers:
		d.w.WriteString("regular_text: ")
	}
	d.w.Write(rec.Data)
	d.partial = rec.Type == Fragment && !d.o.Pointers && !d.o.Offsets
	if !d.partial {
		d.w.WriteByte('\n')
	}
}

// headerLine tells whether a line belongs to a header: a name of printable
// characters and a colon, or a continuation.
func headerLine(line []byte) bool {
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
		return true
	}
	name, _, found := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !found || len(name) == 0 {
		return false
	}
	return !bytes.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// size takes from the size record where the content lies. From a damaged one
// nothing: the file is read through, since whoever looks at such a file wants to
// know what is left of it.
func (d *dump) size(rec Record) {
	if d.sized {
		d.o.Warn("%s: file contains multiple size records", d.name)
		return
	}
	v, err := sizes(rec)
	if err == nil && (v[0] < 0 || v[1] < 0 || v[0]+v[1] < 0) {
		err = damaged(rec.Offset, "impossible size record %q", rec.Data)
	}
	if err != nil {
		d.o.Warn("%s: %v", d.name, err)
		return
	}
	d.sized, d.start, d.end = true, v[1], v[0]+v[1]
}

// envelope prints a record outside the content.
func (d *dump) envelope(rec Record) error {
	d.prefix(rec)
	name, value := rec.Type.Name(), string(rec.Data)
	if rec.Type != Fragment { // for those who read it, it ends at a null byte
		value, _, _ = strings.Cut(value, "\x00")
	}
	switch rec.Type {
	case Time, Warn:
		value = dumpTime(value)
	case Attribute:
		attribute, text, ok := strings.Cut(value, "=")
		attribute, text = strings.TrimSpace(attribute), strings.TrimSpace(text)
		switch {
		case !ok || attribute == "":
			d.o.Warn("%s: malformed attribute: %.100s", d.name, value)
			return nil
		case attribute == "create_time":
			name, value = attribute, dumpTime(text)
		default:
			value = attribute + "=" + text
		}
	}
	_, err := fmt.Fprintf(d.w, "%s: %s\n", name, value)
	return err
}

// dumpTime shows seconds since 1970 as local time; digits that are no time
// count as 0.
func dumpTime(text string) string {
	text = strings.TrimLeft(text, " ")
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || end == 0 && text[end] == '-') {
		end++
	}
	n, _ := strconv.ParseInt(text[:end], 10, 64)
	return time.Unix(n, 0).Format("Mon Jan _2 15:04:05 2006")
}
