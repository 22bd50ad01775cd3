package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"reflect"
	"testing"
)

// FuzzFrame reads a journal segment as a power cut or a bad disk may leave it.
// What is read as a frame is one that was written whole: it has one encoding,
// and no changed bit goes unnoticed. With seal the checksum is made right
// first, so that the fields behind it are reached.
func FuzzFrame(f *testing.F) {
	segmentSalt, otherSalt := salt("journal/1"), salt("journal/2")
	for _, one := range []frame{
		{kind: frameMessage, place: Hold, id: "4jZMx94QG6zGfZkCp1", body: []byte("C a queue file")},
		{kind: frameMark, place: Incoming, id: "4abc", offset: 215},
		{kind: frameGone, place: Incoming, id: "4abc"},
	} {
		b, err := one.appendTo(nil, segmentSalt)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false, 11)
		f.Add(b[:len(b)-1], true, 90)
		f.Add(append(b, b...), true, 100)
	}
	f.Fuzz(func(t *testing.T, data []byte, seal bool, bit int) {
		if seal {
			reseal(data, segmentSalt)
		}
		first, next, err := readFrame(bytes.NewReader(data), segmentSalt, 0)
		if err != nil {
			if !errors.Is(err, errFrameEnd) || next != 0 {
				t.Fatalf("%v, next %d", err, next)
			}
			return
		}
		if next < frameHead || next > int64(len(data)) || !first.id.Valid() || first.place == "" {
			t.Fatalf("%+v, next %d of %d", first, next, len(data))
		}
		again, err := first.appendTo(nil, segmentSalt)
		if err != nil || int64(len(again)) != next {
			t.Fatalf("written again: %d bytes of %d, %v", len(again), next, err)
		}
		if second, _, err := readFrame(bytes.NewReader(again), segmentSalt, 0); err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("%+v became %+v, %v", first, second, err)
		}
		if _, _, err := readFrame(bytes.NewReader(again), otherSalt, 0); err == nil {
			t.Fatal("a frame of another segment was taken")
		}
		again[(bit&0x7fffffff)/8%len(again)] ^= 1 << (bit & 7)
		if damaged, _, err := readFrame(bytes.NewReader(again), segmentSalt, 0); err == nil {
			t.Fatalf("a changed bit (%d) was not seen: %+v", bit, damaged)
		}
	})
}

// reseal makes the checksum of the first frame right, as far as it is there.
func reseal(data []byte, salt uint32) {
	if len(data) < frameHead {
		return
	}
	end := uint64(frameHead) + uint64(data[10]) + uint64(binary.LittleEndian.Uint32(data[12:]))
	if end <= uint64(len(data)) {
		binary.LittleEndian.PutUint32(data, frameMagic)
		binary.LittleEndian.PutUint32(data[4:], crc32.Update(salt, castagnoli, data[8:end]))
	}
}
