package smtp

import (
	"errors"
	"strconv"
	"strings"

	"posthaste/internal/mail"
)

// The ways in which a parameter of MAIL or RCPT can be wrong.
var (
	ErrParamUnknown = errors.New("unsupported option")
	ErrParamSize    = errors.New("bad SIZE value")
	ErrParamTooBig  = errors.New("SIZE value out of range")
	ErrParamReturn  = errors.New("bad RET value")
	ErrParamEnvID   = errors.New("bad ENVID value")
	ErrParamNotify  = errors.New("bad NOTIFY value")
	ErrParamORCPT   = errors.New("bad ORCPT value")
)

// MailParams are the parameters of MAIL. VERP is the text after XVERP=, or
// empty with HasVERP set for XVERP alone.
type MailParams struct {
	Size     int64 // 0: not given
	Encoding mail.Encoding
	SMTPUTF8 bool
	Return   mail.Return
	EnvID    string
	HasVERP  bool
	VERP     string
	UsesDSN  bool // RET or ENVID was given
}

// maxEnvID is the longest ENVID (RFC 3461 section 4.4).
const maxEnvID = 100

// Set takes one parameter `NAME=value` or `NAME`.
func (p *MailParams) Set(param string) error {
	name, value, has := strings.Cut(param, "=")
	switch upper(name) {
	case "SIZE":
		return p.setSize(value)
	case "BODY":
		switch upper(value) {
		case "7BIT":
			p.Encoding = mail.Encoding7Bit
			return nil
		case "8BITMIME":
			p.Encoding = mail.Encoding8Bit
			return nil
		}
	case "SMTPUTF8":
		if !has {
			p.SMTPUTF8 = true
			return nil
		}
	case "RET":
		p.UsesDSN = true
		switch upper(value) {
		case "FULL":
			p.Return = mail.ReturnFull
		case "HDRS":
			p.Return = mail.ReturnHeaders
		default:
			return ErrParamReturn
		}
		return nil
	case "ENVID":
		p.UsesDSN = true
		id, err := DecodeXtext(value)
		if err != nil || id == "" || len(value) > maxEnvID || !mail.IsASCII(id) {
			return ErrParamEnvID
		}
		p.EnvID = id
		return nil
	case "XVERP":
		p.HasVERP, p.VERP = true, value
		return nil
	}
	return ErrParamUnknown
}

func (p *MailParams) setSize(value string) error {
	for i := 0; i < len(value); i++ {
		if value[i] < '0' || value[i] > '9' {
			return ErrParamSize
		}
	}
	if value == "" {
		return ErrParamSize
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return ErrParamTooBig
	}
	p.Size = n
	return nil
}

// RcptParams are the parameters of RCPT.
type RcptParams struct {
	Notify      mail.Notify
	DSNOriginal string // `type;address`, decoded
	UsesDSN     bool   // NOTIFY or ORCPT was given
}

// Set takes one parameter.
func (p *RcptParams) Set(param string) error {
	name, value, _ := strings.Cut(param, "=")
	switch upper(name) {
	case "NOTIFY":
		p.UsesDSN = true
		n, ok := parseNotify(value)
		if !ok {
			return ErrParamNotify
		}
		p.Notify = n
		return nil
	case "ORCPT":
		p.UsesDSN = true
		typ, enc, ok := strings.Cut(value, ";")
		if !ok || !validAddrType(typ) {
			return ErrParamORCPT
		}
		text, err := DecodeXtext(enc)
		if err != nil || text == "" || len(value) > 500 {
			return ErrParamORCPT
		}
		p.DSNOriginal = typ + ";" + text
		return nil
	}
	return ErrParamUnknown
}

// parseNotify parses NEVER or a list of SUCCESS, FAILURE and DELAY (RFC 3461
// section 4.1).
func parseNotify(value string) (n mail.Notify, ok bool) {
	for _, word := range strings.Split(value, ",") {
		switch upper(word) {
		case "NEVER":
			n |= mail.NotifyNever
		case "SUCCESS":
			n |= mail.NotifySuccess
		case "FAILURE":
			n |= mail.NotifyFailure
		case "DELAY":
			n |= mail.NotifyDelay
		default:
			return 0, false
		}
	}
	return n, n&mail.NotifyNever == 0 || n == mail.NotifyNever
}

// validAddrType tells whether s is an atom (RFC 3461 section 4.2 addr-type).
func validAddrType(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return s != ""
}
