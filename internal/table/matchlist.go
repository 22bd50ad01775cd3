package table

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"posthaste/internal/config"
)

// matchList is a list of patterns: names, `.domain`, addresses and networks,
// /file/name with more of them, type:table; each may be negated by '!'. The
// first pattern that matches decides.
type matchList struct {
	title   string
	parents bool // a domain matches its subdomains without a leading dot
	items   []matchItem
}

// matchItem is one pattern. Exactly one of text, table and err is set.
type matchItem struct {
	negate bool
	text   string // folded
	table  *Named
	err    error // a file that cannot be read: matching fails when it comes here
	prefix netip.Prefix
	addr   bool  // prefix is valid
	badNet error // looks like a network, but is none: address matches fail here
}

// maxMatchFiles bounds files that name files.
const maxMatchFiles = 10

func newMatchList(o Opener, title, list string, parents bool) matchList {
	m := matchList{title: title, parents: parents}
	m.parse(o, list, false, 0)
	return m
}

func (m *matchList) parse(o Opener, list string, negate bool, depth int) {
	for _, pattern := range config.SplitList(list) {
		item := matchItem{negate: negate}
		for strings.HasPrefix(pattern, "!") {
			item.negate = !item.negate
			pattern = pattern[1:]
		}
		switch {
		case pattern == "":
			item.err = fmt.Errorf("%s: no pattern after '!'", m.title)
		case pattern[0] == '/':
			if err := m.parseFile(o, pattern, item.negate, depth); err == nil {
				continue
			} else {
				item.err = err
			}
		case pattern[0] != '[' && strings.Contains(pattern, ":"):
			t := o.Open(pattern)
			item.table = &t
		default:
			item.text = Fold(pattern)
			item.prefix, item.addr, item.badNet = parseNetwork(item.text)
		}
		m.items = append(m.items, item)
	}
}

// parseFile reads patterns from a file; lines that begin with '#' are comments.
func (m *matchList) parseFile(o Opener, path string, negate bool, depth int) error {
	if depth == maxMatchFiles {
		return fmt.Errorf("%s: %s: too many nested pattern files", m.title, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return FileError(m.title+": open file "+path, err)
	}
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		if !strings.HasPrefix(text, "#") {
			m.parse(o, text, negate, depth+1)
		}
	}
	return nil
}

// match tries the patterns in order; test says whether one of them matches.
func (m *matchList) match(ctx context.Context, test func(context.Context, *matchItem) (bool, error)) (bool, error) {
	for i := range m.items {
		item := &m.items[i]
		if item.err != nil {
			return false, item.err
		}
		ok, err := test(ctx, item)
		if err != nil {
			return false, fmt.Errorf("%s: %w", m.title, err)
		}
		if ok {
			return !item.negate, nil
		}
	}
	return false, nil
}

func (i *matchItem) matchString(ctx context.Context, s string) (bool, error) {
	if i.table == nil {
		return i.text == Fold(s), nil
	}
	return i.has(ctx, s)
}

func (i *matchItem) has(ctx context.Context, key string) (bool, error) {
	_, found, err := i.table.Lookup(ctx, key)
	if err != nil {
		return false, fmt.Errorf("%s: %w", i.table.Name, err)
	}
	return found, nil
}

// matchDomain matches a host or domain name, with parents as the list says.
func (i *matchItem) matchDomain(ctx context.Context, name string, parents bool) (bool, error) {
	if i.table == nil {
		return matchDomainText(Fold(name), i.text, parents), nil
	}
	for key := name; key != ""; {
		if found, err := i.has(ctx, key); found || err != nil {
			return found, err
		}
		dot := strings.IndexByte(key[1:], '.')
		if dot < 0 || i.table.Kind != Exact {
			return false, nil
		}
		key = key[1+dot:]
		if parents {
			key = key[1:]
		}
	}
	return false, nil
}

func matchDomainText(name, pattern string, parents bool) bool {
	if name == pattern {
		return true
	}
	rest, ok := strings.CutSuffix(name, pattern)
	if !ok || rest == "" {
		return false
	}
	if parents && pattern[0] != '.' {
		return rest[len(rest)-1] == '.'
	}
	return !parents && pattern[0] == '.'
}

func (i *matchItem) matchAddress(ctx context.Context, text string, addr netip.Addr) (bool, error) {
	switch {
	case i.table != nil:
		return i.has(ctx, text)
	case i.badNet != nil:
		return false, i.badNet
	}
	return i.addr && i.prefix.Contains(addr), nil
}
