// Package local is local(8): it delivers to the users of this machine, by way
// of aliases, .forward files, commands, files and mailboxes.
//
// The way of one recipient:
//
//  1. A name that is an alias is expanded (alias.go, destination.go). A single
//     local member goes on from here; several addresses, and addresses
//     elsewhere, are sent on as one new message for each sender (forward.go),
//     so that each of them has its own record in the queue.
//  2. A user's .forward file is expanded in the same way (dotforward.go).
//  3. What is left goes to the mailbox: another transport, a command, a
//     maildir or an mbox file (mailbox.go), or is unknown (unknown.go).
//
// One recipient gets one result, made of the results of all destinations
// (combine).
//
// This package plans, as mail_owner. It reads alias tables, the password file
// and :include: files of root; whatever is done with the rights of a user is
// done by a user.Worker.
package local

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"posthaste/internal/address"
	"posthaste/internal/config"
	"posthaste/internal/deliver"
	"posthaste/internal/deliver/user"
	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
	"posthaste/internal/table"
)

// Agent implements deliver.Agent.
type Agent struct {
	params    Params
	deps      Deps
	locks     []mailbox.Lock
	delimiter address.Delimiter

	aliases, transports, commands, fallbacks *table.Maps
}

// New makes an agent. The error says what is wrong in the parameters.
func New(p Params, d Deps) (*Agent, error) {
	locks, err := mailbox.ParseLocks(p.MailboxLock)
	if err != nil {
		return nil, fmt.Errorf("mailbox_delivery_lock: %w", err)
	}
	for name, list := range map[string][]string{"allow_mail_to_commands": p.AllowCommands, "allow_mail_to_files": p.AllowFiles} {
		for _, where := range list {
			if !slices.Contains([]string{alias, forward, include}, where) {
				return nil, fmt.Errorf("%s: bad value %q: use alias, forward or include", name, where)
			}
		}
	}
	for _, where := range p.PrependDelivered {
		if !slices.Contains([]string{"command", "file", "forward"}, where) {
			return nil, fmt.Errorf("prepend_delivered_header: bad value %q: use command, file or forward", where)
		}
	}
	if d.Log == nil {
		d.Log = silent{}
	}
	return &Agent{
		params: p, deps: d, locks: locks, delimiter: address.NewDelimiter(p.Common),
		aliases:    table.NewMaps(d.Tables, "alias_maps", unproxied(p.Common.AliasMaps)),
		transports: table.NewMaps(d.Tables, "mailbox_transport_maps", p.TransportMaps),
		commands:   table.NewMaps(d.Tables, "mailbox_command_maps", unproxied(p.CommandMaps)),
		fallbacks:  table.NewMaps(d.Tables, "fallback_transport_maps", p.FallbackTransportMaps),
	}, nil
}

// silent drops warnings.
type silent struct{}

func (silent) Warning(string, ...any) {}

// unproxied opens tables directly that say whose rights a command gets: the
// proxy does not tell who owns them (local(8), SECURITY).
func unproxied(list string) string {
	items := config.SplitList(list)
	for i := range items {
		items[i] = strings.TrimPrefix(items[i], "proxy:")
	}
	return strings.Join(items, ", ")
}

// Deliver implements deliver.Agent.
func (a *Agent) Deliver(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	loops, err := deliveredTo(r.Content)
	if err != nil {
		return fmt.Errorf("%s: reading the message: %w", r.ID, err)
	}
	for i, rcpt := range r.Recipients {
		start := time.Now()
		j := &job{Agent: a, request: &r, recipient: rcpt, loops: loops, seen: make(map[string]bool)}
		st := j.run(ctx)
		st.Transmit = time.Since(start) - st.Setup
		done(mail.RecipientIndex(i), st)
	}
	return nil
}

// maxParts bounds the results of one recipient that are told one by one. Lists
// are sent on, as one destination.
const maxParts = 1000

// job is the delivery of one recipient.
type job struct {
	*Agent
	request   *deliver.Request
	recipient mail.Recipient
	loops     map[string]bool // Delivered-To headers of the message, folded

	seen     map[string]bool // destinations so far: none is used twice
	full     bool            // there were too many of them
	outgoing []outgoing      // addresses to be sent on, by sender
	results  []mail.Part
	reported bool // "expanded" is reported to the sender: success further on is not
}

// run delivers and makes one result of all.
func (j *job) run(ctx context.Context) mail.Status {
	p := place{address: j.recipient.Address, sender: j.request.Envelope.Sender, delivered: j.recipient.Address}
	j.deliver(ctx, p)
	j.sendOn(ctx, p)
	told := slices.DeleteFunc(slices.Clone(j.results), func(r mail.Part) bool { return r.Unlogged })
	st := combine(told)
	if n := len(j.results); len(told) > 0 && n <= maxParts && (n > 1 || told[0].Recipient != j.recipient || told[0].Service != "") {
		st.Parts = j.results
	}
	if !j.request.Envelope.Trace.Delivers() && st.Action == mail.Bounced {
		st.Action = mail.Undeliverable
	}
	return st
}

