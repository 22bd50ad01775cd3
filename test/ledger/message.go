package ledger

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
)

// Message is what the injector sends. Its id stands in Message-ID and in
// X-Test-Id, and the body has a known sum.
type Message struct {
	ID         string
	Sender     string
	Recipients []string
	Data       []byte // for DATA: CRLF, dot-stuffed, with the final dot
	sum        [sha256.Size]byte
}

// Header fields by which messages are known again.
const (
	idField      = "X-Test-Id: "
	messageField = "Message-ID: "
	domain       = "@injector.example.test"
)

// compose makes a message. Each line of the body names the message, so that
// parts of two messages never look alike; some begin with dots.
func compose(id, sender string, size int, recipients []string) Message {
	var body bytes.Buffer
	for n := 0; body.Len() < size; n++ {
		fmt.Fprintf(&body, "%s%s line %d %s\n", strings.Repeat(".", n%3), id, n, strings.Repeat("x", n*7%60))
	}
	m := Message{ID: id, Sender: sender, Recipients: recipients, sum: sha256.Sum256(body.Bytes())}
	head := fmt.Sprintf("From: <%s>\nTo: undisclosed-recipients:;\nSubject: crash test\n%s<%s%s>\n%s%s\n\n",
		sender, messageField, id, domain, idField, id)
	for line := range strings.Lines(head + body.String()) {
		if line[0] == '.' {
			m.Data = append(m.Data, '.')
		}
		m.Data = append(m.Data, line[:len(line)-1]...)
		m.Data = append(m.Data, "\r\n"...)
	}
	m.Data = append(m.Data, ".\r\n"...)
	return m
}

// Text is the message as a program on this machine sends it, and as a sink has
// it: LF line ends, no dot-stuffing.
func (m Message) Text() string {
	var b strings.Builder
	for line := range strings.Lines(string(m.Data[:len(m.Data)-len(".\r\n")])) {
		b.WriteString(strings.TrimSuffix(strings.TrimPrefix(line, "."), "\r\n") + "\n")
	}
	return b.String()
}

// parsed is what is looked at in a message that arrived.
type parsed struct {
	id, messageID string
	sum           [sha256.Size]byte
	notice        bool
}

func parse(text string) parsed {
	head, body, _ := strings.Cut(text, "\n\n")
	got := parsed{sum: sha256.Sum256([]byte(body))}
	for line := range strings.SplitSeq(head, "\n") {
		switch {
		case strings.HasPrefix(line, idField):
			got.id = line[len(idField):]
		case strings.HasPrefix(line, messageField):
			got.messageID = line[len(messageField):]
		case strings.HasPrefix(line, "Content-Type: multipart/report"):
			got.notice = true
		}
	}
	if got.id == "" { // a notice has the original further down
		got.id = findID(body)
	}
	return got
}

// idPattern is an id behind its field. In a queue file the type of the next
// record follows, an upper-case letter, and perhaps a length that looks like text.
var idPattern = regexp.MustCompile(regexp.QuoteMeta(idField) + `([A-Za-z0-9_-]+(?:\.[0-9a-f]+)*\.[0-9]+)`)

// findID finds the id of a message in any text that holds its header.
func findID(text string) string {
	if m := idPattern.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// differs says how a message that arrived differs from the one sent; empty: not.
func (m *Message) differs(got parsed) string {
	switch {
	case got.messageID != "<"+m.ID+domain+">":
		return fmt.Sprintf("Message-ID is %s", got.messageID)
	case got.sum != m.sum:
		return "the body differs"
	}
	return ""
}
