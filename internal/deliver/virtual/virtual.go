// Package virtual is virtual(8): it delivers to mailboxes and maildirs that
// are found, with their owners, by table lookup of the whole address. It plans
// only; the files are written by a user.Worker with the owner's rights.
package virtual

import (
	"context"
	"errors"
	"strconv"
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

// Params are the main.cf parameters of virtual(8).
type Params struct {
	Common config.Common
	User   user.Params

	Base    string   `cf:"virtual_mailbox_base" default:"" doc:"Directory put in front of every path of virtual_mailbox_maps."`
	UIDMaps string   `cf:"virtual_uid_maps" default:"" doc:"Tables with the user number of each mailbox."`
	GIDMaps string   `cf:"virtual_gid_maps" default:"" doc:"Tables with the group number of each mailbox."`
	MinUID  int64    `cf:"virtual_minimum_uid" default:"100" doc:"Smaller user numbers in virtual_uid_maps are refused."`
	Limit   int64    `cf:"virtual_mailbox_limit" default:"51200000" unit:"bytes" doc:"Largest mailbox or maildir file; 0: no limit."`
	Lock    []string `cf:"virtual_mailbox_lock" default:"fcntl, dotlock" doc:"How to lock a mailbox file: fcntl, flock, dotlock."`
}

// Logger is where warnings for the operator go.
type Logger interface {
	Warning(format string, args ...any)
}

// Deps are what the agent works with.
type Deps struct {
	Tables table.Opener // for virtual: without regular-expression substitution
	Worker user.Worker
	Log    Logger
}

// Agent implements deliver.Agent.
type Agent struct {
	params          Params
	deps            Deps
	locks           []mailbox.Lock
	delimiter       address.Delimiter
	boxes, uid, gid *table.Maps
}

// New makes an agent. The error says what is wrong in the parameters.
func New(p Params, d Deps) (*Agent, error) {
	locks, err := mailbox.ParseLocks(p.Lock)
	if err != nil {
		return nil, errors.New("virtual_mailbox_lock: " + err.Error())
	}
	return &Agent{
		params: p, deps: d, locks: locks, delimiter: address.NewDelimiter(p.Common),
		boxes: table.NewMaps(d.Tables, "virtual_mailbox_maps", p.Common.VirtualMailboxMaps),
		uid:   table.NewMaps(d.Tables, "virtual_uid_maps", p.UIDMaps),
		gid:   table.NewMaps(d.Tables, "virtual_gid_maps", p.GIDMaps),
	}, nil
}

// Deliver implements deliver.Agent.
func (a *Agent) Deliver(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	for i := range r.Recipients {
		start := time.Now()
		st := a.deliver(ctx, &r, r.Recipients[i])
		st.Relay, st.Transmit = r.Service, time.Since(start)
		if st.Relay == "" {
			st.Relay = "virtual"
		}
		if !r.Envelope.Trace.Delivers() && st.Action == mail.Bounced {
			st.Action = mail.Undeliverable
		}
		done(mail.RecipientIndex(i), st)
	}
	return nil
}

func (a *Agent) deliver(ctx context.Context, r *deliver.Request, rcpt mail.Recipient) mail.Status {
	path, st, ok := a.mailboxPath(ctx, rcpt.Address)
	if !ok {
		return st
	}
	owner, err := a.owner(ctx, rcpt.Address)
	if err != nil {
		a.deps.Log.Warning("recipient %s: %v", rcpt.Address.Quoted(), err)
		return mail.Defer("4.3.5", "mail system configuration error")
	}
	sent := "delivered to mailbox"
	if strings.HasSuffix(path, "/") {
		sent = "delivered to maildir"
	}
	if !r.Envelope.Trace.Delivers() {
		return mail.Status{Action: mail.Deliverable, Code: "2.0.0", Reason: strings.Replace(sent, "delivered", "delivers", 1)}
	}
	options := a.params.User.Options(a.locks, a.params.Limit, a.params.Common.MyHostname)
	options.Code = "4.2.0"
	warnings, err := a.deps.Worker.Deliver(ctx, owner, user.Delivery{
		Path: path, Options: options,
		Message: mailbox.Message{
			Sender: r.Envelope.Sender, Original: rcpt.Original, Delivered: rcpt.Address,
			Arrived: time.Now(), Content: r.Content,
		},
	})
	for _, w := range warnings {
		a.deps.Log.Warning("%s", w)
	}
	if err != nil {
		return a.failed(path, owner, err)
	}
	return mail.Sent("2.0.0", "%s", sent)
}

// failed words a failed delivery as virtual(8) does.
func (a *Agent) failed(path string, owner user.Identity, err error) mail.Status {
	var m *mail.Error
	if !errors.As(err, &m) {
		m = &mail.Error{Reply: 450, Code: "4.3.0", Text: err.Error()}
	}
	st := m.Status()
	if !strings.HasSuffix(path, "/") {
		st.Reason = "delivery failed to mailbox " + user.Printable(path) + ": " + st.Reason
	} else if strings.HasSuffix(m.Text, "Permission denied") {
		a.deps.Log.Warning("maildir access problem for UID/GID=%d/%d: %s", owner.UID, owner.GID, m.Text)
		a.deps.Log.Warning("perhaps you need to create the maildirs in advance")
	}
	if strings.Contains(m.Text, "is not owned by recipient") {
		a.deps.Log.Warning("specify \"strict_mailbox_ownership = no\" to ignore mailbox ownership mismatch")
	}
	if m.Err != nil {
		a.deps.Log.Warning("%s: %v", path, m.Err)
	}
	return st
}

// mailboxPath finds where the mailbox is. ok is false when st is the result.
func (a *Agent) mailboxPath(ctx context.Context, rcpt mail.Address) (path string, st mail.Status, ok bool) {
	value, found, err := a.lookup(ctx, a.boxes, rcpt)
	switch {
	case err != nil:
		a.deps.Log.Warning("%v", err)
		return "", mail.Defer("4.3.5", "mail system configuration error"), false
	case !found:
		return "", mail.Bounce("5.1.1", "unknown user: \"%s\"", rcpt), false
	case strings.ContainsRune(value, 0) || hasDotDot(value):
		// The base directory is a fence against a table out of control.
		a.deps.Log.Warning("recipient %s: bad path in virtual_mailbox_maps: %s", rcpt.Quoted(), value)
		return "", mail.Defer("4.3.5", "mail system configuration error"), false
	}
	if a.params.Base == "" {
		return value, st, true
	}
	return a.params.Base + "/" + value, st, true
}

// hasDotDot tells whether a path has a component that leads upward.
func hasDotDot(path string) bool {
	for _, part := range strings.Split(path, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// owner finds the user and the group of a mailbox.
func (a *Agent) owner(ctx context.Context, rcpt mail.Address) (user.Identity, error) {
	uid, err := a.number(ctx, a.uid, rcpt, "uid", a.params.MinUID)
	if err != nil {
		return user.Identity{}, err
	}
	gid, err := a.number(ctx, a.gid, rcpt, "gid", 1)
	return user.Identity{UID: uid, GID: gid}, err
}

func (a *Agent) number(ctx context.Context, maps *table.Maps, rcpt mail.Address, what string, least int64) (uint32, error) {
	value, found, err := a.lookup(ctx, maps, rcpt)
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, errors.New("not found in " + maps.Title())
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || int64(n) < max(least, 1) || n == 1<<32-1 {
		return 0, errors.New("bad " + what + " " + value + " in " + maps.Title())
	}
	return uint32(n), nil
}

// lookup tries user+ext@domain, user@domain and @domain, in lower case;
// tables of patterns get the whole address only (virtual(8), TABLE SEARCH ORDER).
func (a *Agent) lookup(ctx context.Context, maps *table.Maps, rcpt mail.Address) (string, bool, error) {
	whole := strings.ToLower(rcpt.Quoted())
	value, found, err := maps.Lookup(ctx, whole)
	if found || err != nil {
		return value, found, err
	}
	local, domain := rcpt.Split()
	if name, ext := a.delimiter.Split(local); ext != "" {
		bare := mail.Address(name + "@" + domain)
		if value, found, err = maps.LookupPartial(ctx, strings.ToLower(bare.Quoted())); found || err != nil {
			return value, found, err
		}
	}
	return maps.LookupPartial(ctx, "@"+strings.ToLower(domain))
}

var _ deliver.Agent = (*Agent)(nil)
