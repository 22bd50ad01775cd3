package restrictions

import (
	"context"

	"posthaste/internal/mail"
)

// Trusted tells whether a client is in mynetworks. An error is a temporary
// failure.
func (c *Checker) Trusted(ctx context.Context, client mail.Client) (bool, error) {
	return c.mynetworks.Match(ctx, client.Name, client.Address)
}

func (e *eval) permitMyNetworks(*rule) result {
	ok, err := e.c.Trusted(e.ctx, e.q.Client)
	switch {
	case err != nil:
		e.c.deps.Log.Warning("%v", err)
		return e.refuseAs(mail.TroubleData, 451, "4.3.0", "<"+e.q.Client.Name+"["+e.q.Client.Address+"]>: Temporary lookup failure")
	case ok:
		return permit
	}
	return dunno
}

func (e *eval) permitInetInterfaces(*rule) result {
	if e.q.Addr.IsValid() && e.c.deps.IsOwn != nil && e.c.deps.IsOwn(e.q.Addr) {
		return permit
	}
	return dunno
}
