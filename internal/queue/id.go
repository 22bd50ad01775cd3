package queue

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"time"

	"posthaste/internal/mail"
)

// alphabet is base 52 without vowels, in sorting order; base 51 leaves out the
// last letter, which marks the end of the time in a long id.
const alphabet = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"

const (
	secondDigits = 6
	usecDigits   = 4
)

// idMaker makes long queue ids that are never used twice: each call gets a
// microsecond of its own, and the part that holds the inode number in Postfix
// is a random number of this process, so that two processes, or two runs with
// the clock set back between them, do not meet either.
type idMaker struct {
	mu      sync.Mutex
	last    int64 // microseconds since 1970 of the newest id
	process string
}

func newIDMaker() (*idMaker, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("random number for queue ids: %w", err)
	}
	// 40 bits: as long as the inode numbers people are used to see.
	return &idMaker{process: encode(binary.LittleEndian.Uint64(b[:])>>24, 51, 1)}, nil
}

func (m *idMaker) next(now time.Time) mail.QueueID {
	m.mu.Lock()
	usec := max(now.UnixMicro(), m.last+1)
	m.last = usec
	m.mu.Unlock()
	return mail.QueueID(encode(uint64(usec/1e6), 52, secondDigits) +
		encode(uint64(usec%1e6), 52, usecDigits) + "z" + m.process)
}

// encode writes v in the given base with at least width digits.
func encode(v uint64, base uint64, width int) string {
	var b [16]byte
	i := len(b)
	for v > 0 || len(b)-i < width {
		i--
		b[i] = alphabet[v%base]
		v /= base
	}
	return string(b[i:])
}

// shortID is Postfix's classic name: microseconds and inode number. It can
// occur again, so its maker looks for it in every queue first (R9).
func shortID(now time.Time, inode uint64) mail.QueueID {
	return mail.QueueID(fmt.Sprintf("%05X%X", now.Nanosecond()/1000, inode))
}

// longParts cuts a long id into time and inode part; ok is false for others.
func longParts(id string) (usec, inode string, ok bool) {
	i := strings.LastIndexByte(id, 'z')
	if i < secondDigits+usecDigits {
		return "", "", false
	}
	return id[i-usecDigits : i], id[i+1:], true
}

// usecOf decodes the microseconds of a long id.
func usecOf(digits string) (n int) {
	for i := 0; i < len(digits); i++ {
		n = n*52 + max(strings.IndexByte(alphabet, digits[i]), 0)
	}
	return n
}

// hashPath is the subdirectories of an id, one character a level: of the name
// for a short id, of the microseconds in hexadecimal for a long one. '_' stands
// in where the name is too short.
func hashPath(id mail.QueueID, depth int) string {
	s := string(id)
	if usec, _, ok := longParts(s); ok {
		s = fmt.Sprintf("%05X", usecOf(usec))
	}
	var b strings.Builder
	for i := 0; i < depth; i++ {
		if i < len(s) {
			b.WriteByte(s[i])
		} else {
			b.WriteByte('_')
		}
		b.WriteByte('/')
	}
	return b.String()
}
