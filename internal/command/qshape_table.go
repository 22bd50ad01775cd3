package command

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shape counts messages by domain and age.
type shape struct {
	now     time.Time
	senders bool    // of the sender, one for each message; else of each recipient
	parents bool    // for parent domains, too
	linear  bool    // each bucket is as wide as the first; else twice the one before
	buckets int     // how many there are; the last one has no end
	tick    float64 // the width of the first, in minutes
	width   int     // of the table, in columns
	least   int     // subdomains that a parent domain must have to be shown
	top     int     // domains that are shown; 0: all
	counts  map[string][]int
	below   map[string]int // subdomains by parent domain
}

// maxBuckets bounds -b: a table wider than any screen.
const maxBuckets = 1000

func newShape(now time.Time) shape {
	return shape{now: now, buckets: 10, tick: 5, width: 80, least: 5,
		counts: map[string][]int{allDomains: nil}, below: map[string]int{}}
}

// allDomains is the name of the sum; domains are in lower case.
const allDomains = "TOTAL"

// shapeMessage is what qshape wants to know of a message.
type shapeMessage struct {
	arrival    time.Time
	sender     string
	recipients []string
}

// add counts a message.
func (s *shape) add(m *shapeMessage) {
	bucket := s.bucket(m.arrival)
	list := m.recipients
	if s.senders {
		list = []string{m.sender}
	}
	for _, address := range list {
		s.count(allDomains, bucket)
		domain := shapeDomain(address)
		fresh := s.count(domain, bucket)
		for s.parents {
			parent := parentDomain(domain)
			if parent == "" {
				break
			}
			isNew := s.count(parent, bucket)
			if fresh {
				s.below[parent]++
			}
			domain, fresh = parent, isNew
		}
	}
}

// count counts one, and tells whether it is the first of the domain.
func (s *shape) count(domain string, bucket int) (first bool) {
	c := s.counts[domain]
	if c == nil {
		c = make([]int, s.buckets+1) // the first is the sum
		s.counts[domain] = c
	}
	c[0]++
	c[bucket]++
	return c[0] == 1
}

// bucket is the bucket of a message by its age, from 1.
func (s *shape) bucket(arrival time.Time) int {
	age := float64(s.now.Unix()-arrival.Unix()) / (60 * s.tick)
	b := 1
	if s.linear {
		if age >= 1 {
			b = int(min(age, float64(s.buckets))) + 1
		}
	} else {
		for end := 1.0; age >= end && b < s.buckets; end *= 2 {
			b++
		}
	}
	return min(b, s.buckets)
}

// shapeDomain is the domain that an address counts for.
func shapeDomain(address string) string {
	if address == "" {
		return "MAILER-DAEMON"
	}
	d := lowerASCII(address[strings.LastIndexByte(address, '@')+1:])
	d = strings.ReplaceAll(d, "..", ".")
	if cut := strings.TrimPrefix(d, "."); cut != "" {
		d = cut
	}
	if cut := strings.TrimSuffix(d, "."); cut != "" {
		d = cut
	}
	return d
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// parentDomain is the domain above, with a dot in front; empty when that would
// be a top level domain.
func parentDomain(domain string) string {
	first, rest, found := strings.Cut(strings.TrimPrefix(domain, "."), ".")
	if !found || first == "" || !strings.Contains(rest, ".") {
		return ""
	}
	return "." + rest
}

// heads are the titles of the columns: the ages at which they end.
func (s *shape) heads() []string {
	list, at := []string{"T"}, 0.0
	for i := 1; i <= s.buckets; i++ {
		plus := "+"
		if i < s.buckets {
			plus = ""
			if at == 0 || s.linear {
				at += s.tick
			} else {
				at *= 2
			}
		}
		list = append(list, strconv.FormatFloat(at, 'g', 15, 64)+plus)
	}
	return list
}

// leastDomain is the least width of the column of domains.
const leastDomain = 18

// print prints the table: the domains with the most messages come first.
func (s *shape) print(out *bufio.Writer) {
	heads, total := s.heads(), s.counts[allDomains]
	if total == nil {
		total = make([]int, s.buckets+1)
		s.counts[allDomains] = total
	}
	wide, left := make([]int, len(heads)), s.width
	for i, h := range heads {
		wide[i] = max(len(h), len(strconv.Itoa(total[i])))
		if wide[i]++; wide[i] <= 3 {
			wide[i] = 3
		}
		left -= wide[i]
	}
	left = max(left, leastDomain)
	line := func(domain string, cells func(i int) string) {
		out.WriteString(fit(domain, left))
		for i := range wide {
			fmt.Fprintf(out, "%*s", wide[i], cells(i))
		}
		out.WriteByte('\n')
	}
	line("", func(i int) string { return heads[i] })
	shown := 0
	for _, d := range slices.SortedFunc(maps.Keys(s.counts), s.order) {
		if strings.HasPrefix(d, ".") && s.below[d] < s.least {
			continue
		}
		if shown++; s.top > 0 && shown > s.top {
			return
		}
		line(logSafe(d), func(i int) string { return strconv.Itoa(s.counts[d][i]) })
	}
}

func (s *shape) order(a, b string) int {
	return cmp.Or(s.counts[b][0]-s.counts[a][0], len(a)-len(b), strings.Compare(a, b))
}

// fit makes a domain as wide as its column; of a long one the end is shown.
func fit(domain string, width int) string {
	switch {
	case len(domain) <= width:
		return strings.Repeat(" ", width-len(domain)) + domain
	case domain[0] == '.':
		return ".+" + domain[len(domain)-width+2:]
	}
	return "+" + domain[len(domain)-width+1:]
}
