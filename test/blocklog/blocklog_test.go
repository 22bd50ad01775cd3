package blocklog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"posthaste/test/isolate"
)

func TestMain(m *testing.M) { isolate.Run(m.Run) }

// served serves two small disks and opens them.
func served(t *testing.T) (l *Log, images [2]string, disks [2]*os.File) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: it must be run by root")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("SKIPPED: ", err)
	}
	dir := t.TempDir()
	for n := range images {
		images[n] = filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(images[n], make([]byte, 16*Block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Serve(dir, filepath.Join(dir, "served"), 0, images[:]...)
	if err != nil {
		t.Fatal(err)
	}
	for n := range disks {
		if disks[n], err = os.OpenFile(l.Path(n), os.O_RDWR, 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, d := range disks {
			d.Close()
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, images, disks
}

func block(letter byte) []byte { return bytes.Repeat([]byte{letter}, Block) }

func write(t *testing.T, f *os.File, letter byte, at int64) {
	t.Helper()
	if _, err := f.WriteAt(block(letter), at*Block); err != nil {
		t.Fatal(err)
	}
}

// TestFlushDivides writes before and after a flush: what came before is in every
// image, of what came after any part may be, and a flush of one disk does
// nothing for the other.
func TestFlushDivides(t *testing.T) {
	l, _, disks := served(t)
	write(t, disks[0], 'a', 0)
	write(t, disks[1], 'x', 0)
	if err := disks[0].Sync(); err != nil {
		t.Fatal(err)
	}
	write(t, disks[0], 'b', 1)
	write(t, disks[0], 'c', 2)
	write(t, disks[0], 'd', 1) // over b
	now := make([]byte, Block)
	if _, err := disks[0].ReadAt(now, Block); err != nil || !bytes.Equal(now, block('d')) {
		t.Errorf("the disk itself reads %q, %v", now[0], err)
	}
	seen := map[string]bool{}
	for seed := range uint64(300) {
		image, err := os.Create(filepath.Join(t.TempDir(), "image"))
		if err != nil {
			t.Fatal(err)
		}
		defer image.Close()
		r := l.NewReplay(0, image)
		if err := r.Advance(l.Len()); err != nil {
			t.Fatal(err)
		}
		if r.Pending() != 3 {
			t.Fatalf("%d writes are pending", r.Pending())
		}
		if _, err := r.Scatter(image, Sector, rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 3*Block)
		image.ReadAt(got, 0) // it may be shorter
		if !bytes.Equal(got[:Block], block('a')) {
			t.Fatalf("seed %d: what was flushed is not there", seed)
		}
		seen[shape(got[Block:2*Block])+" "+shape(got[2*Block:])] = true
	}
	for _, want := range []string{"0 0", "d c", "b c", "0 c", "d 0", "b 0", "0d c", "0 0c"} {
		if !seen[want] {
			t.Errorf("never seen: %q of %v", want, seen)
		}
	}
	second, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	r := l.NewReplay(1, second)
	if err := r.Advance(l.Len()); err != nil || r.Pending() != 1 {
		t.Errorf("the other disk: %d pending, %v", r.Pending(), err)
	}
}

// shape are the letters that the sectors of a block have, sorted.
func shape(b []byte) string {
	var s string
	for _, letter := range []byte{0, 'b', 'c', 'd'} {
		if !bytes.Contains(b, []byte{letter}) {
			continue
		}
		for at := 0; at < len(b); at += Sector {
			if bytes.Equal(b[at:at+Sector], bytes.Repeat([]byte{letter}, Sector)) {
				s += string(max(letter, '0'))
				break
			}
		}
	}
	return s
}

// TestAdvance goes on with an image event by event.
func TestAdvance(t *testing.T) {
	l, images, disks := served(t)
	base, err := os.ReadFile(images[0])
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, base, 0o600); err != nil {
		t.Fatal(err)
	}
	image, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	r := l.NewReplay(0, image)
	for n := range byte(3) {
		write(t, disks[0], 'a'+n, int64(n))
		if err := r.Advance(l.Len()); err != nil || r.Pending() != 1 {
			t.Fatalf("%d pending, %v", r.Pending(), err)
		}
		if err := disks[0].Sync(); err != nil {
			t.Fatal(err)
		}
		if err := r.Advance(l.Len()); err != nil || r.Pending() != 0 {
			t.Fatalf("%d pending, %v", r.Pending(), err)
		}
		got := make([]byte, Block)
		if _, err := image.ReadAt(got, int64(n)*Block); err != nil || !bytes.Equal(got, block('a'+n)) {
			t.Errorf("%d: %q, %v", n, got[0], err)
		}
	}
	for n := 1; n < l.Len(); n++ {
		if l.At(n).Before(l.At(n - 1)) {
			t.Errorf("event %d was before the one before it", n)
		}
	}
}

// A program that is started while a disk is served has no descriptor of it.
func TestNothingInherited(t *testing.T) {
	served(t)
	out, err := exec.Command("ls", "-l", "/proc/self/fd").CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("/dev/fuse")) {
		t.Errorf("%v\n%s", err, out)
	}
}
