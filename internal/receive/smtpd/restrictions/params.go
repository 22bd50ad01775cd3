package restrictions

import (
	"time"

	"posthaste/internal/config"
)

// Params are the main.cf parameters of access control.
type Params struct {
	Common config.Common

	Client    []string `cf:"smtpd_client_restrictions" default:"" doc:"Checks when a client connects."`
	Helo      []string `cf:"smtpd_helo_restrictions" default:"" doc:"Checks at HELO or EHLO."`
	Sender    []string `cf:"smtpd_sender_restrictions" default:"" doc:"Checks at MAIL FROM."`
	Relay     []string `cf:"smtpd_relay_restrictions" default:"${{$compatibility_level} <level {1} ? {} : {permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination}}" doc:"Checks at RCPT TO that keep strangers from relaying."`
	Recipient []string `cf:"smtpd_recipient_restrictions" default:"" doc:"Checks at RCPT TO."`
	Data      []string `cf:"smtpd_data_restrictions" default:"" doc:"Checks at DATA."`
	EndOfData []string `cf:"smtpd_end_of_data_restrictions" default:"" doc:"Checks when the content has arrived."`
	Etrn      []string `cf:"smtpd_etrn_restrictions" default:"" doc:"Checks at ETRN."`
	Classes   []string `cf:"smtpd_restriction_classes" default:"" doc:"Names of parameters that hold further lists of checks."`

	DelayReject        bool   `cf:"smtpd_delay_reject" default:"yes" doc:"Check the client, helo and sender lists at RCPT TO."`
	RelayFirst         bool   `cf:"smtpd_relay_before_recipient_restrictions" default:"${{$compatibility_level} <level {3.6} ? {no} : {yes}}" doc:"Check the relay list before the recipient list."`
	RejectUnlistedRcpt bool   `cf:"smtpd_reject_unlisted_recipient" default:"yes" doc:"Refuse unknown recipients, even when no list says so."`
	RejectUnlistedFrom bool   `cf:"smtpd_reject_unlisted_sender" default:"no" doc:"Refuse unknown senders of our domains, even when no list says so."`
	UntrustedRouting   bool   `cf:"allow_untrusted_routing" default:"no" doc:"Relay user@elsewhere@our.domain for strangers."`
	NullLookupKey      string `cf:"smtpd_null_access_lookup_key" default:"<>" doc:"Key for the null sender in access tables."`

	AccessRejectCode int `cf:"access_map_reject_code" default:"554" doc:"Reply code of REJECT in an access table."`
	AccessDeferCode  int `cf:"access_map_defer_code" default:"450" doc:"Reply code of DEFER in an access table."`
	RejectCode       int `cf:"reject_code" default:"554" doc:"Reply code of reject."`
	DeferCode        int `cf:"defer_code" default:"450" doc:"Reply code of defer."`
	RelayRejectCode  int `cf:"relay_domains_reject_code" default:"554" doc:"Reply code of a refused relay attempt."`
	InvalidHeloCode  int `cf:"invalid_hostname_reject_code" default:"501" doc:"Reply code of reject_invalid_helo_hostname."`
	NonFQDNCode      int `cf:"non_fqdn_reject_code" default:"504" doc:"Reply code of the reject_non_fqdn restrictions."`
	MultiBounceCode  int `cf:"multi_recipient_bounce_reject_code" default:"550" doc:"Reply code of reject_multi_recipient_bounce."`
	PlaintextCode    int `cf:"plaintext_reject_code" default:"450" doc:"Reply code of reject_plaintext_session."`
}

// maxSleep bounds the `sleep` restriction, so that a slip in main.cf does not
// hold all sessions.
const maxSleep = time.Hour
