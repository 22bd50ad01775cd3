package address

import (
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/mail"
)

// Delimiter splits the extension from a local part (recipient_delimiter).
type Delimiter struct {
	Set          string // characters, each of which separates
	OwnerSpecial bool   // owner_request_special
	DoubleBounce string // local part that is never split
}

// NewDelimiter takes the settings from the configuration.
func NewDelimiter(c config.Common) Delimiter {
	return Delimiter{Set: c.RecipientDelimiter, OwnerSpecial: c.OwnerRequestSpecial, DoubleBounce: c.DoubleBounceSender}
}

// Split cuts `user+ext` into `user` and `+ext`. Names that mean a part of the
// mail system are never split, nor is a name that begins with a delimiter.
func (d Delimiter) Split(local string) (user, extension string) {
	if d.Set == "" {
		return local, ""
	}
	i := strings.IndexAny(local, d.Set)
	if i <= 0 || d.reserved(local) {
		return local, ""
	}
	return local[:i], local[i:]
}

func (d Delimiter) reserved(local string) bool {
	if strings.EqualFold(local, "postmaster") || strings.EqualFold(local, "mailer-daemon") ||
		d.DoubleBounce != "" && strings.EqualFold(local, d.DoubleBounce) {
		return true
	}
	if !d.OwnerSpecial || strings.IndexByte(d.Set, '-') < 0 {
		return false
	}
	const owner, request = "owner-", "-request"
	return hasPrefixFold(local, owner) ||
		len(local) > len(request) && strings.EqualFold(local[len(local)-len(request):], request)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// splitAddress cuts the extension out of a whole address. bare is the address
// without it.
func (d Delimiter) splitAddress(a mail.Address) (bare mail.Address, extension string) {
	if d.Set == "" {
		return a, ""
	}
	at := strings.LastIndexByte(string(a), '@')
	if at < 0 {
		at = len(a)
	}
	user, extension := d.Split(string(a[:at]))
	if extension == "" {
		return a, ""
	}
	return mail.Address(user) + a[at:], extension
}
