package address

import (
	"strings"

	"posthaste/internal/mail"
)

// Context says whose incomplete addresses are to be completed.
type Context uint8

// The contexts of trivial-rewrite(8).
const (
	Local  Context = iota // with $myorigin and $mydomain
	Remote                // with $remote_header_rewrite_domain
)

// Rewriter puts addresses into the standard form user@fully.qualified.domain.
// It is safe for concurrent use.
type Rewriter struct {
	params           RewriteParams
	origin, myDomain string
}

// NewRewriter makes a Rewriter.
func NewRewriter(p Params) *Rewriter {
	return &Rewriter{params: p.Rewrite, origin: p.Common.MyOrigin, myDomain: p.Common.MyDomain}
}

// RewritesRemote tells whether headers of remote clients are rewritten at all.
func (r *Rewriter) RewritesRemote() bool { return r.params.RemoteHeaderDomain != "" }

// TokenLimit is header_address_token_limit.
func (r *Rewriter) TokenLimit() int { return r.params.TokenLimit }

// Origin is myorigin.
func (r *Rewriter) Origin() string { return r.origin }

// Rewrite puts an address in internal form into standard form. An address whose
// local part needs quotes keeps it as it is. The null address stays.
func (r *Rewriter) Rewrite(a mail.Address, c Context) mail.Address {
	return r.Mailbox(Mailbox{Address: a, Quoted: !plainLocal(a)}, c)
}

// Mailbox is Rewrite for an address from a header.
func (r *Rewriter) Mailbox(box Mailbox, c Context) mail.Address {
	if box.Address == "" {
		return ""
	}
	return mail.Address(r.rewrite(string(box.Address), box.Quoted, c))
}

// plainLocal tells whether the local part is written without quotes.
func plainLocal(a mail.Address) bool {
	local := a.Local()
	if local == "" {
		return false
	}
	for i := 0; i < len(local); i++ {
		c := local[i]
		if c == '.' && (i == 0 || i == len(local)-1 || local[i-1] == '.') {
			return false
		}
		if c <= ' ' || c == 0x7f || strings.IndexByte(`()<>@,;:\"[]`, c) >= 0 {
			return false
		}
	}
	return true
}

// rewrite applies the rules in the order of trivial-rewrite(8). opaque keeps
// the routing operators of the local part.
func (r *Rewriter) rewrite(s string, opaque bool, c Context) string {
	origin, domain := r.origin, r.myDomain
	if c == Remote {
		origin, domain = r.params.RemoteHeaderDomain, r.params.RemoteHeaderDomain
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		s, at = r.qualify(s, opaque, origin)
		if at < 0 {
			return s
		}
	}
	host := s[at+1:]
	if r.params.AppendDotMyDomain && domain != "" && host != "" && strings.IndexByte(host, '.') < 0 && host[0] != '[' {
		s += "." + domain
	}
	// A final dot goes, unless it stands behind a dot or the '@': what is
	// broken is left for the diagnostics.
	if n := len(s); n-at > 2 && s[n-1] == '.' && s[n-2] != '.' {
		s = s[:n-1]
	}
	return s
}

// qualify gives an address without '@' a domain. at is -1 if it got none.
func (r *Rewriter) qualify(s string, opaque bool, origin string) (_ string, at int) {
	if !opaque && r.params.SwapBangpath {
		if site, user, ok := strings.Cut(s, "!"); ok {
			return user + "@" + site, len(user)
		}
	}
	if !opaque && r.params.AllowPercentHack {
		if i := strings.LastIndexByte(s, '%'); i >= 0 {
			return s[:i] + "@" + s[i+1:], i
		}
	}
	if r.params.AppendAtMyOrigin && origin != "" {
		return s + "@" + origin, len(s)
	}
	return s, -1
}
