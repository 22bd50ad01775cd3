package restrictions

import (
	"errors"
	"fmt"
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/table"
)

// list is a restriction list, ready to be evaluated.
type list []rule

// rule is one restriction of a list. args are the words of main.cf it took.
type rule struct {
	name string
	arg  string
	eval func(e *eval, r *rule) result
	tab  table.Named // of check_…_access
	sub  list        // of a restriction class
	// unknown says that the restriction is misspelt or not supported.
	unknown bool
}

// maxDepth bounds classes and access tables that refer to each other.
const maxDepth = 100

// ErrNoRelayControl says that a server would relay for everybody.
var ErrNoRelayControl = errors.New("in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, " +
	"specify at least one working instance of: " +
	"reject_unauth_destination, defer_unauth_destination, reject, defer or defer_if_permit")

// New compiles the lists. A misspelt or unsupported restriction is not an error
// here: it is logged, and refuses with 451 when it is reached, as in Postfix.
// Errors: ErrNoRelayControl, a class without definition.
func New(p Params, deps Deps) (*Checker, error) {
	c := &Checker{p: p, deps: deps, classes: map[string]string{}, names: restrictionNames()}
	c.mynetworks = table.NewAddressList(deps.Tables, "mynetworks", p.Common.MyNetworks,
		table.ParentMatches(deps.Tables, p.Common.ParentMatches, "mynetworks"))
	c.parents = table.ParentMatches(deps.Tables, p.Common.ParentMatches, "smtpd_access_maps")
	for _, name := range p.Classes {
		value, ok := deps.Class(name)
		if !ok {
			return nil, fmt.Errorf("restriction class `%s' needs a definition", name)
		}
		c.classes[strings.ToLower(name)] = value
	}
	if !hasRelayControl(p.Relay) && !hasRelayControl(p.Recipient) {
		return nil, ErrNoRelayControl
	}
	texts := [numLists][]string{p.Client, p.Helo, p.Sender, p.Relay, p.Recipient, p.Data, p.EndOfData, p.Etrn}
	for id, words := range texts {
		c.lists[id] = c.compile(listID(id), words, 0)
		c.lists[id].warn(deps.Log)
	}
	return c, nil
}

// None makes a checker that lets everything pass: it has no lists, and knows
// every address. It never fails; it has the form of New.
func None(_ Params, deps Deps) (*Checker, error) { return &Checker{deps: deps}, nil }

// warn tells of the restrictions that are not known, at the start, long before
// one is reached.
func (l list) warn(log Logger) {
	for i := range l {
		if l[i].unknown {
			log.Warning("unknown smtpd restriction: %q", l[i].name)
		}
		l[i].sub.warn(log)
	}
}

// hasRelayControl looks for a restriction that ends in refusal. One behind
// warn_if_reject, or behind an unconditional permit, does not work.
func hasRelayControl(words []string) bool {
	for i, w := range words {
		switch strings.ToLower(w) {
		case "permit":
			return false
		case "reject_unauth_destination", "defer_unauth_destination", "reject", "defer", "defer_if_permit":
			if i == 0 || !strings.EqualFold(words[i-1], "warn_if_reject") {
				return true
			}
		}
	}
	return false
}

// compile turns words into rules. It never fails: what it does not understand
// becomes a rule that refuses.
func (c *Checker) compile(id listID, words []string, depth int) list {
	var out list
	for i := 0; i < len(words); i++ {
		name := strings.ToLower(words[i])
		if strings.Contains(name, ":") {
			// A bare table is short for check_client_access and so on.
			out = append(out, c.accessRule(bareAccess[id], words[i]))
			continue
		}
		if def, ok := c.classes[name]; ok {
			out = append(out, c.classRule(id, words[i], def, depth))
			continue
		}
		spec, ok := c.names[name]
		if !ok {
			out = append(out, c.unsupported(words[i]))
			continue
		}
		r := rule{name: name, eval: spec.eval}
		if spec.arg {
			if i+1 == len(words) {
				out = append(out, c.unsupported(words[i]))
				continue
			}
			i++
			r.arg = words[i]
		}
		switch {
		case spec.table:
			r = c.accessRule(name, r.arg)
		case r.eval == nil:
			r = c.unsupported(words[i-b2i(spec.arg)])
		}
		out = append(out, r)
	}
	return out
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (c *Checker) classRule(id listID, name, def string, depth int) rule {
	if depth == maxDepth {
		c.deps.Log.Warning("restriction class %s causes unreasonable recursion", name)
		return c.unsupported(name)
	}
	return rule{name: name, eval: (*eval).class, sub: c.compile(id, config.SplitList(def), depth+1)}
}

func (c *Checker) accessRule(name, spec string) rule {
	if !strings.Contains(spec, ":") {
		c.deps.Log.Warning("restriction %s: bad argument %q: need maptype:mapname", name, spec)
		return c.unsupported(name)
	}
	return rule{name: name, arg: spec, eval: c.names[name].eval, tab: c.deps.Tables.Open(spec)}
}

// unsupported makes a rule that refuses whatever comes to it: to go on without
// a check the administrator asked for would open a door.
func (c *Checker) unsupported(name string) rule {
	return rule{name: name, eval: (*eval).unknown, unknown: true}
}

// bareAccess is the restriction that a table without a name before it means.
var bareAccess = [numLists]string{"check_client_access", "check_helo_access", "check_sender_access",
	"check_recipient_access", "check_recipient_access", "check_recipient_access",
	"check_recipient_access", "check_etrn_access"}
