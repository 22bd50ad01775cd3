package intake

import "posthaste/internal/address"

// present are the headers a message has, as far as it matters for adding
// missing ones.
type present uint16

const (
	seenFrom present = 1 << iota
	seenDate
	seenMessageID
	seenTo
	seenCc
	seenResentFrom
	seenResentDate
	seenResentMessageID
	seenResentTo
	seenResentCc
)

// headerInfo is what the door knows of a header.
type headerInfo struct {
	role     address.Role // how its addresses are rewritten; 0: not at all
	seen     present
	resent   bool // makes the message a resent one
	received bool
	encoding bool
}

// maxKnownName is the length of the longest name below.
const maxKnownName = 32

// knownHeaders are the headers that are more than text, by name in lower case.
var knownHeaders = map[string]headerInfo{
	"apparently-to":               {role: address.HeaderRecipient},
	"bcc":                         {role: address.HeaderRecipient},
	"cc":                          {role: address.HeaderRecipient, seen: seenCc},
	"content-transfer-encoding":   {encoding: true},
	"date":                        {seen: seenDate},
	"disposition-notification-to": {role: address.HeaderSender},
	"errors-to":                   {role: address.HeaderSender},
	"from":                        {role: address.HeaderSender, seen: seenFrom},
	"mail-followup-to":            {role: address.HeaderSender},
	"message-id":                  {seen: seenMessageID},
	"received":                    {received: true},
	"reply-to":                    {role: address.HeaderSender},
	"resent-bcc":                  {role: address.HeaderRecipient, resent: true},
	"resent-cc":                   {role: address.HeaderRecipient, resent: true, seen: seenResentCc},
	"resent-date":                 {resent: true, seen: seenResentDate},
	"resent-from":                 {role: address.HeaderSender, resent: true, seen: seenResentFrom},
	"resent-message-id":           {resent: true, seen: seenResentMessageID},
	"resent-reply-to":             {role: address.HeaderRecipient, resent: true},
	"resent-sender":               {role: address.HeaderSender, resent: true},
	"resent-to":                   {role: address.HeaderRecipient, resent: true, seen: seenResentTo},
	"return-path":                 {role: address.HeaderSender},
	"return-receipt-to":           {role: address.HeaderSender},
	"sender":                      {role: address.HeaderSender},
	"to":                          {role: address.HeaderRecipient, seen: seenTo},
}
