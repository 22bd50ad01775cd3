package address

import "posthaste/internal/config"

// Params are the main.cf parameters for rewriting, mapping and resolving.
type Params struct {
	Common  config.Common
	Rewrite RewriteParams
	Map     MapParams
	Resolve ResolveParams
	Routing Routing
	Verify  VerifyRouting
}

// RewriteParams say how addresses are put into standard form.
type RewriteParams struct {
	AppendAtMyOrigin   bool   `cf:"append_at_myorigin" default:"yes" doc:"Append @$myorigin to addresses without a domain."`
	AppendDotMyDomain  bool   `cf:"append_dot_mydomain" default:"${{$compatibility_level} <level {1} ? {yes} : {no}}" doc:"Append .$mydomain to domains without a dot."`
	SwapBangpath       bool   `cf:"swap_bangpath" default:"yes" doc:"Rewrite site!user to user@site."`
	AllowPercentHack   bool   `cf:"allow_percent_hack" default:"yes" doc:"Rewrite user%domain to user@domain."`
	RemoteHeaderDomain string `cf:"remote_header_rewrite_domain" default:"" doc:"Domain for incomplete header addresses of remote clients; empty: their headers are not rewritten."`
	TokenLimit         int    `cf:"header_address_token_limit" default:"10240" doc:"Most tokens of an address header; what follows is discarded."`
}

// MapParams name the tables that change addresses, and how they are searched.
type MapParams struct {
	CanonicalMaps             string   `cf:"canonical_maps" default:"" doc:"Tables that map addresses of envelopes and headers."`
	SenderCanonicalMaps       string   `cf:"sender_canonical_maps" default:"" doc:"Tables that map sender addresses of envelopes and headers."`
	RecipientCanonicalMaps    string   `cf:"recipient_canonical_maps" default:"" doc:"Tables that map recipient addresses of envelopes and headers."`
	CanonicalClasses          []string `cf:"canonical_classes" default:"envelope_sender, envelope_recipient, header_sender, header_recipient" doc:"Addresses that canonical_maps apply to."`
	SenderCanonicalClasses    []string `cf:"sender_canonical_classes" default:"envelope_sender, header_sender" doc:"Addresses that sender_canonical_maps apply to."`
	RecipientCanonicalClasses []string `cf:"recipient_canonical_classes" default:"envelope_recipient, header_recipient" doc:"Addresses that recipient_canonical_maps apply to."`
	MasqueradeDomains         []string `cf:"masquerade_domains" default:"" doc:"Domains below which host names are cut off."`
	MasqueradeClasses         []string `cf:"masquerade_classes" default:"envelope_sender, header_sender, header_recipient" doc:"Addresses that are masqueraded."`
	MasqueradeExceptions      string   `cf:"masquerade_exceptions" default:"" doc:"User names that are not masqueraded (match list)."`
	Propagate                 []string `cf:"propagate_unmatched_extensions" default:"canonical, virtual" doc:"Lookups whose results get the extension that did not match."`
	SenderBCCMaps             string   `cf:"sender_bcc_maps" default:"" doc:"Tables from sender to a further recipient."`
	RecipientBCCMaps          string   `cf:"recipient_bcc_maps" default:"" doc:"Tables from recipient to a further recipient."`
	AlwaysBCC                 string   `cf:"always_bcc" default:"" doc:"Further recipient of every new message."`
	AliasRecursionLimit       int      `cf:"virtual_alias_recursion_limit" default:"1000" doc:"Deepest nesting of virtual aliases."`
	AliasExpansionLimit       int      `cf:"virtual_alias_expansion_limit" default:"1000" doc:"Most addresses one recipient may expand to."`
	AliasLengthLimit          int      `cf:"virtual_alias_address_length_limit" default:"1000" unit:"bytes" doc:"Longest address that an alias may give."`
}

