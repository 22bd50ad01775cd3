package smtp

import (
	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
)

// xforward makes the XFORWARD commands for a message (XFORWARD_README), as far
// as the server takes the attributes and there is something to say.
func xforward(offers features, o *mail.Origin) []string {
	c := o.Logged
	if c == (mail.Client{}) && o.LogIdent == "" {
		return nil
	}
	source := "LOCAL"
	if o.Remote {
		source = "REMOTE"
	}
	var values []smtp.XForward
	for _, v := range [...]struct {
		offer       features
		name, value string
	}{
		{offersXForwardName, "NAME", c.Name},
		{offersXForwardAddr, "ADDR", c.Address},
		{offersXForwardPort, "PORT", c.Port},
		{offersXForwardProto, "PROTO", c.Protocol},
		{offersXForwardHelo, "HELO", c.Helo},
		{offersXForwardIdent, "IDENT", o.LogIdent},
		{offersXForwardSource, "SOURCE", source},
	} {
		if offers&v.offer != 0 {
			values = append(values, smtp.XForward{Name: v.name, Value: v.value})
		}
	}
	return smtp.XForwardCommands(values)
}
