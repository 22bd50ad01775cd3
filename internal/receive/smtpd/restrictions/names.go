package restrictions

// spec describes a restriction: whether a word follows it, whether that is a
// table, and what it does. A nil eval is a restriction of Postfix that this
// server does not have yet: it is known so that its argument is not taken
// for another restriction.
type spec struct {
	arg   bool
	table bool
	eval  func(*eval, *rule) result
}

// restrictionNames returns all restrictions by their main.cf name. It is a
// function because access tables can lead back to the list.
func restrictionNames() map[string]spec {
	return map[string]spec{
		"permit":          {eval: (*eval).permitAll},
		"reject":          {eval: (*eval).rejectAll},
		"defer":           {eval: (*eval).deferAll},
		"defer_if_permit": {eval: (*eval).setDeferIfPermit},
		"defer_if_reject": {eval: (*eval).setDeferIfReject},
		"warn_if_reject":  {eval: (*eval).never}, // run sees to it
		"sleep":           {arg: true, eval: (*eval).sleep},

		"permit_mynetworks":             {eval: (*eval).permitMyNetworks},
		"permit_inet_interfaces":        {eval: (*eval).permitInetInterfaces},
		"permit_sasl_authenticated":     {eval: (*eval).never},
		"permit_tls_clientcerts":        {eval: (*eval).never},
		"permit_tls_all_clientcerts":    {eval: (*eval).never},
		"reject_plaintext_session":      {eval: (*eval).rejectPlaintext},
		"reject_unauth_pipelining":      {eval: (*eval).rejectPipelining},
		"reject_multi_recipient_bounce": {eval: (*eval).rejectMultiBounce},

		"reject_invalid_helo_hostname":  {eval: (*eval).rejectInvalidHelo},
		"reject_invalid_hostname":       {eval: (*eval).rejectInvalidHelo},
		"reject_non_fqdn_helo_hostname": {eval: (*eval).rejectNonFQDNHelo},
		"reject_non_fqdn_hostname":      {eval: (*eval).rejectNonFQDNHelo},

		"reject_non_fqdn_sender":    {eval: (*eval).rejectNonFQDNSender},
		"reject_non_fqdn_recipient": {eval: (*eval).rejectNonFQDNRecipient},
		"reject_unlisted_sender":    {eval: (*eval).rejectUnlistedSender},
		"reject_unlisted_recipient": {eval: (*eval).rejectUnlistedRecipient},
		"check_recipient_maps":      {eval: (*eval).rejectUnlistedRecipient},

		"permit_auth_destination":   {eval: (*eval).permitAuthDestination},
		"reject_unauth_destination": {eval: (*eval).rejectUnauthDestination},
		"defer_unauth_destination":  {eval: (*eval).deferUnauthDestination},

		"check_client_access":                  {arg: true, table: true, eval: (*eval).checkClientAccess},
		"check_reverse_client_hostname_access": {arg: true, table: true, eval: (*eval).checkReverseAccess},
		"check_helo_access":                    {arg: true, table: true, eval: (*eval).checkHeloAccess},
		"check_sender_access":                  {arg: true, table: true, eval: (*eval).checkSenderAccess},
		"check_recipient_access":               {arg: true, table: true, eval: (*eval).checkRecipientAccess},
		"check_etrn_access":                    {arg: true, table: true, eval: (*eval).checkEtrnAccess},

		// Known, and not here yet.
		"check_client_a_access": {arg: true}, "check_client_mx_access": {arg: true}, "check_client_ns_access": {arg: true},
		"check_reverse_client_hostname_a_access":  {arg: true},
		"check_reverse_client_hostname_mx_access": {arg: true},
		"check_reverse_client_hostname_ns_access": {arg: true},
		"check_helo_a_access":                     {arg: true}, "check_helo_mx_access": {arg: true}, "check_helo_ns_access": {arg: true},
		"check_sender_a_access": {arg: true}, "check_sender_mx_access": {arg: true}, "check_sender_ns_access": {arg: true},
		"check_recipient_a_access": {arg: true}, "check_recipient_mx_access": {arg: true}, "check_recipient_ns_access": {arg: true},
		"check_ccert_access": {arg: true}, "check_sasl_access": {arg: true}, "check_policy_service": {arg: true},
		"reject_rbl_client": {arg: true}, "reject_rhsbl_client": {arg: true}, "reject_rhsbl_reverse_client": {arg: true},
		"reject_rhsbl_helo": {arg: true}, "reject_rhsbl_sender": {arg: true}, "reject_rhsbl_recipient": {arg: true},
		"permit_dnswl_client": {arg: true}, "permit_rhswl_client": {arg: true},
	}
}
