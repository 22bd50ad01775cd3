package mail

import (
	"fmt"
	"time"
)

// Action is what became of one recipient in one attempt.
type Action uint8

// The actions. Deferred is the zero value on purpose: a result nobody set
// means "try again", never "lost".
const (
	Deferred      Action = iota
	Delivered            // final delivery
	Bounced              // failed for good
	Expanded             // delivered to an alias or list: RFC 3464 "expanded"
	Relayed              // handed to a server without DSN: RFC 3464 "relayed"
	Deliverable          // probe: would be delivered
	Undeliverable        // probe: would fail
	Passed               // handed to a server that tells of success itself: RFC 3461 section 5.2.2
)

// LogName is the word after status= in the log.
func (a Action) LogName() string {
	return [...]string{"deferred", "sent", "bounced", "sent", "sent", "deliverable", "undeliverable", "sent"}[a]
}

// Final tells whether the recipient needs no further attempt.
func (a Action) Final() bool { return a != Deferred }

// Status is the result for one recipient: RFC 3463 code, text, and who said so.
type Status struct {
	Action Action
	Code   string // enhanced status code, `2.0.0`
	Reason string // text for log and notice, one line
	Relay  string // relay= in the log: `host[addr]:port`, `local`, `none`

	DiagType, DiagText string // `smtp`, `550 5.1.1 …`; both or neither
	MTAType, MTAName   string // `dns`, `mx.c.test`; both or neither

	ConnUse  int           // how often the connection was used; 0 or 1: not logged
	Setup    time.Duration // time spent to connect: c in delays=a/b/c/d
	Transmit time.Duration // time spent to transmit: d in delays=a/b/c/d

	// Parts are set when the recipient stood for others (an alias, a .forward
	// file): what became of each. The rest of the status sums them up.
	Parts []Part
}

// Part is what became of one destination of a recipient that stood for others.
type Part struct {
	Recipient Recipient
	Status    Status // without Parts
	Service   string // master.cf service that had it, if another than was asked
	Unlogged  bool   // for notices only
}

// Defer makes a temporary failure. code begins with '4'.
func Defer(code, format string, args ...any) Status {
	return Status{Action: Deferred, Code: code, Reason: fmt.Sprintf(format, args...)}
}

// Bounce makes a permanent failure. code begins with '5'.
func Bounce(code, format string, args ...any) Status {
	return Status{Action: Bounced, Code: code, Reason: fmt.Sprintf(format, args...)}
}

// Sent makes a success. code begins with '2'.
func Sent(code, format string, args ...any) Status {
	return Status{Action: Delivered, Code: code, Reason: fmt.Sprintf(format, args...)}
}

// Error is a refusal or failure with its class, made once where it is known:
// the SMTP reply code, the enhanced code and one line of text without codes.
// Err is the local cause, for the log only; it is never shown to a peer.
type Error struct {
	Reply int    // 450, 452, 550, …
	Code  string // 4.3.1, …
	Text  string
	Err   error
}

// Error makes *Error an error.
func (e *Error) Error() string {
	s := fmt.Sprintf("%d %s %s", e.Reply, e.Code, e.Text)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the local cause.
func (e *Error) Unwrap() error { return e.Err }

// Temporary tells whether a later try may succeed.
func (e *Error) Temporary() bool { return e.Reply < 500 }

// Status turns the error into a delivery result.
func (e *Error) Status() Status {
	if e.Temporary() {
		return Defer(e.Code, "%s", e.Text)
	}
	return Bounce(e.Code, "%s", e.Text)
}
