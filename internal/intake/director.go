package intake

import "posthaste/internal/mail"

// What an access table wants done with a message (access(5)). A later wish of
// the same kind, from header_checks for instance, replaces an earlier one.

// Hold makes the message wait in the hold queue. It may be called until Commit.
func (m *Message) Hold() { m.hold = true }

// Filter sends the message through a content filter, `transport:nexthop`. It may
// be called until Commit.
func (m *Message) Filter(destination string) { m.filter = destination }

// Redirect sends the message to one address in place of its recipients. It may
// be called until Commit.
func (m *Message) Redirect(to mail.Address) { m.redirect = to }

// Prepend puts a header above our own Received header. It must be called before
// the content begins.
func (m *Message) Prepend(header string) { m.prepend = append(m.prepend, oneLine(header)) }
