package ipc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCodec(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC)
	var e Encoder
	e.Uint(1 << 63)
	e.Int(-5)
	e.Bool(true)
	e.String("a\x00\xff")
	e.Bytes(nil)
	e.Strings([]string{"", "x"})
	e.Time(at)
	e.Time(time.Time{})
	d := NewDecoder(e.Frame())
	if v := d.Uint(); v != 1<<63 {
		t.Error(v)
	}
	if v := d.Int(); v != -5 {
		t.Error(v)
	}
	if !d.Bool() {
		t.Error("bool")
	}
	if v := d.String(); v != "a\x00\xff" {
		t.Errorf("%q", v)
	}
	if v := d.Bytes(); len(v) != 0 {
		t.Errorf("%q", v)
	}
	if v := d.Strings(); len(v) != 2 || v[1] != "x" {
		t.Errorf("%q", v)
	}
	if v := d.Time(); !v.Equal(at) {
		t.Error(v)
	}
	if v := d.Time(); !v.IsZero() {
		t.Error(v)
	}
	if err := d.Done(); err != nil {
		t.Error(err)
	}
}

func TestCodecFaults(t *testing.T) {
	long := binary.AppendUvarint(nil, 1<<40)
	for name, c := range map[string]struct {
		frame []byte
		read  func(*Decoder)
	}{
		"empty number":     {nil, func(d *Decoder) { d.Uint() }},
		"overlong number":  {[]byte{0x80, 0}, func(d *Decoder) { d.Uint() }},
		"huge string":      {long, func(d *Decoder) { _ = d.String() }},
		"huge list":        {long, func(d *Decoder) { d.Strings() }},
		"truth value":      {[]byte{2}, func(d *Decoder) { d.Bool() }},
		"unread bytes":     {[]byte{1, 2}, func(d *Decoder) { d.Bool() }},
		"nanoseconds":      {append([]byte{1, 0}, binary.AppendUvarint(nil, 1e9)...), func(d *Decoder) { d.Time() }},
		"error is kept":    {[]byte{2, 1}, func(d *Decoder) { d.Bool(); d.Bool() }},
		"fault of a value": {[]byte{1}, func(d *Decoder) { d.Bool(); d.Fail("no") }},
	} {
		d := NewDecoder(c.frame)
		c.read(d)
		if err := d.Done(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func pair(t *testing.T) (*Conn, *Conn) {
	a, b, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	for _, c := range []*Conn{a, b} {
		c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	return a, b
}

func TestFrames(t *testing.T) {
	a, b := pair(t)
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("content")
	big := bytes.Repeat([]byte("x"), 3<<20)
	sent, answered := make(chan error, 1), make(chan bool)
	go func() {
		err := a.Send([]byte("one"), f, f)
		<-answered
		err = errors.Join(err, a.Send(nil))
		<-answered
		err = errors.Join(err, a.Send(big, f))
		<-answered
		sent <- errors.Join(err, a.Close())
	}()
	for _, want := range []struct {
		frame []byte
		files int
	}{{[]byte("one"), 2}, {nil, 0}, {big, 1}} {
		frame, files, err := b.Receive()
		if err != nil || !bytes.Equal(frame, want.frame) || len(files) != want.files {
			t.Fatalf("%d bytes, %d files, %v", len(frame), len(files), err)
		}
		for _, g := range files {
			buf := make([]byte, 7)
			if _, err := g.ReadAt(buf, 0); err != nil || string(buf) != "content" {
				t.Errorf("%q %v", buf, err)
			}
		}
		CloseAll(files)
		answered <- true
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if _, _, err := b.Receive(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestFrameFaults(t *testing.T) {
	a, b := pair(t)
	if err := a.Send(make([]byte, MaxFrame+1)); !errors.Is(err, ErrFrameSize) {
		t.Error(err)
	}
	a.conn.Write([]byte{0xff, 0, 0, 0})
	if _, _, err := b.Receive(); !errors.Is(err, ErrFrameSize) {
		t.Error(err)
	}
	for _, cut := range []string{"\x00\x00", "\x00\x00\x00\x05abc", "\x00\x10\x00\x00"} {
		a, b := pair(t)
		a.conn.Write([]byte(cut))
		a.Close()
		if _, _, err := b.Receive(); err != io.ErrUnexpectedEOF {
			t.Errorf("%q: %v", cut, err)
		}
	}
}

func TestPeer(t *testing.T) {
	a, _ := pair(t)
	c, err := a.Peer()
	if err != nil || int(c.UID) != os.Getuid() || int(c.PID) != os.Getpid() {
		t.Errorf("%+v %v", c, err)
	}
}

func TestHint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	h := NewHint(path)
	defer h.Close()
	if h.Send([]byte("x")) {
		t.Error("sent to nobody")
	}
	for range 2 { // the second time the socket was replaced
		l, err := ListenDatagram(path)
		if err != nil {
			t.Fatal(err)
		}
		if !h.Send([]byte("id")) {
			t.Error("not sent")
		}
		l.SetReadDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, MaxDatagram)
		if n, err := l.Read(buf); err != nil || string(buf[:n]) != "id" {
			t.Errorf("%q %v", buf[:n], err)
		}
		for h.Send([]byte("fill")) { // returns when the socket is full: never blocks
		}
		l.Close()
	}
}

// A Bell loses no name, sends the first at once and the others together.
func TestBell(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := ListenDatagram(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := NewBell(NewHint(path))
	const n = 1000
	go func() {
		for i := range n {
			b.Ring(fmt.Sprintf("name%04d", i))
		}
	}()
	l.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, MaxDatagram)
	next, datagrams := 0, 0
	for ; next < n; datagrams++ {
		k, err := l.Read(buf)
		if err != nil {
			t.Fatalf("after %d names: %v", next, err)
		}
		for _, name := range Names(buf[:k]) {
			if name != fmt.Sprintf("name%04d", next) {
				t.Fatalf("%s, want number %d", name, next)
			}
			next++
		}
		if datagrams == 0 && next != 1 {
			t.Errorf("the first datagram has %d names", next)
		}
	}
	if datagrams > n/10 {
		t.Errorf("%d datagrams for %d names", datagrams, n)
	}
}

func TestDial(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if _, err := Dial(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error names no path: %v", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func FuzzDecoder(f *testing.F) {
	var e Encoder
	e.Strings([]string{"a", "b"})
	e.Time(time.Unix(1, 2))
	f.Add(e.Frame())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, frame []byte) {
		d := NewDecoder(frame)
		list, at := d.Strings(), d.Time()
		n, s := d.Int(), d.String()
		if d.Done() != nil {
			return
		}
		// What decodes has one encoding only.
		var e Encoder
		e.Strings(list)
		e.Time(at)
		e.Int(n)
		e.String(s)
		if !at.IsZero() && !bytes.Equal(e.Frame(), frame) {
			t.Errorf("% x became % x", frame, e.Frame())
		}
	})
}
