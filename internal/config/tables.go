package config

import (
	"slices"
	"strings"
)

// tableSuffixes are the settings of the table types that can be configured in
// main.cf, as <name>_<suffix> for a table `type:name` (ldap_table(5),
// mysql_table(5) and so on).
var tableSuffixes = map[string][]string{
	"ldap": {
		"bind", "bind_dn", "bind_pw", "cache_expiry", "cache_size", "chase_referrals", "debuglevel", "dereference",
		"domain", "expansion_limit", "leaf_result_attribute", "query_filter", "result_attribute", "result_filter",
		"result_format", "sasl_authz_id", "sasl_mechs", "sasl_minssf", "sasl_realm", "scope", "search_base",
		"server_host", "server_port", "size_limit", "special_result_attribute", "start_tls",
		"terminal_result_attribute", "timeout", "tls_ca_cert_dir", "tls_ca_cert_file", "tls_cert",
		"tls_cipher_suite", "tls_key", "tls_random_file", "tls_require_cert", "version",
	},
	"mysql": {
		"additional_conditions", "charset", "dbname", "domain", "expansion_limit", "hosts", "idle_interval",
		"option_file", "option_group", "password", "query", "require_result_set", "result_format",
		"retry_interval", "select_field", "table", "tls_CAfile", "tls_CApath", "tls_cert_file", "tls_ciphers",
		"tls_key_file", "tls_verify_cert", "user", "where_field",
	},
	"pgsql": {
		"additional_conditions", "dbname", "domain", "encoding", "expansion_limit", "hosts", "idle_interval",
		"password", "query", "result_format", "retry_interval", "select_field", "select_function", "table",
		"user", "where_field",
	},
	"sqlite": {
		"additional_conditions", "dbpath", "domain", "expansion_limit", "query", "result_format", "select_field",
		"table", "where_field",
	},
	"memcache": {
		"backup", "data_size_limit", "domain", "flags", "key_format", "line_size_limit", "max_try", "memcache",
		"retry_pause", "timeout", "ttl",
	},
	"mongodb": {
		"collection", "dbname", "domain", "expansion_limit", "projection", "query_filter", "result_attribute",
		"result_format", "search_base", "uri",
	},
}

// tableSettings returns the names of main.cf that may configure the tables
// mentioned in an expanded value. A table whose name is a path has a file.
func tableSettings(value string) []string {
	var out []string
	split := func(r rune) bool { return r == ',' || r == '{' || r == '}' || isSpaceRune(r) }
	for _, word := range strings.FieldsFunc(value, split) {
		for _, wrapper := range []string{"proxy:", "debug:"} {
			word = strings.TrimPrefix(word, wrapper)
		}
		kind, name, ok := strings.Cut(word, ":")
		if !ok || name == "" || strings.ContainsAny(name[:1], "/.") {
			continue
		}
		for _, suffix := range tableSuffixes[kind] {
			if full := name + "_" + suffix; !slices.Contains(out, full) {
				out = append(out, full)
			}
		}
	}
	return out
}
