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

// Set takes one parameter `NAME=value` or `NAME`. RET and ENVID may come once.
func (p *MailParams) Set(param string) error {
	name, value, has := strings.Cut(param, "=")
	switch verb := upper(name); verb {
	case "SMTPUTF8":
		if has {
			return ErrParamUnknown
		}
		p.SMTPUTF8 = true
		return nil
	case "XVERP":
		p.HasVERP, p.VERP = true, value
		return nil
	default:
		if !has {
			return ErrParamUnknown
		}
		return p.setValue(verb, value)
	}
}

func (p *MailParams) setValue(name, value string) error {
	switch name {
	case "SIZE":
		return p.setSize(value)
	case "AUTH":
		// Who first sent it (RFC 4954 section 5): believed of nobody.
		return nil
	case "BODY":
		switch upper(value) {
		case "7BIT":
			p.Encoding = mail.Encoding7Bit
			return nil
		case "8BITMIME":
			p.Encoding = mail.Encoding8Bit
			return nil
		}
	case "RET":
		p.UsesDSN = true
		ret := map[string]mail.Return{"FULL": mail.ReturnFull, "HDRS": mail.ReturnHeaders}[upper(value)]
		if ret == 0 || p.Return != 0 {
			return ErrParamReturn
		}
		p.Return = ret
		return nil
	case "ENVID":
		p.UsesDSN = true
		id, err := DecodeXtext(value)
		if err != nil || id == "" || p.EnvID != "" || !mail.IsASCII(id) {
			return ErrParamEnvID
		}
		p.EnvID = id
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

// Set takes one parameter. Each may come once.
func (p *RcptParams) Set(param string) error {
	name, value, has := strings.Cut(param, "=")
	if !has {
		return ErrParamUnknown
	}
	switch upper(name) {
	case "NOTIFY":
		p.UsesDSN = true
		n, ok := parseNotify(value)
		if !ok || p.Notify != 0 {
			return ErrParamNotify
		}
		p.Notify = n
		return nil
	case "ORCPT":
		p.UsesDSN = true
		typ, enc, ok := strings.Cut(value, ";")
		if !ok || !validAddrType(typ) || p.DSNOriginal != "" {
			return ErrParamORCPT
		}
		text, err := DecodeXtext(enc)
		if err != nil {
			return ErrParamORCPT
		}
		p.DSNOriginal = typ + ";" + text
		return nil
	}
	return ErrParamUnknown
}

// parseNotify parses NEVER or a list of SUCCESS, FAILURE and DELAY (RFC 3461
// section 4.1). A comma too many is let pass, as Postfix does.
func parseNotify(value string) (n mail.Notify, ok bool) {
	for _, word := range strings.Split(value, ",") {
		switch upper(word) {
		case "":
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
	return n, n != 0 && n&mail.NotifyNever == 0 || n == mail.NotifyNever
}

// validAddrType tells whether s can be an addr-type (RFC 3461 section 4.2). Like
// Postfix it takes any word: what it means is for those who read the notice.
func validAddrType(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}
