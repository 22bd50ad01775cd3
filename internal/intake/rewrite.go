package intake

import (
	"bytes"

	"posthaste/internal/address"
	"posthaste/internal/mail"
)

// foldWidth is how long a rewritten header line may become before the next
// address goes on a line of its own.
const foldWidth = 70

// rewrites tells whether header addresses are rewritten: for local clients, and
// for remote ones when remote_header_rewrite_domain is set.
func (m *Message) rewrites() bool {
	return !m.envelope.Origin.Remote || m.door.maps.Rewriter.RewritesRemote()
}

func (m *Message) context() address.Context {
	if m.envelope.Origin.Remote {
		return address.Remote
	}
	return address.Local
}

// rewriteHeader returns the header with its addresses rewritten and mapped.
// Nothing is touched, white space included, when no address changes.
func (m *Message) rewriteHeader(head []byte, name int, value []byte, role address.Role) []byte {
	maps := m.door.maps
	list := address.ParseList(string(value), maps.Rewriter.TokenLimit())
	changed, err := list.Replace(func(box address.Mailbox) (mail.Address, error) {
		a := maps.Rewriter.Mailbox(box, m.context())
		if a == "" || !m.maps() {
			return a, nil
		}
		return maps.Canonical(background, a, role)
	})
	if err != nil {
		m.fail(err)
	}
	if !changed {
		return head
	}
	out := make([]byte, 0, len(head)+64)
	out = append(append(out, head[:name]...), ": "...)
	out = list.Append(out)
	return joinShort(out)
}

// joinShort joins lines in place as long as they stay within foldWidth.
func joinShort(head []byte) []byte {
	start := 0
	for at := 0; ; {
		n := bytes.IndexByte(head[at:], '\n')
		end := len(head)
		if n >= 0 {
			end = at + n
		}
		if at > start {
			if end-start < foldWidth {
				head[at-1] = ' '
			} else {
				start = at
			}
		}
		if n < 0 {
			return head
		}
		at = end + 1
	}
}
