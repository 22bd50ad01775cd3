package dns

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// maxAliases bounds a CNAME chain, as in Postfix.
const maxAliases = 10

// maxRecords bounds the records taken from one answer; the rest is dropped.
const maxRecords = 100

// Client is the Resolver that asks name servers. It has no goroutine and needs
// no closing.
type Client struct {
	config Config
	cache  *cache
	turn   atomic.Uint32 // for rotate
}

// New makes a client with an empty cache.
func New(c Config) *Client {
	return &Client{config: c.withDefaults(), cache: newCache(cacheSize)}
}

// Lookup implements Resolver. Answers are kept for their TTL.
func (c *Client) Lookup(ctx context.Context, name string, t Type, o Options) (Answer, error) {
	name, rooted := strings.CutSuffix(name, ".")
	if !ValidName(name) {
		return Answer{}, &Error{Kind: Invalid, Name: name}
	}
	if !o.Search || rooted {
		return c.lookup(ctx, name, t, o)
	}
	return c.search(ctx, name, t, o)
}

// search tries the name with the domains of the search list. A temporary error
// ends the search: what would have come later must not answer for it.
func (c *Client) search(ctx context.Context, name string, t Type, o Options) (Answer, error) {
	names := make([]string, 0, len(c.config.Search)+1)
	plainFirst := strings.Count(name, ".") >= c.config.Ndots
	if plainFirst {
		names = append(names, name)
	}
	for _, domain := range c.config.Search {
		if full := name + "." + domain; ValidName(full) {
			names = append(names, full)
		}
	}
	if !plainFirst {
		names = append(names, name)
	}
	var first error
	for _, full := range names {
		a, err := c.lookup(ctx, full, t, o)
		if err == nil {
			return a, nil
		}
		e := err.(*Error)
		if first == nil || e.Kind == NoData {
			first = &Error{Kind: e.Kind, Name: name, Type: t, Err: e.Err}
		}
		if !e.Missing() {
			return Answer{}, first
		}
	}
	return Answer{}, first
}

// lookup answers from the cache or asks, following aliases.
func (c *Client) lookup(ctx context.Context, name string, t Type, o Options) (Answer, error) {
	key := cacheKey{strings.ToLower(name), t, o.DNSSEC}
	if a, err, ok := c.cache.get(key); ok {
		return a, err
	}
	a, ttl, err := c.resolve(ctx, name, t, o)
	if err == nil || !err.Temporary() {
		c.cache.put(key, a, err, ttl)
	}
	if err != nil {
		return Answer{}, err
	}
	return a, nil
}

// resolve asks for name and then for what it is an alias of, as far as the
// server did not follow the chain itself.
func (c *Client) resolve(ctx context.Context, name string, t Type, o Options) (a Answer, ttl time.Duration, err *Error) {
	authentic := true
	current := name
	ttl = maxTTL
	for range maxAliases {
		reply, err := c.ask(ctx, current, t, o)
		if err != nil {
			return Answer{}, 0, &Error{Kind: Retry, Name: name, Type: t, Err: err}
		}
		authentic = authentic && o.DNSSEC && c.config.TrustAD && reply.AuthenticatedData
		switch reply.Rcode {
		case dns.RcodeSuccess:
		case dns.RcodeNameError:
			return Answer{}, min(ttl, negativeTTL(reply)), &Error{Kind: NotFound, Name: name, Type: t}
		case dns.RcodeFormatError:
			return Answer{}, 0, &Error{Kind: Fail, Name: name, Type: t}
		default:
			return Answer{}, 0, &Error{Kind: Retry, Name: name, Type: t}
		}
		x := extract(reply, current, t)
		ttl = min(ttl, x.ttl)
		switch {
		case x.nullMX:
			return Answer{}, ttl, &Error{Kind: NullMX, Name: name, Type: t}
		case x.loop:
			return Answer{}, 0, &Error{Kind: NotFound, Name: name, Type: t}
		case len(x.records) > 0:
			return Answer{Name: x.owner, Records: x.records, Authentic: authentic}, ttl, nil
		case x.bad:
			return Answer{}, 0, &Error{Kind: Invalid, Name: name, Type: t}
		case strings.EqualFold(x.owner, current):
			return Answer{}, min(ttl, negativeTTL(reply)), &Error{Kind: NoData, Name: name, Type: t}
		}
		if !ValidName(x.owner) {
			return Answer{}, 0, &Error{Kind: Invalid, Name: name, Type: t}
		}
		current = x.owner
	}
	return Answer{}, 0, &Error{Kind: NotFound, Name: name, Type: t} // a loop
}
