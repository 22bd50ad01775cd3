package smtp

import (
	"errors"
	"strconv"
	"strings"

	"posthaste/internal/mail"
)

// ErrControl says that an address or parameter holds a byte that would end or
// garble the command line.
var ErrControl = errors.New("control character in address")

// Mail is the MAIL command with the parameters that the server offers; zero
// values are left out.
type Mail struct {
	Sender   mail.Address
	Size     int64
	Body     mail.Encoding // only with 8BITMIME
	EnvID    string        // decoded; only with DSN
	Return   mail.Return   // only with DSN
	SMTPUTF8 bool
}

// Append adds the command line.
func (m Mail) Append(b []byte) ([]byte, error) {
	sender := m.Sender.Quoted()
	if !clean(sender) || !clean(m.EnvID) {
		return b, ErrControl
	}
	b = append(b, "MAIL FROM:<"...)
	b = append(b, sender...)
	b = append(b, '>')
	if m.Size > 0 {
		b = strconv.AppendInt(append(b, " SIZE="...), m.Size, 10)
	}
	switch m.Body {
	case mail.Encoding8Bit:
		b = append(b, " BODY=8BITMIME"...)
	case mail.Encoding7Bit:
		b = append(b, " BODY=7BIT"...)
	}
	if m.EnvID != "" {
		b = AppendXtext(append(b, " ENVID="...), m.EnvID)
	}
	switch m.Return {
	case mail.ReturnFull:
		b = append(b, " RET=FULL"...)
	case mail.ReturnHeaders:
		b = append(b, " RET=HDRS"...)
	}
	if m.SMTPUTF8 {
		b = append(b, " SMTPUTF8"...)
	}
	return append(b, "\r\n"...), nil
}

// Rcpt is the RCPT command. Original and Notify are only for servers with DSN.
type Rcpt struct {
	Recipient mail.Address
	Original  string // `type;address`, decoded
	Notify    mail.Notify
}

// Append adds the command line.
func (r Rcpt) Append(b []byte) ([]byte, error) {
	recipient := r.Recipient.Quoted()
	if !clean(recipient) || !clean(r.Original) {
		return b, ErrControl
	}
	b = append(b, "RCPT TO:<"...)
	b = append(b, recipient...)
	b = append(b, '>')
	if kind, address, ok := strings.Cut(r.Original, ";"); ok && validAddrType(kind) && address != "" {
		b = append(append(append(b, " ORCPT="...), kind...), ';')
		if strings.EqualFold(kind, "utf-8") {
			b = appendUTF8Xtext(b, address)
		} else {
			b = AppendXtext(b, address)
		}
	}
	if r.Notify != 0 {
		b = append(b, " NOTIFY="...)
		for _, n := range [...]struct {
			bit  mail.Notify
			name string
		}{{mail.NotifyNever, "NEVER,"}, {mail.NotifySuccess, "SUCCESS,"}, {mail.NotifyFailure, "FAILURE,"}, {mail.NotifyDelay, "DELAY,"}} {
			if r.Notify&n.bit != 0 {
				b = append(b, n.name...)
			}
		}
		b = b[:len(b)-1]
	}
	return append(b, "\r\n"...), nil
}

// OriginalRecipient makes the ORCPT value of an address that came without one.
func OriginalRecipient(a mail.Address) string {
	if a == "" {
		return ""
	}
	kind := "rfc822;"
	if !mail.IsASCII(string(a)) {
		kind = "utf-8;"
	}
	return kind + a.Quoted()
}

// clean tells whether s can stand in a command line.
func clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// appendUTF8Xtext encodes an address for ORCPT=utf-8 (RFC 6533 section 3):
// characters beyond ASCII stand as they are, which needs SMTPUTF8.
func appendUTF8Xtext(b []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r > 0x7f:
			b = append(b, string(r)...)
		case r <= ' ' || r == 0x7f || r == '+' || r == '=' || r == '\\':
			b = append(b, `\x{`...)
			b = append(strconv.AppendInt(b, int64(r), 16), '}')
		default:
			b = append(b, byte(r))
		}
	}
	return b
}