// add records what became of a destination, under the address that named it.
func (j *job) add(p place, st mail.Status) {
	to := j.recipient
	if p.address != to.Address {
		if to.Original == "" {
			to.Original = to.Address
		}
		to.Address = p.address
	}
	if j.reported {
		to.Notify = withoutSuccess(to.Notify)
	}
	if st.Relay == "" {
		st.Relay = "local"
	}
	j.results = append(j.results, mail.Part{Recipient: to, Status: st})
}

// expanded reports an alias or .forward whose success was asked for. What it
// stands for asks for no more (RFC 3461 section 5.2.7.1).
func (j *job) expanded(p place) {
	if j.reported || j.probing() || j.recipient.Notify&mail.NotifySuccess == 0 {
		return
	}
	st := mail.Status{Action: mail.Expanded, Code: "2.0.0", Reason: "alias expanded"}
	if p.owned { // a list: the mail has arrived (section 5.2.7.3)
		st.Action = mail.Delivered
	}
	j.add(p, st)
	j.results[len(j.results)-1].Unlogged = true
	j.reported = true
}

// probing tells that nothing is to be delivered, only said.
func (j *job) probing() bool { return !j.request.Envelope.Trace.Delivers() }

// combine makes one result of those of all destinations. One that is to be
// tried again keeps the recipient in the queue; the others then get the mail
// again: rather twice than never. One that failed for good is reported.
func combine(results []mail.Part) mail.Status {
	if len(results) == 0 {
		return mail.Bounce("5.3.5", "mail system configuration error")
	}
	for _, wanted := range []mail.Action{mail.Deferred, mail.Bounced, mail.Undeliverable} {
		for _, r := range results {
			if r.Status.Action == wanted {
				return r.Status
			}
		}
	}
	out := results[0].Status
	for _, r := range results[1:] {
		if !strings.Contains(out.Reason, r.Status.Reason) {
			out.Reason += "; " + r.Status.Reason
		}
		if out.Action == mail.Delivered {
			out.Action = r.Status.Action
		}
	}
	if len(results) > 1 {
		out.Relay = "local"
	}
	return out
}

// place is where the expansion stands: an address, and how it was reached. It
// is handed down by value.
type place struct {
	address   mail.Address
	sender    mail.Address // who hears of failures: the owner of a list
	owned     bool         // sender is the owner of a list
	delivered mail.Address // for Delivered-To
	from      string       // alias, forward or include; empty: the recipient itself
	parent    string       // alias that named this address
	aliases   []string     // all aliases on the way here
	includes  []string     // all :include: files on the way here
	owner     *user.Identity
	account   *user.Account // the user whose .forward named this
	depth     int
	luser     bool   // reached by luser_relay
	unmatched string // extension, with delimiter, that the addresses of this expansion get

	// The address taken apart, in lower case; set by parse.
	local, user, extension, delimiter, domain string
}

// The contexts a destination can stand in.
const (
	alias   = "alias"
	forward = "forward"
	include = "include"
)

// parse takes the address apart. All decisions are made in lower case.
func (p place) parse(d address.Delimiter) place {
	local, domain := p.address.Split()
	p.local, p.domain = strings.ToLower(local), strings.ToLower(domain)
	p.user, p.extension, p.delimiter = p.local, "", ""
	if name, ext := d.Split(p.local); ext != "" {
		p.user, p.delimiter, p.extension = name, ext[:1], ext[1:]
	}
	if strings.Contains(p.extension, "/") { // it may become part of a path
		p.delimiter, p.extension = "", ""
	}
	return p
}

// maxDepth bounds aliases in aliases in includes. Real ones are a few deep.
const maxDepth = 100

// deliver delivers to a local address.
func (j *job) deliver(ctx context.Context, p place) {
	p = p.parse(j.delimiter)
	p.depth++
	if p.extension == "" && p.user != p.local && strings.Contains(p.local, "/") {
		j.deps.Log.Warning("%s: address with illegal extension: %s", j.request.ID, p.local)
	}
	if !j.params.FrozenDeliveredTo {
		p.delivered = p.address
	}
	switch {
	case p.depth > maxDepth:
		j.deps.Log.Warning("possible alias database loop for %s", p.local)
		j.add(p, mail.Bounce("5.4.6", "possible alias database loop for %s", p.local))
		return
	case j.loops[foldAddress(p.address)]:
		j.add(p, mail.Bounce("5.4.6", "mail forwarding loop for %s", p.address))
		return
	case strings.HasPrefix(p.local, `\`): // no aliases, no .forward
		p.address = p.address[1:]
		p = p.parse(j.delimiter)
		j.deliverMailbox(ctx, p)
		return
	}
	if j.deliverAlias(ctx, p) {
		return
	}
	if p.from == include || p.owned {
		// Each member of a list gets its own record, and its failures go to
		// the owner of the list.
		j.forward(p)
		return
	}
	if !j.deliverDotforward(ctx, p) {
		j.deliverMailbox(ctx, p)
	}
}
