package mail

import "time"

// Notify is the DSN NOTIFY mask of a recipient (RFC 3461 section 4.1). The
// values are those of Postfix's notify_flags attribute; 0 means "not given".
type Notify uint8

// The bits of Notify.
const (
	NotifyNever   Notify = 1
	NotifySuccess Notify = 2
	NotifyFailure Notify = 4
	NotifyDelay   Notify = 8
)

// Return is the DSN RET value (RFC 3461 section 4.3); 0 means "not given".
type Return uint8

// The values of Return.
const (
	ReturnFull    Return = 1
	ReturnHeaders Return = 2
)

// Options are the send options of a message, Postfix's bits.
type Options uint16

// The bits of Options (queue-file field 6).
const (
	OptionSMTPUTF8      Options = 1 // the client asked for SMTPUTF8
	OptionUTF8Header    Options = 2
	OptionUTF8Sender    Options = 4
	OptionUTF8Recipient Options = 8 // delivery requests only
	OptionTLSNotNeeded  Options = 16
	OptionRequireTLS    Options = 32
)

// NeedsSMTPUTF8 tells whether some part of the message can only be sent to a
// server that announces SMTPUTF8.
func (o Options) NeedsSMTPUTF8() bool {
	return o&(OptionUTF8Header|OptionUTF8Sender|OptionUTF8Recipient) != 0
}

// Trace are the flags of trace_flags: what kind of run this message is.
type Trace uint16

// The values of Trace.
const (
	TraceProbe  Trace = 256  // address probe by verify: report, do not deliver
	TraceVerify Trace = 512  // sendmail -bv: report, do not deliver
	TraceRecord Trace = 1024 // sendmail -v: deliver and report
)

// DeliveryOnly tells whether mail is really to be delivered: false for probes
// and for sendmail -bv.
func (t Trace) Delivers() bool { return t&(TraceProbe|TraceVerify) == 0 }

// Client is what is known of the SMTP client that handed a message in. Name is
// the verified host name or "unknown"; ReverseName the unverified PTR name.
type Client struct {
	Name, ReverseName, Address, Port, Helo, Protocol string
}

// Origin tells where a message came from.
type Origin struct {
	Client        Client // the real session; zero for local submission
	Logged        Client // what to show in logs: the XFORWARD values, or the same as Client
	LogIdent      string // queue id for log correlation
	ServerAddress string
	ServerPort    string
	SASLMethod    string
	SASLUsername  string
	SASLSender    string
	Remote        bool   // rewrite_context: false = local, true = remote
	UserID        string // numeric user id of a local submission; not kept in the queue
}

// Encoding is the body encoding named in MAIL FROM BODY= or found by MIME
// inspection: "", "7bit" or "8bit".
type Encoding string

// The values of Encoding.
const (
	Encoding7Bit Encoding = "7bit"
	Encoding8Bit Encoding = "8bit"
)

// Envelope is a message without its content and without its recipients.
type Envelope struct {
	Sender        Address
	FullName      string // full name of the submitting user, local submission
	EnvelopeID    string // DSN ENVID, xtext decoded
	Return        Return
	Encoding      Encoding
	Options       Options
	VERP          string // two delimiter characters, or empty
	ContentFilter string // transport:nexthop
	Redirect      Address
	Trace         Trace
	MessageID     string    // the Message-ID header's value, `<…>`
	Arrival       time.Time // microseconds; when the message began to arrive
	Created       time.Time // seconds; base of expiry and retry times
	WarnAt        time.Time // when the delay warning is due; zero: none
	Warned        bool      // the delay warning was sent
	Origin        Origin
}

// Recipient is one recipient of a message.
type Recipient struct {
	Address     Address // after rewriting and aliasing
	Original    Address // before; empty when not known
	DSNOriginal string  // ORCPT, decoded: `rfc822;user@domain`; may be empty
	Notify      Notify
}

// RecipientIndex is the place of a recipient in a list handed over with it.
type RecipientIndex int

// QueueID names a message in the queue: letters, digits and '_' only.
type QueueID string

// Valid tells whether id can be a queue file name; nothing else may be joined
// to a path.
func (id QueueID) Valid() bool {
	if id == "" || len(id) > 100 {
		return false
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_') {
			return false
		}
	}
	return true
}
