package config

import "strings"

// Common are the parameters that more than one package needs. Each is declared
// here once; everything else is declared where it is used.
type Common struct {
	CompatibilityLevel string `cf:"compatibility_level" default:"0" doc:"Release whose defaults are wanted, for example 3.6."`
	MailName           string `cf:"mail_name" default:"Postfix" doc:"Name of the mail system, shown in the banner and in Received headers."`
	MailVersion        string `cf:"mail_version" default:"3.11.0" doc:"The Postfix release whose behaviour is provided; read by scripts and shown by $mail_version."`
	MyHostname         string `cf:"myhostname" default:"" doc:"Internet host name of this machine; default: the machine's name."`
	MyDomain           string `cf:"mydomain" default:"" doc:"Internet domain of this machine; default: myhostname less its first label, or localdomain."`
	MyOrigin           string `cf:"myorigin" file:"first-line" default:"$myhostname" doc:"Domain appended to addresses without one, for mail posted here. A file name is read."`

	QueueDirectory   string `cf:"queue_directory" default:"/var/spool/postfix" doc:"Root of the queue."`
	DataDirectory    string `cf:"data_directory" default:"/var/lib/postfix" doc:"Directory for caches and locks, owned by mail_owner."`
	CommandDirectory string `cf:"command_directory" default:"/usr/sbin" doc:"Where postdrop, postqueue and the other commands are."`
	DaemonDirectory  string `cf:"daemon_directory" default:"/usr/lib/postfix/sbin" doc:"Accepted; not needed: one binary holds all daemons."`
	MailOwner        string `cf:"mail_owner" default:"postfix" doc:"User that owns the queue and runs most processes."`
	SetgidGroup      string `cf:"setgid_group" default:"postdrop" doc:"Group that may write to maildrop."`
	DefaultPrivs     string `cf:"default_privs" default:"nobody" doc:"User for commands and files of aliases that belong to root."`

	SyslogName     string `cf:"syslog_name" default:"${multi_instance_name?{$multi_instance_name}:{postfix}}" doc:"Prefix of the process name in log lines."`
	SyslogFacility string `cf:"syslog_facility" default:"mail" doc:"Facility for syslog."`
	MaillogFile    string `cf:"maillog_file" default:"" doc:"Log to this file, or /dev/stdout; empty: syslog."`

	MyDestination   string   `cf:"mydestination" default:"$myhostname, localhost.$mydomain, localhost" doc:"Domains delivered by the local transport (match list)."`
	MyNetworks      string   `cf:"mynetworks" default:"" doc:"Trusted clients (match list); default: by mynetworks_style."`
	MyNetworksStyle string   `cf:"mynetworks_style" default:"${{$compatibility_level} <level {2} ? {subnet} : {host}}" doc:"How mynetworks is made when not set: host, subnet or class."`
	InetInterfaces  []string `cf:"inet_interfaces" default:"all" doc:"Addresses this system receives mail on."`
	InetProtocols   []string `cf:"inet_protocols" default:"all" doc:"Internet protocols to use: all, ipv4, ipv6."`
	ProxyInterfaces []string `cf:"proxy_interfaces" default:"" doc:"Further addresses of this system, behind a proxy or translator."`

	RelayDomains         string `cf:"relay_domains" default:"${{$compatibility_level} <level {2} ? {$mydestination} : {}}" doc:"Domains relayed for (match list)."`
	VirtualAliasDomains  string `cf:"virtual_alias_domains" default:"$virtual_alias_maps" doc:"Domains all of whose addresses are aliases elsewhere (match list)."`
	VirtualAliasMaps     string `cf:"virtual_alias_maps" default:"$virtual_maps" doc:"Tables that redirect addresses, local or remote."`
	VirtualMailboxDomain string `cf:"virtual_mailbox_domains" default:"$virtual_mailbox_maps" doc:"Domains delivered by virtual_transport (match list)."`
	VirtualMailboxMaps   string `cf:"virtual_mailbox_maps" default:"" doc:"Tables with all valid addresses of virtual_mailbox_domains, and their mailboxes."`
	LocalRecipientMaps   string `cf:"local_recipient_maps" default:"proxy:unix:passwd.byname $alias_maps" doc:"Tables with all valid local recipients; empty: accept all."`
	RelayRecipientMaps   string `cf:"relay_recipient_maps" default:"" doc:"Tables with all valid recipients in relay_domains; empty: accept all."`
	AliasMaps            string `cf:"alias_maps" default:"$default_database_type:/etc/aliases, nis:mail.aliases" doc:"Alias tables of the local transport."`
	AliasDatabase        string `cf:"alias_database" default:"$default_database_type:/etc/aliases" doc:"Alias tables that newaliases rebuilds."`
	DefaultDatabaseType  string `cf:"default_database_type" default:"hash" doc:"Table type for postmap, postalias and newaliases without a type."`

	RecipientDelimiter    string   `cf:"recipient_delimiter" default:"" doc:"Characters that separate user name and extension."`
	OwnerRequestSpecial   bool     `cf:"owner_request_special" default:"yes" doc:"Leave owner-list and list-request unsplit when recipient_delimiter is -."`
	DoubleBounceSender    string   `cf:"double_bounce_sender" default:"double-bounce" doc:"Sender of mail that must never be answered."`
	EmptyAddressRecipient string   `cf:"empty_address_recipient" default:"MAILER-DAEMON" doc:"Recipient of mail for the null address."`
	MessageSizeLimit      int64    `cf:"message_size_limit" default:"10240000" unit:"bytes" doc:"Largest message, envelope included; 0: no limit."`
	LineLengthLimit       int      `cf:"line_length_limit" default:"2048" unit:"bytes" doc:"Longer lines are stored in pieces."`
	HopcountLimit         int      `cf:"hopcount_limit" default:"50" doc:"A message with so many Received headers is refused."`
	MIMENesting           int      `cf:"mime_nesting_limit" default:"100" min:"1" doc:"How deep multiparts may be nested, within two."`
	MIMEBoundary          int      `cf:"mime_boundary_length_limit" default:"2048" min:"1" unit:"bytes" doc:"How much of a MIME boundary counts."`
	DelayWarningTime      string   `cf:"delay_warning_time" default:"0h" doc:"When the sender is told of a delay; 0: never."`
	SoftBounce            bool     `cf:"soft_bounce" default:"no" doc:"Turn permanent failures into temporary ones, for tests."`
	VERPDelimiters        string   `cf:"default_verp_delimiters" default:"+=" doc:"Delimiters of VERP senders when neither sendmail -XV nor XVERP names any."`
	VERPAllowed           string   `cf:"verp_delimiter_filter" default:"-=+" doc:"Characters that may be VERP delimiters."`
	DefaultProcessLimit   int      `cf:"default_process_limit" default:"100" doc:"Sessions or deliveries of a service whose maxproc column is -."`
	BounceService         string   `cf:"bounce_service_name" default:"bounce" doc:"Accepted; the service is part of the queue process."`
	CleanupService        string   `cf:"cleanup_service_name" default:"cleanup" doc:"master.cf service whose -o settings the intake uses."`
	SMTPUTF8Enable        bool     `cf:"smtputf8_enable" default:"${{$compatibility_level} <level {1} ? {no} : {yes}}" doc:"Offer and accept SMTPUTF8."`
	ParentMatches         string   `cf:"parent_domain_matches_subdomains" default:"debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps" doc:"Parameters where domain.tld matches subdomains too."`
	FastFlushDomains      string   `cf:"fast_flush_domains" default:"$relay_domains" doc:"Destinations that postqueue -s and ETRN may ask for (match list)."`
	HelpfulWarnings       bool     `cf:"helpful_warnings" default:"yes" doc:"Warn about settings that contradict each other or cause trouble."`
	LongQueueIDs          bool     `cf:"enable_long_queue_ids" default:"yes" doc:"Queue ids that are never reused (Postfix's default is no)."`
	HashQueueNames        []string `cf:"hash_queue_names" default:"deferred, defer" doc:"Queues with subdirectories."`
	HashQueueDepth        int      `cf:"hash_queue_depth" default:"1" doc:"Levels of subdirectories of those queues."`
}

// VERPAllows tells whether delims can be the delimiters of VERP senders: two
// characters that verp_delimiter_filter names.
func (c *Common) VERPAllows(delims string) bool {
	return len(delims) == 2 && strings.IndexByte(c.VERPAllowed, delims[0]) >= 0 && strings.IndexByte(c.VERPAllowed, delims[1]) >= 0
}
