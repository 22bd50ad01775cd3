package smtpd

import (
	"net"
	"strings"
	"testing"
	"time"

	"posthaste/internal/receive/smtpd/restrictions"
)

// refuseAll is a configuration in which every list refuses.
const refuseAll = `
smtpd_delay_reject = no
smtpd_client_restrictions = reject
smtpd_helo_restrictions = reject
smtpd_sender_restrictions = reject
smtpd_relay_restrictions = reject
smtpd_recipient_restrictions = reject
smtpd_data_restrictions = reject
smtpd_end_of_data_restrictions = reject
smtpd_etrn_restrictions = reject
smtpd_client_message_rate_limit = 1
smtpd_client_connection_rate_limit = 1
smtpd_forbid_bare_newline = reject
smtpd_forbid_bare_newline_exclusions =
smtpd_forbid_unauth_pipelining = yes
`

// standAlone plays a whole dialogue, sent at once with bare line feeds, and
// returns all replies.
func standAlone(t *testing.T, r *rig, input string) string {
	t.Helper()
	served := &onceConn{in: strings.NewReader(input)}
	r.srv.ServeConn(t.Context(), served)
	return served.out.String()
}

// onceConn is a connection that is no network connection.
type onceConn struct {
	in  *strings.Reader
	out strings.Builder
}

func (c *onceConn) Read(b []byte) (int, error)       { return c.in.Read(b) }
func (c *onceConn) Write(b []byte) (int, error)      { return c.out.Write(b) }
func (c *onceConn) Close() error                     { return nil }
func (c *onceConn) LocalAddr() net.Addr              { return &net.UnixAddr{Net: "unix"} }
func (c *onceConn) RemoteAddr() net.Addr             { return &net.UnixAddr{Net: "unix"} }
func (c *onceConn) SetDeadline(time.Time) error      { return nil }
func (c *onceConn) SetReadDeadline(time.Time) error  { return nil }
func (c *onceConn) SetWriteDeadline(time.Time) error { return nil }

const standAloneInput = `HELO x
MAIL FROM:<a@b.test>
RCPT TO:<nobody@example.test>
DATA
Subject: one

.
MAIL FROM:<a@b.test>
RCPT TO:<stranger@elsewhere.test>
DATA
Subject: two

.
QUIT
`

func TestStandAlone(t *testing.T) {
	r := newRig(t, refuseAll, func(_ *Params, d *Deps) {
		d.StandAlone = true
		d.Resolver, d.Class, d.IsOwn = nil, nil, nil
	})
	got := standAlone(t, r, standAloneInput)
	if strings.Count(got, "\r\n250 2.0.0 Ok: queued as Q") != 2 || len(r.box.messages) != 2 {
		t.Errorf("%d messages:\n%s", len(r.box.messages), got)
	}
	for _, m := range r.box.messages {
		if m.env.Origin.Remote || m.env.Origin.Client.Name != "localhost" {
			t.Errorf("origin %+v", m.env.Origin)
		}
	}
	// The same configuration lets nobody in from the network.
	closed := newRig(t, refuseAll, nil)
	if got := standAlone(t, closed, standAloneInput); strings.Contains(got, "queued as") || len(closed.box.messages) > 0 {
		t.Errorf("not stand-alone:\n%s", got)
	}
}

// A server without relay control is refused, unless it is stand-alone.
func TestStandAloneNeedsNoRelayControl(t *testing.T) {
	const open = "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit\n"
	r := &rig{t: t, box: &box{}}
	if _, err := r.build(open, func(_ *Params, d *Deps) { d.StandAlone = true }); err != nil {
		t.Error(err)
	}
	if _, err := r.build(open, nil); err != restrictions.ErrNoRelayControl {
		t.Errorf("without StandAlone: %v", err)
	}
}
