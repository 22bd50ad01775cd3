// Package restrictions decides what the SMTP server lets a client do: the
// smtpd_*_restrictions lists of main.cf, restriction classes, access tables and
// the check for unknown recipients (Postfix SMTPD_ACCESS_README, access(5)). It
// reads tables and asks the address resolver. It speaks to no client and
// writes nothing: refusals and log lines go back to the session.
//
// One file per family: generic.go, client.go, helo.go, address.go, relay.go,
// access.go with action.go for what a table may answer; names.go lists them all.
package restrictions

import (
	"context"
	"net/netip"
	"time"

	"posthaste/internal/address"
	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
	"posthaste/internal/table"
)

// Resolver answers questions about addresses. Errors are temporary.
type Resolver interface {
	Resolve(ctx context.Context, sender, rcpt mail.Address) (address.Route, error)
	// Unknown returns the refusal for an address that does not exist, without
	// the address in its text, and nil for one that does or may.
	Unknown(ctx context.Context, sender, rcpt mail.Address) (refusal *mail.Error, err error)
}

// Logger takes warnings about the configuration.
type Logger interface {
	Warning(format string, args ...any)
}

// Deps is what the checks need from outside.
type Deps struct {
	Log      Logger
	Tables   table.Opener
	Resolver Resolver
	// Class gives the value of a main.cf parameter: the definition of a
	// restriction class.
	Class func(name string) (string, bool)
	// IsOwn tells whether an address is one of this system's.
	IsOwn func(netip.Addr) bool
	// Sleep waits, or returns early when ctx is done.
	Sleep func(ctx context.Context, d time.Duration)
}

// Request is what is known when a list is to be checked. The session fills it.
type Request struct {
	Where      string // CONNECT, HELO, EHLO, MAIL, RCPT, VRFY, DATA, BDAT, END-OF-MESSAGE, ETRN
	Client     mail.Client
	Addr       netip.Addr
	Helo       string
	ESMTP      bool
	HasSender  bool
	Sender     mail.Address
	Recipient  mail.Address
	Recipients int    // accepted so far in this transaction
	ETRN       string // the argument of ETRN

	// Pipelined tells whether the client has sent more than it was asked for.
	Pipelined func() bool
	// Report logs an event: kind is `reject`, `reject_warning`, `hold`, ….
	Report func(kind, text string)
	// Blame is told what kind of trouble a refusal is; nil: nobody wants to know.
	Blame func(mail.Trouble)
	// Actions collects what access tables want done with the message.
	Actions *Actions
	// Deferred remembers defer_if_permit of the lists that were checked
	// earlier in this session.
	Deferred *Deferred

	sender, recipient routeCache
}

// routeCache remembers the last resolved address, for several checks ask the
// same.
type routeCache struct {
	addr  mail.Address
	route address.Route
	err   error
	valid bool
}

// Deferred holds the defer_if_permit verdicts of lists that are not repeated
// at RCPT (smtpd_delay_reject = no).
type Deferred struct {
	client, helo, sender *smtp.Reply
}

// ResetSender forgets the verdict of the sender list, with a new transaction.
func (d *Deferred) ResetSender() { d.sender = nil }

// Actions is what access tables want done with the message of a transaction.
type Actions struct {
	Hold     bool
	Discard  bool
	Redirect mail.Address
	Filter   string
	BCC      []mail.Address
	Prepend  []string
}

// Checker evaluates the lists. It is safe for concurrent use.
type Checker struct {
	p          Params
	deps       Deps
	mynetworks *table.AddressList
	lists      [numLists]list
	classes    map[string]string
	names      map[string]spec
	parents    bool // smtpd_access_maps in parent_domain_matches_subdomains
}

// listID names a restriction list.
type listID uint8

const (
	clientList listID = iota
	heloList
	senderList
	relayList
	recipientList
	dataList
	endOfDataList
	etrnList
	numLists
)

// parameter is the name of the list in main.cf.
func (l listID) parameter() string {
	return [...]string{"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions",
		"smtpd_relay_restrictions", "smtpd_recipient_restrictions", "smtpd_data_restrictions",
		"smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions"}[l]
}

// subject is what a refusal by this list talks of: the value in angle
// brackets and the words before `rejected`.
func (l listID) subject(q *Request) (value, what string) {
	switch l {
	case clientList:
		return q.Client.Name + "[" + q.Client.Address + "]", "Client host"
	case heloList:
		return q.Helo, "Helo command"
	case senderList:
		return string(q.Sender), "Sender address"
	case dataList:
		return "DATA", "Data command"
	case endOfDataList:
		return "END-OF-MESSAGE", "End-of-data"
	case etrnList:
		return q.ETRN, "Etrn command"
	}
	return string(q.Recipient), "Recipient address"
}
