package intake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"posthaste/internal/config"
)

// Params are the main.cf parameters of the door.
type Params struct {
	Common              config.Common
	HeaderSizeLimit     int           `cf:"header_size_limit" default:"102400" unit:"bytes" doc:"Longest header; what exceeds it is discarded."`
	DuplicateLimit      int           `cf:"duplicate_filter_limit" default:"1000" doc:"How many recipients are remembered to drop duplicates."`
	EnableOriginal      bool          `cf:"enable_original_recipient" default:"yes" doc:"Keep the recipient address from before mapping."`
	DropHeaders         []string      `cf:"message_drop_headers" default:"bcc, content-length, resent-bcc, return-path" doc:"Headers that are removed."`
	AlwaysAddMissing    bool          `cf:"always_add_missing_headers" default:"no" doc:"Add missing headers to mail of remote clients too."`
	UndisclosedHeader   string        `cf:"undisclosed_recipients_header" default:"" doc:"Header for mail without To and Cc; empty: none."`
	FromFormat          string        `cf:"header_from_format" default:"standard" doc:"Form of an added From header: standard or obsolete."`
	FullNameCharset     string        `cf:"full_name_encoding_charset" default:"utf-8" doc:"Character set named where a full name is not ASCII; empty: not encoded."`
	ReplaceStrayCRLF    bool          `cf:"cleanup_replace_stray_cr_lf" default:"yes" doc:"Replace stray CR and LF in content by a blank."`
	StripCharacters     string        `cf:"message_strip_characters" default:"" doc:"Characters that are removed from content."`
	RejectCharacters    string        `cf:"message_reject_characters" default:"" doc:"Characters for which a message is refused."`
	NonEmptyEndOfHeader string        `cf:"non_empty_end_of_header_action" default:"fix_quietly" doc:"What to do when a header does not end in an empty line: fix_quietly, add_header or reject."`
	HeaderChecks        string        `cf:"header_checks" default:"" doc:"Tables for the inspection of message headers."`
	MIMEHeaderChecks    string        `cf:"mime_header_checks" default:"$header_checks" doc:"Tables for the inspection of headers of MIME parts."`
	NestedHeaderChecks  string        `cf:"nested_header_checks" default:"$header_checks" doc:"Tables for the inspection of headers of messages within a message."`
	DisableMIME         bool          `cf:"disable_mime_input_processing" default:"no" doc:"Take everything below the message header for text."`
	BodyChecks          string        `cf:"body_checks" default:"" doc:"Tables for the inspection of body lines."`
	BodyChecksLimit     int64         `cf:"body_checks_size_limit" default:"51200" unit:"bytes" doc:"How much of a body is inspected."`
	FlowDelay           time.Duration `cf:"in_flow_delay" default:"1s" unit:"s" doc:"How long a message waits before it is accepted when mail comes in faster than the queue manager takes it; 0: not at all."`
	DetectClasses       []string      `cf:"smtputf8_autodetect_classes" default:"sendmail, verify" doc:"Sources of mail in which UTF-8 in addresses and headers asks for SMTPUTF8: sendmail, smtpd, qmqpd, forward, bounce, notify, verify, all."`
	Detect8BitHeader    bool          `cf:"detect_8bit_encoding_header" default:"yes" doc:"Take 8BITMIME from Content-Transfer-Encoding headers."`
	Strict7BitHeaders   bool          `cf:"strict_7bit_headers" default:"no" doc:"Refuse 8-bit text in headers, those of parts too."`
	Strict8BitBody      bool          `cf:"strict_8bitmime_body" default:"no" doc:"Refuse 8-bit text in a body that is not declared so by a Content-Transfer-Encoding header."`
	Strict8BitMIME      bool          `cf:"strict_8bitmime" default:"no" doc:"Both strict_7bit_headers and strict_8bitmime_body."`
	StrictEncoding      bool          `cf:"strict_mime_encoding_domain" default:"no" doc:"Refuse multiparts and messages within the message whose encoding is not allowed for them."`
}

// maxFlowDelay is the longest in_flow_delay (postconf(5)): clients wait that long.
const maxFlowDelay = 10 * time.Second

// SMTPUTF8Detects tells whether mail of a class may ask for SMTPUTF8 by what is
// in it.
func (p *Params) SMTPUTF8Detects(class string) bool {
	return p.Common.SMTPUTF8Enable && (slices.Contains(p.DetectClasses, class) || slices.Contains(p.DetectClasses, "all"))
}

// detectClasses are the sources of mail that smtputf8_autodetect_classes names.
var detectClasses = []string{"all", "bounce", "forward", "notify", "qmqpd", "sendmail", "smtpd", "verify"}

// check refuses values that are not among those documented.
func (p *Params) check() error {
	switch p.FromFormat {
	case "standard", "obsolete":
	default:
		return fmt.Errorf("bad value %q of header_from_format: should be standard or obsolete", p.FromFormat)
	}
	switch p.NonEmptyEndOfHeader {
	case "fix_quietly", "add_header", "reject":
	default:
		return fmt.Errorf("bad value %q of non_empty_end_of_header_action: should be fix_quietly, add_header or reject", p.NonEmptyEndOfHeader)
	}
	for _, class := range p.DetectClasses {
		if !slices.Contains(detectClasses, class) {
			return fmt.Errorf("bad value %q of smtputf8_autodetect_classes: should be among %s", class, strings.Join(detectClasses, ", "))
		}
	}
	if p.FlowDelay < 0 || p.FlowDelay > maxFlowDelay {
		return fmt.Errorf("bad value %s of in_flow_delay: should be 0 to %s", p.FlowDelay, maxFlowDelay)
	}
	return nil
}

// parseHours reads delay_warning_time: a number with an optional unit; hours
// without one.
func parseHours(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	unit := time.Hour
	if s != "" {
		n := len(s) - 1
		if u, ok := map[byte]time.Duration{
			's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
		}[s[n]|0x20]; ok {
			unit, s = u, s[:n]
		}
	}
	v, err := strconv.ParseInt(s, 10, 32)
	if err != nil || v < 0 {
		return 0, fmt.Errorf("bad value %q of delay_warning_time", s)
	}
	return time.Duration(v) * unit, nil
}

// nameSet is a set of header names in lower case.
func nameSet(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[strings.ToLower(strings.TrimSuffix(n, ":"))] = true
	}
	return set
}

// byteSet is a set of bytes.
type byteSet [256]bool

// newByteSet reads a set of characters with C escapes, as postconf(5)
// describes at message_strip_characters; nil for an empty one.
func newByteSet(s string) *byteSet {
	if s == "" {
		return nil
	}
	var set byteSet
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			i++
			var n int
			c, n = escape(s[i:])
			i += n - 1
		}
		set[c] = true
	}
	return &set
}

// escape reads what follows a backslash; n is its length.
func escape(s string) (c byte, n int) {
	const names, values = "abfnrtv", "\a\b\f\n\r\t\v"
	if i := strings.IndexByte(names, s[0]); i >= 0 {
		return values[i], 1
	}
	v := 0
	for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
		v = v*8 + int(s[n]-'0')
		n++
	}
	if n == 0 {
		return s[0], 1
	}
	return byte(v), n
}

// in tells whether text holds a byte of the set.
func (set *byteSet) in(text []byte) bool {
	for _, c := range text {
		if set[c] {
			return true
		}
	}
	return false
}

// remove returns text without the bytes of the set; text is not changed.
func (set *byteSet) remove(text []byte) []byte {
	kept := make([]byte, 0, len(text))
	for _, c := range text {
		if !set[c] {
			kept = append(kept, c)
		}
	}
	return kept
}
