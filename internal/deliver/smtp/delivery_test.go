package smtp

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/dns/dnstest"
)

func TestDeliver(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", nil)
	p := params()
	p.SkipQuitResponse = false // so that QUIT has arrived when Deliver returns
	a := newSetup(t, p, nil, false)
	r := request(t, "["+srv.addr.Addr().String()+"]:"+fmt.Sprint(srv.addr.Port()), "a@b.test", "c d@b.test")
	r.Envelope.EnvelopeID, r.Envelope.Return = "id+1", mail.ReturnHeaders
	r.Recipients[0].Original, r.Recipients[0].Notify = "orig@b.test", mail.NotifyFailure
	r.Content = content(t, "Subject: x", "", ".dot", "..", ".", strings.Repeat("x", 1500))
	var got mail.Status
	if err := a.Deliver(t.Context(), r, func(_ mail.RecipientIndex, st mail.Status) { got = st }); err != nil {
		t.Fatal(err)
	}
	got.Setup, got.Transmit = 0, 0
	want := mail.Status{Action: mail.Passed, Code: "2.0.0", Reason: "250 2.0.0 Ok: queued as 12345",
		Relay: fmt.Sprintf("127.0.0.1[127.0.0.1]:%d", srv.addr.Port()), DiagType: "smtp", DiagText: "250 2.0.0 Ok: queued as 12345",
		MTAType: "dns", MTAName: "127.0.0.1", ConnUse: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
	commands, messages, _ := srv.said()
	wantCommands := `EHLO client.test
MAIL FROM:<s@a.test> SIZE=21 BODY=7BIT ENVID=id+2B1 RET=HDRS
RCPT TO:<a@b.test> ORCPT=rfc822;orig@b.test NOTIFY=FAILURE
RCPT TO:<"c d"@b.test>
DATA
QUIT`
	if text := strings.Join(commands, "\n"); text != wantCommands {
		t.Errorf("commands:\n%s\nwant:\n%s", text, wantCommands)
	}
	wantText := "Subject: x\r\n\r\n..dot\r\n...\r\n..\r\n" + strings.Repeat("x", 998) + "\r\n " + strings.Repeat("x", 502) + "\r\n"
	if len(messages) != 1 || messages[0] != wantText {
		t.Errorf("content is %q, want %q", messages, wantText)
	}
}

// Each case scripts one server; HOST stands for its name, and the result is
// that of recipients one@b.test and two@b.test on the only server.
var replyTests = []struct {
	name   string
	script map[string][]string
	want   string
	tune   func(*Params)
}{
	{"greeting 5xx is soft", map[string][]string{"GREETING": {"554 5.7.1 no\r\n"}},
		"SITE deferred 4.7.1 (host HOST refused to talk to me: 554 5.7.1 no)", nil},
	{"greeting 5xx is hard", map[string][]string{"GREETING": {"554-go\r\n554 away\r\n"}},
		"bounced 5.0.0 (host HOST refused to talk to me: 554-go 554 away)", func(p *Params) { p.Skip5xxGreeting = false }},
	{"greeting 4xx", map[string][]string{"GREETING": {"421 busy\r\n"}},
		"SITE deferred 4.0.0 (host HOST refused to talk to me: 421 busy)", nil},
	{"greeting out of step", map[string][]string{"GREETING": {"354 what\r\n"}},
		"SITE deferred 4.5.0 (Protocol error: host HOST refused to talk to me: 354 what)", nil},
	{"no greeting", map[string][]string{"GREETING": {"DROP"}},
		"SITE deferred 4.4.2 (lost connection with HOST while receiving the initial server greeting)", nil},
	{"silent greeting", map[string][]string{"GREETING": {"HANG"}},
		"SITE deferred 4.4.2 (conversation with HOST timed out while receiving the initial server greeting)",
		func(p *Params) { p.HeloTimeout = 50 * time.Millisecond }},
	{"EHLO lost", map[string][]string{"EHLO": {"DROP"}},
		"SITE deferred 4.4.2 (lost connection with HOST while performing the EHLO handshake)", nil},
	{"EHLO 421", map[string][]string{"EHLO": {"421 4.3.2 no\r\n"}},
		"SITE deferred 4.3.2 (host HOST refused to talk to me: 421 4.3.2 no)", nil},
	{"HELO after EHLO", map[string][]string{"EHLO": {"500 what\r\n"}, "HELO": {"250 mx\r\n"}},
		"sent 2.0.0 (250 2.0.0 Ok: queued as 12345)", nil},
	{"HELO refused", map[string][]string{"EHLO": {"500 what\r\n"}, "HELO": {"550 5.7.1 no\r\n"}},
		"bounced 5.7.1 (host HOST refused to talk to me: 550 5.7.1 no)", nil},
	{"HELO lost", map[string][]string{"EHLO": {"500 what\r\n"}, "HELO": {"DROP"}},
		"SITE deferred 4.4.2 (lost connection with HOST while performing the HELO handshake)", nil},
	{"never EHLO", map[string][]string{"EHLO": {"DROP"}, "HELO": {"250 mx\r\n"}},
		"sent 2.0.0 (250 2.0.0 Ok: queued as 12345)", func(p *Params) { p.NeverEHLO = true }},
	{"MAIL 4xx", map[string][]string{"MAIL": {"451 4.3.0 later\r\n"}},
		"deferred 4.3.0 (host HOST said: 451 4.3.0 later (in reply to MAIL FROM command))", nil},
	{"MAIL 5xx", map[string][]string{"MAIL": {"550 no\r\n"}, "RCPT": {"503 no\r\n"}, "DATA": {"503 no\r\n"}},
		"bounced 5.0.0 (host HOST said: 550 no (in reply to MAIL FROM command))", nil},
	{"MAIL 5xx, DATA 354", map[string][]string{"MAIL": {"550 no\r\n"}, "RCPT": {"503 no\r\n"}},
		"bounced 5.0.0 (host HOST said: 550 no (in reply to MAIL FROM command))", nil},
	{"MAIL lost", map[string][]string{"MAIL": {"DROP"}},
		"SITE deferred 4.4.2 (lost connection with HOST while sending MAIL FROM)", nil},
	{"all RCPT refused", map[string][]string{"RCPT": {"550 5.1.1 unknown\r\n"}, "DATA": {"554 no valid recipients\r\n"}},
		"bounced 5.1.1 (host HOST said: 550 5.1.1 unknown (in reply to RCPT TO command))", nil},
	{"all RCPT refused, DATA 354", map[string][]string{"RCPT": {"450-4.2.1 grey\r\n450 4.2.1 listed\r\n"}},
		"deferred 4.2.1 (host HOST said: 450-4.2.1 grey 450 4.2.1 listed (in reply to RCPT TO command))", nil},
	{"one RCPT refused", map[string][]string{"RCPT": {"550 5.1.1 unknown\r\n", "250 2.1.5 Ok\r\n"}},
		"bounced 5.1.1 (host HOST said: 550 5.1.1 unknown (in reply to RCPT TO command))\nsent 2.0.0 (250 2.0.0 Ok: queued as 12345)", nil},
	{"RCPT 354", map[string][]string{"RCPT": {"354 go\r\n"}},
		"deferred 4.5.0 (Protocol error: host HOST said: 354 go (in reply to RCPT TO command))", nil},
	{"RCPT 421", map[string][]string{"RCPT": {"250 Ok\r\n", "421 4.3.2 bye\r\n"}},
		"sent 2.0.0 (250 2.0.0 Ok: queued as 12345)\ndeferred 4.3.2 (host HOST said: 421 4.3.2 bye (in reply to RCPT TO command))", nil},
	{"RCPT 421 and gone", map[string][]string{"RCPT": {"250 Ok\r\n", "421 4.3.2 bye\r\n"}, "DATA": {"DROP"}},
		"SITE deferred 4.4.2 (lost connection with HOST while sending DATA command)\n" +
			"deferred 4.3.2 (host HOST said: 421 4.3.2 bye (in reply to RCPT TO command))", nil},
	{"RCPT lost", map[string][]string{"RCPT": {"550 5.1.1 unknown\r\n", "DROP"}},
		"bounced 5.1.1 (host HOST said: 550 5.1.1 unknown (in reply to RCPT TO command))\n" +
			"SITE deferred 4.4.2 (lost connection with HOST while sending RCPT TO)", nil},
	{"DATA 4xx", map[string][]string{"DATA": {"451 4.7.1 later\r\n"}},
		"deferred 4.7.1 (host HOST said: 451 4.7.1 later (in reply to DATA command))", nil},
	{"DATA 250", map[string][]string{"DATA": {"250 2.0.0 fine\r\n"}},
		"deferred 4.5.0 (Protocol error: host HOST said: 250 2.0.0 fine (in reply to DATA command))", nil},
	{"DATA lost", map[string][]string{"DATA": {"DROP"}},
		"SITE deferred 4.4.2 (lost connection with HOST while sending DATA command)", nil},
	{"DOT 5xx", map[string][]string{"DOT": {"554 5.6.0 spam\r\n"}},
		"bounced 5.6.0 (host HOST said: 554 5.6.0 spam (in reply to end of DATA command))", nil},
	{"DOT 354", map[string][]string{"DOT": {"354 2.0.0 more\r\n"}},
		"deferred 4.5.0 (Protocol error: host HOST said: 354 2.0.0 more (in reply to end of DATA command))", nil},
	{"DOT 000", map[string][]string{"DOT": {"000 2.0.0 Ok\r\n"}},
		"deferred 4.5.0 (Protocol error: host HOST said: 000 2.0.0 Ok (in reply to end of DATA command))", nil},
	{"DOT 999", map[string][]string{"DOT": {"999 2.0.0 Ok\r\n"}},
		"deferred 4.5.0 (Protocol error: host HOST said: 999 2.0.0 Ok (in reply to end of DATA command))", nil},
	{"DOT wrong enhanced code", map[string][]string{"DOT": {"550 2.0.0 Ok\r\n"}},
		"bounced 5.0.0 (host HOST said: 550 2.0.0 Ok (in reply to end of DATA command))", nil},
	{"DOT control bytes", map[string][]string{"DOT": {"550 5.7.1 a\x00b\x1b]0;x\x07\rstatus=sent\r\n"}},
		"bounced 5.7.1 (host HOST said: 550 5.7.1 a?b?]0;x??status=sent (in reply to end of DATA command))", nil},
	{"DOT unfinished", map[string][]string{"DOT": {"250 2.0.0 Ok", "DROP"}},
		"SITE deferred 4.4.2 (conversation with HOST timed out while sending end of data -- message may be sent more than once)",
		func(p *Params) { p.DataDoneTimeout = 50 * time.Millisecond }},
	{"DOT lost", map[string][]string{"DOT": {"DROP"}},
		"SITE deferred 4.4.2 (lost connection with HOST while sending end of data -- message may be sent more than once)", nil},
	{"DOT without end", map[string][]string{"DOT": {strings.Repeat("250-x\r\n", 1_000_000)}},
		"SITE deferred 4.5.0 (Protocol error: host HOST sent an endless reply while sending end of data -- message may be sent more than once)", nil},
	{"DOT one line without end", map[string][]string{"DOT": {"250 " + strings.Repeat("x", 4<<20)}},
		"SITE deferred 4.5.0 (Protocol error: host HOST sent an endless reply while sending end of data -- message may be sent more than once)", nil},
	{"reply ahead of the command", map[string][]string{"GREETING": {"220 mx.test ESMTP\r\n250 mx.test\r\n"}, "EHLO": {"550 5.7.1 no\r\n"}},
		"SITE deferred 4.5.0 (Protocol error: host HOST sent an unexpected reply while performing the EHLO handshake)", nil},
	{"success ahead of the content", map[string][]string{"DATA": {"354 go\r\n250 2.0.0 Ok\r\n"}},
		"SITE deferred 4.5.0 (Protocol error: host HOST sent an unexpected reply while sending message body)", nil},
	{"refusal ahead of the content", map[string][]string{"DATA": {"354 go\r\n552 5.3.4 too big\r\n"}},
		"bounced 5.3.4 (host HOST said: 552 5.3.4 too big (in reply to end of DATA command))", nil},
	{"too big", map[string][]string{"EHLO": {"250-mx\r\n250 SIZE 20\r\n"}},
		"bounced 5.3.4 (message size 21 exceeds size limit 20 of server HOST)", nil},
}

func TestReplies(t *testing.T) {
	t.Parallel()
	for _, pipelining := range []bool{true, false} {
		for _, tt := range replyTests {
			t.Run(fmt.Sprintf("%s/pipelining=%v", tt.name, pipelining), func(t *testing.T) {
				t.Parallel()
				script := maps.Clone(tt.script)
				if _, ok := script["EHLO"]; !ok && !pipelining {
					script["EHLO"] = []string{"250-mx.test\r\n250 8BITMIME\r\n"}
				}
				srv := serve(t, "", script)
				p := params()
				if tt.tune != nil {
					tt.tune(&p)
				}
				a := newSetup(t, p, nil, false)
				got := a.results(t, request(t, "["+srv.addr.Addr().String()+"]:"+fmt.Sprint(srv.addr.Port()), "one@b.test", "two@b.test"))
				want := tt.want
				if !strings.Contains(want, "\n") {
					want += "\n" + want
				}
				if want = strings.ReplaceAll(want, "HOST", "127.0.0.1[127.0.0.1]"); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}

func TestConnectRefused(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", nil)
	srv.ln.Close()
	a := newSetup(t, params(), nil, false)
	got := a.results(t, request(t, srv.addr.String(), "a@b.test"))
	want := fmt.Sprintf("SITE deferred 4.4.1 (connect to 127.0.0.1[127.0.0.1]:%d: Connection refused)", srv.addr.Port())
	if got != want || a.log.text() != want[len("SITE deferred 4.4.1 ("):len(want)-1] {
		t.Errorf("got %s, log %s; want %s", got, a.log.text(), want)
	}
}

func TestLMTP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve(t, filepath.Join(dir, "lmtp"), map[string][]string{
		"LMTP": {"yes"},
		"RCPT": {"250 Ok\r\n", "550 5.1.1 who\r\n", "250 Ok\r\n", "250 Ok\r\n"},
		"DOT":  {"250 2.1.5 done\r\n", "452 4.2.2 full\r\n", "DROP"},
	})
	p := params()
	p.Common.QueueDirectory = dir
	a := newSetup(t, p, nil, true)
	got := a.results(t, request(t, "unix:lmtp", "1@b.test", "2@b.test", "3@b.test", "4@b.test"))
	want := `sent 2.1.5 (250 2.1.5 done)
bounced 5.1.1 (host client.test[lmtp] said: 550 5.1.1 who (in reply to RCPT TO command))
deferred 4.2.2 (host client.test[lmtp] said: 452 4.2.2 full (in reply to end of DATA command))
SITE deferred 4.4.2 (lost connection with client.test[lmtp] while sending end of data -- message may be sent more than once)`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	os.Remove(filepath.Join(dir, "lmtp"))
	if got, want := a.results(t, request(t, "unix:lmtp", "1@b.test")), "SITE deferred 4.4.1 (connect to client.test[lmtp]: No such file or directory)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// twoServers are mail exchangers on two loopback addresses and one port.
func twoServers(t *testing.T, first, second map[string][]string) (port string, one, two *server) {
	t.Helper()
	for range 50 {
		one = serve(t, "127.0.0.2:0", first)
		port = fmt.Sprint(one.addr.Port())
		if ln, err := net.Listen("tcp", "127.0.0.3:"+port); err == nil {
			ln.Close()
			return port, one, serve(t, "127.0.0.3:"+port, second)
		}
	}
	t.Fatal("no port is free on both addresses")
	return
}

func TestSecondExchanger(t *testing.T) {
	t.Parallel()
	zone := "b.test. MX 10 mx1.b.test.\nb.test. MX 20 mx2.b.test.\nmx1.b.test. A 127.0.0.2\nmx2.b.test. A 127.0.0.3\n"
	const queued = "sent 2.0.0 (250 2.0.0 Ok: queued as 12345)"
	const grey = "host mx1.b.test[127.0.0.2] said: 450 4.7.1 grey (in reply to RCPT TO command)"
	tests := []struct {
		name          string
		first, second map[string][]string
		want, log     string
		limit         int
	}{
		{"greeting refused", map[string][]string{"GREETING": {"421 busy\r\n"}}, nil, queued + "\n" + queued,
			"4XYZ: host mx1.b.test[127.0.0.2] refused to talk to me: 421 busy", 2},
		{"one recipient deferred", map[string][]string{"RCPT": {"450 4.7.1 grey\r\n", "250 Ok\r\n"}}, nil, queued + "\n" + queued, "4XYZ: " + grey, 2},
		{"both defer", map[string][]string{"RCPT": {"450 4.7.1 grey\r\n", "250 Ok\r\n"}}, map[string][]string{"MAIL": {"450 4.7.0 later\r\n"}},
			"deferred 4.7.0 (host mx2.b.test[127.0.0.3] said: 450 4.7.0 later (in reply to MAIL FROM command))\n" + queued, "4XYZ: " + grey, 2},
		{"second is dead", map[string][]string{"RCPT": {"450 4.7.1 grey\r\n", "250 Ok\r\n"}}, map[string][]string{"GREETING": {"DROP"}},
			"deferred 4.7.1 (" + grey + ")\n" + queued, "4XYZ: " + grey, 2},
		{"session limit", map[string][]string{"RCPT": {"450 4.7.1 grey\r\n", "250 Ok\r\n"}}, nil, "deferred 4.7.1 (" + grey + ")\n" + queued, "", 1},
		{"hard refusal is final", map[string][]string{"RCPT": {"550 5.7.1 no\r\n", "250 Ok\r\n"}}, nil,
			"bounced 5.7.1 (host mx1.b.test[127.0.0.2] said: 550 5.7.1 no (in reply to RCPT TO command))\n" + queued, "", 2},
		{"kept while DATA fails", map[string][]string{"RCPT": {"450 4.7.1 grey\r\n", "250 Ok\r\n"}, "DATA": {"554 5.7.0 no\r\n"}}, nil,
			queued + "\nbounced 5.7.0 (host mx1.b.test[127.0.0.2] said: 554 5.7.0 no (in reply to DATA command))", "4XYZ: " + grey, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			port, _, _ := twoServers(t, tt.first, tt.second)
			p := params()
			p.MXSessionLimit, p.CacheOnDemand = tt.limit, false
			a := newSetup(t, p, dnstest.Start(t, zone).Resolver(), false)
			if got := a.results(t, request(t, "b.test:"+port, "one@b.test", "two@b.test")); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if got := a.log.text(); got != tt.log {
				t.Errorf("log is %q, want %q", got, tt.log)
			}
		})
	}
}

func TestLookupFailures(t *testing.T) {
	t.Parallel()
	r := dnstest.Start(t, `
		null.test.    MX 0 .
		gone.test.    MX 5 no.test.
		$FAULT soft.test MX ServFail
		soft.test.    A 127.0.0.1
		only4.test.   MX 5 a4.test.
		$FAULT a4.test A ServFail
	`).Resolver()
	name := "(Host or domain name not found. Name service error for name="
	tests := []struct{ nexthop, want string }{
		{"null.test", "bounced 5.1.0 (Domain null.test does not accept mail (nullMX))"},
		{"nx.test", "bounced 5.4.4 " + name + "nx.test type=A: Host not found)"},
		{"[nx.test]", "bounced 5.4.4 " + name + "nx.test type=A: Host not found)"},
		{"gone.test", "bounced 5.4.4 " + name + "no.test type=A: Host not found)"},
		{"soft.test", "SITE deferred 4.4.3 " + name + "soft.test type=MX: Host not found, try again)"},
		{"only4.test", "SITE deferred 4.4.3 " + name + "a4.test type=A: Host not found, try again)"},
		{"", `SITE deferred 4.3.5 (null destination: "")`},
		{"[x", `SITE deferred 4.3.5 (missing "]" in server description: [x)`},
		{"a.test:none-such", "SITE deferred 4.3.5 (unknown service: none-such/tcp)"},
		{"a/b", "SITE deferred 4.3.5 (valid hostname or network address required in server description: a/b)"},
	}
	p := params()
	p.Common.InetProtocols = []string{"ipv4"}
	a := newSetup(t, p, r, false)
	for _, tt := range tests {
		if got := a.results(t, request(t, tt.nexthop, "a@b.test")); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.nexthop, got, tt.want)
		}
	}
	a.deps.Relayhost = "nx.test"
	want := "SITE deferred 4.3.5 " + name + "nx.test type=A: Host not found)"
	if got := a.results(t, request(t, "nx.test", "a@b.test")); got != want {
		t.Errorf("relayhost: got %s, want %s", got, want)
	}
}

func TestFallbackRelay(t *testing.T) {
	t.Parallel()
	srv := serve(t, "", nil)
	r := dnstest.Start(t, "self.test. MX 5 self.test.\nself.test. A 127.0.0.1\n").Resolver()
	p := params()
	p.FallbackRelay = []string{"[127.0.0.1]:" + fmt.Sprint(srv.addr.Port())}
	a := newSetup(t, p, r, false)
	if got, want := a.results(t, request(t, "nx.test", "a@b.test")), "sent 2.0.0 (250 2.0.0 Ok: queued as 12345)"; got != want {
		t.Errorf("unknown destination: got %s, want %s", got, want)
	}
	if got, want := a.results(t, request(t, "self.test", "a@b.test")), "bounced 5.4.6 (mail for self.test loops back to myself)"; got != want {
		t.Errorf("own destination: got %s, want %s", got, want)
	}
}
