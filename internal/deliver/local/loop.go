package local

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// Limits of the search for Delivered-To headers.
const (
	maxHeaderLine  = 4096
	maxDeliveredTo = 10000
)

// foldAddress is the form in which addresses are compared.
func foldAddress(a mail.Address) string { return strings.ToLower(headerText(a)) }

// deliveredTo collects the Delivered-To headers of a message: mail for an
// address that is among them has been here before.
func deliveredTo(c record.Content) (map[string]bool, error) {
	lines := c.Lines()
	defer lines.Close()
	var header []byte // the current header, unfolded, up to a limit
	found := make(map[string]bool)
	flush := func() {
		name, value, ok := bytes.Cut(header, []byte(":"))
		if ok && strings.EqualFold(string(bytes.TrimRight(name, " \t")), "Delivered-To") && len(found) < maxDeliveredTo {
			found[strings.ToLower(string(bytes.TrimSpace(value)))] = true
		}
		header = header[:0]
	}
	begin := true
	for {
		line, complete, err := lines.Next()
		if errors.Is(err, io.EOF) {
			flush()
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if begin {
			if len(line) == 0 && complete {
				flush()
				return found, nil
			}
			if len(line) > 0 && line[0] != ' ' && line[0] != '\t' {
				flush()
			}
		}
		header = append(header, line[:min(len(line), max(0, maxHeaderLine-len(header)))]...)
		begin = complete
	}
}
