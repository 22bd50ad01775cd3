package smtpd

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"posthaste/internal/address"
	"posthaste/internal/config"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/table"
	"posthaste/internal/table/open"
)

// site is the configuration that test cases build on. Clients from 127.0.0.2
// are strangers, clients from 127.0.0.1 are trusted.
const site = `
compatibility_level = 3.6
myhostname = mx.example.test
mydestination = $myhostname, example.test
mynetworks = 127.0.0.1/32
inet_interfaces = 127.0.0.1
local_recipient_maps = inline:{alice=x}
alias_maps =
relay_domains = relay.test
relay_recipient_maps = inline:{bob@relay.test=x}
virtual_alias_domains = va.test
virtual_alias_maps = inline:{v@va.test=alice@example.test}
virtual_mailbox_domains = vm.test
virtual_mailbox_maps = inline:{m@vm.test=x}
smtpd_error_sleep_time = 0
`

// box is a door that keeps messages in memory.
type box struct {
	mu       sync.Mutex
	opened   int
	messages []*boxMessage // committed
	openNow  int
	fail     error // of Commit
}

type boxMessage struct {
	box     *box
	id      mail.QueueID
	env     mail.Envelope
	rcpts   []mail.Recipient
	content strings.Builder
	notes   []string
	done    bool
}

func (b *box) Open(_ context.Context, e mail.Envelope) (Message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened++
	b.openNow++
	return &boxMessage{box: b, id: mail.QueueID(fmt.Sprintf("Q%d", b.opened)), env: e}, nil
}

func (m *boxMessage) ID() mail.QueueID { return m.id }
func (m *boxMessage) Recipient(_ context.Context, r mail.Recipient) error {
	m.rcpts = append(m.rcpts, r)
	return nil
}
func (m *boxMessage) Line(b []byte) error {
	m.content.Write(append(b[:len(b):len(b)], '\n'))
	return nil
}
func (m *boxMessage) Fragment(b []byte) error { m.content.Write(b); return nil }
func (m *boxMessage) Hold()                   { m.notes = append(m.notes, "hold") }
func (m *boxMessage) Filter(s string)         { m.notes = append(m.notes, "filter "+s) }
func (m *boxMessage) Redirect(a mail.Address) { m.notes = append(m.notes, "redirect "+string(a)) }
func (m *boxMessage) Prepend(h string)        { m.notes = append(m.notes, "prepend "+h) }
func (m *boxMessage) Discard()                { m.close() }
func (m *boxMessage) Commit(context.Context) error {
	m.close()
	if m.box.fail != nil {
		return m.box.fail
	}
	m.box.mu.Lock()
	defer m.box.mu.Unlock()
	m.box.messages = append(m.box.messages, m)
	return nil
}

func (m *boxMessage) close() {
	m.box.mu.Lock()
	defer m.box.mu.Unlock()
	if !m.done {
		m.done = true
		m.box.openNow--
	}
}

// String shows a message as the queue section of a test case has it.
func (m *boxMessage) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s from=<%s>", m.id, m.env.Sender.Quoted())
	for _, r := range m.rcpts {
		fmt.Fprintf(&b, " to=<%s>", r.Address.Quoted())
		if r.Notify != 0 {
			fmt.Fprintf(&b, "/notify=%d", r.Notify)
		}
		if r.DSNOriginal != "" && r.DSNOriginal != "rfc822;"+r.Address.Quoted() {
			fmt.Fprintf(&b, "/orcpt=%s", r.DSNOriginal)
		}
	}
	if m.env.EnvelopeID != "" {
		fmt.Fprintf(&b, " envid=%s", m.env.EnvelopeID)
	}
	if m.env.Return != 0 {
		fmt.Fprintf(&b, " ret=%d", m.env.Return)
	}
	if m.env.Encoding != "" {
		fmt.Fprintf(&b, " body=%s", m.env.Encoding)
	}
	if m.env.Options != 0 {
		fmt.Fprintf(&b, " options=%d", m.env.Options)
	}
	for _, n := range m.notes {
		fmt.Fprintf(&b, " [%s]", n)
	}
	fmt.Fprintf(&b, " %q\n", m.content.String())
	return b.String()
}

// rig is a server under test.
type rig struct {
	t    testing.TB
	srv  *Server
	box  *box
	log  *maillog.Memory
	addr string
	deps Deps
}

// newRig starts a server. change, if not nil, alters what it depends on.
func newRig(t testing.TB, mainCF string, change func(*Params, *Deps)) *rig {
	t.Helper()
	r := &rig{t: t, box: &box{}, log: &maillog.Memory{}}
	srv, err := r.build(mainCF, change)
	if err != nil {
		t.Fatal(err)
	}
	r.srv = srv
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		stop, cancelStop := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancelStop()
		if err := srv.Drain(stop); err != nil {
			t.Errorf("Drain: %v", err)
		}
		if r.box.openNow != 0 {
			t.Errorf("%d messages were neither committed nor discarded", r.box.openNow)
		}
	})
	return r
}

func (r *rig) build(mainCF string, change func(*Params, *Deps)) (*Server, error) {
	r.t.Helper()
	var p Params
	var ap address.Params
	main, err := config.ParseMain("main.cf", []byte(site+mainCF))
	if err != nil {
		return nil, err
	}
	snap, err := config.New(main, config.NewCatalog(&p, &ap), nil)
	if err != nil {
		return nil, err
	}
	for _, params := range []any{&p, &ap} {
		if err := snap.Bind(params); err != nil {
			return nil, err
		}
	}
	log := maillog.New(r.log, "postfix/smtpd")
	tables := open.New(table.Options{Warn: log.Warning})
	r.deps = Deps{
		Log: log, Service: "smtp", Tables: tables, Open: r.box.Open, Class: snap.Get,
		Resolver: address.NewResolver(ap, address.Deps{Tables: tables, Log: log}),
		IsOwn:    func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.1") },
	}
	if change != nil {
		change(&p, &r.deps)
	}
	return New(p, r.deps)
}

// dial connects from an address of the loopback network.
func (r *rig) dial(from string) *net.TCPConn {
	r.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}