// ResolveParams say how a recipient is resolved, whatever the routes.
type ResolveParams struct {
	NullDomain       bool   `cf:"resolve_null_domain" default:"no" doc:"Resolve user@ as local instead of as invalid."`
	NumericDomain    bool   `cf:"resolve_numeric_domain" default:"no" doc:"Resolve user@1.2.3.4 as user@[1.2.3.4] instead of as invalid."`
	Dequoted         bool   `cf:"resolve_dequoted_address" default:"yes" doc:"Look for routing operators inside quotes too."`
	AllowMinUser     bool   `cf:"allow_min_user" default:"no" doc:"Allow addresses that begin with '-'."`
	RelocatedMaps    string `cf:"relocated_maps" default:"" doc:"Tables with the new address of users who moved."`
	RelocatedPrefix  bool   `cf:"relocated_prefix_enable" default:"yes" doc:"Begin the text for users who moved with 5.1.6 User has moved to."`
	ShowTableName    bool   `cf:"show_user_unknown_table_name" default:"yes" doc:"Name the table in User unknown replies."`
	NullRelayhostKey string `cf:"empty_address_relayhost_maps_lookup_key" default:"<>" doc:"Key for the null sender in sender_dependent_relayhost_maps."`
	NullTransportKey string `cf:"empty_address_default_transport_maps_lookup_key" default:"<>" doc:"Key for the null sender in sender_dependent_default_transport_maps."`
	UnknownLocal     int    `cf:"unknown_local_recipient_reject_code" default:"550" doc:"Reply code for an unknown local recipient."`
	UnknownAlias     int    `cf:"unknown_virtual_alias_reject_code" default:"550" doc:"Reply code for an unknown recipient in virtual_alias_domains."`
	UnknownMailbox   int    `cf:"unknown_virtual_mailbox_reject_code" default:"550" doc:"Reply code for an unknown recipient in virtual_mailbox_domains."`
	UnknownRelay     int    `cf:"unknown_relay_recipient_reject_code" default:"550" doc:"Reply code for an unknown recipient in relay_domains."`
}

// Routing are the routes of ordinary mail, one transport for each address class.
type Routing struct {
	LocalTransport             string `cf:"local_transport" default:"local:$myhostname" doc:"transport:nexthop for local domains."`
	VirtualTransport           string `cf:"virtual_transport" default:"virtual" doc:"transport:nexthop for virtual_mailbox_domains."`
	RelayTransport             string `cf:"relay_transport" default:"relay" doc:"transport:nexthop for relay_domains."`
	DefaultTransport           string `cf:"default_transport" default:"smtp" doc:"transport:nexthop for all other domains."`
	Relayhost                  string `cf:"relayhost" default:"" doc:"Next hop of all mail that is not local."`
	TransportMaps              string `cf:"transport_maps" default:"" doc:"Tables from recipient or domain to transport:nexthop."`
	SenderRelayhostMaps        string `cf:"sender_dependent_relayhost_maps" default:"" doc:"Tables from sender to relayhost."`
	SenderDefaultTransportMaps string `cf:"sender_dependent_default_transport_maps" default:"" doc:"Tables from sender to default_transport."`
}

// VerifyRouting are the routes of address probes; its fields are those of Routing.
type VerifyRouting struct {
	LocalTransport             string `cf:"address_verify_local_transport" default:"$local_transport" doc:"local_transport for address probes."`
	VirtualTransport           string `cf:"address_verify_virtual_transport" default:"$virtual_transport" doc:"virtual_transport for address probes."`
	RelayTransport             string `cf:"address_verify_relay_transport" default:"$relay_transport" doc:"relay_transport for address probes."`
	DefaultTransport           string `cf:"address_verify_default_transport" default:"$default_transport" doc:"default_transport for address probes."`
	Relayhost                  string `cf:"address_verify_relayhost" default:"$relayhost" doc:"relayhost for address probes."`
	TransportMaps              string `cf:"address_verify_transport_maps" default:"$transport_maps" doc:"transport_maps for address probes."`
	SenderRelayhostMaps        string `cf:"address_verify_sender_dependent_relayhost_maps" default:"$sender_dependent_relayhost_maps" doc:"sender_dependent_relayhost_maps for address probes."`
	SenderDefaultTransportMaps string `cf:"address_verify_sender_dependent_default_transport_maps" default:"$sender_dependent_default_transport_maps" doc:"sender_dependent_default_transport_maps for address probes."`
}
