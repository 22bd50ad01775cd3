package local

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"posthaste/internal/mail"
)

// The texts and codes in these tests are those of a real local(8), where it
// gives one result per recipient too.

func TestMailbox(t *testing.T) {
	s := newSite(t)
	s.want("ann@h.test", "2.0.0 delivered to mailbox")
	s.want("Ann+Ext@h.test", "2.0.0 delivered to mailbox")
	s.want("nosuch@h.test", `5.1.1 unknown user: "nosuch"`)
	s.want("nosuch+x@h.test", `5.1.1 unknown user: "nosuch"`)
	s.want("root@h.test", "4.3.5 mail for root is not delivered with superuser rights: set an alias for this name")
	s.want("postmaster@h.test", "2.0.0 discarded")
	s.logged("required alias not found: postmaster")
	if got := s.read("spool/ann"); strings.Count(got, "\nReturn-Path: <s@a.test>\n") != 2 ||
		!strings.Contains(got, "\nX-Original-To: Ann+Ext@h.test\nDelivered-To: Ann+Ext@h.test\nSubject: x\n") {
		t.Errorf("%q", got)
	}
	if !strings.Contains(strings.Join(s.worker.jobs, "\n"), fmt.Sprintf("write %d ", annGID)) {
		t.Errorf("%q", s.worker.jobs)
	}
	s.params.HomeMailbox = "Mail/dir/"
	s.want("bob@h.test", "2.0.0 delivered to maildir")
	s.params.HomeMailbox, s.params.SpoolDirectory = "", s.dir+"/spool/"
	s.want("bob@h.test", "2.0.0 delivered to maildir")
}

func TestMailboxTrouble(t *testing.T) {
	s := newSite(t)
	s.params.MailboxLimit = 10
	s.want("ann@h.test", "5.2.2 cannot update mailbox DIR/spool/ann for user ann. error writing message: File too large")
	s.params.MailboxLimit = 0
	s.write("spool/x", "")
	os.Link(s.dir+"/spool/x", s.dir+"/spool/bob")
	s.want("bob@h.test", "5.2.0 cannot update mailbox DIR/spool/bob for user bob. file has 2 hard links")
	os.Remove(s.dir + "/spool/bob")
	os.Symlink(s.dir+"/spool/x", s.dir+"/spool/bob")
	s.want("bob@h.test", "5.2.0 cannot update mailbox DIR/spool/bob for user bob. file is a symbolic link")
	os.Remove(s.dir + "/spool/bob")
	os.Mkdir(s.dir+"/spool/bob", 0o755)
	s.want("bob@h.test", "5.2.0 cannot update mailbox DIR/spool/bob for user bob. cannot open file: Is a directory")
	s.params.RequireHome = true
	os.Remove(s.dir + "/home/bob")
	s.want("bob@h.test", "4.3.0 cannot access home directory DIR/home/bob of user bob: No such file or directory")
	os.Remove(s.dir + "/passwd")
	s.want("bob@h.test", "4.3.0 user lookup error")
}

func TestAliases(t *testing.T) {
	s := newSite(t)
	s.aliases["one"] = "ann"
	s.aliases["deep"] = "One"
	s.aliases["rem"] = "x@b.test"
	s.aliases["two"] = "x@b.test, y@c.test, ann"
	s.aliases["self"] = "self, ann"
	s.aliases["ann+tag"] = "bob"
	s.aliases["dup"] = "ann, ANN, ann@h.test"
	s.aliases["loopa"] = "loopb"
	s.aliases["loopb"] = "loopa"
	s.aliases["unk"] = "nosuch"
	s.aliases["empty"] = " , "
	s.aliases["tempfail"] = "x@defer.test"
	s.want("one@h.test", "2.0.0 delivered to mailbox")
	s.want("one+ext@h.test", "2.0.0 delivered to mailbox")
	s.want("deep@h.test", "2.0.0 delivered to mailbox")
	s.want("ann+tag@h.test", "2.0.0 delivered to mailbox")
	if s.read("spool/bob") == "" || strings.Count(s.read("spool/ann"), "\nDelivered-To: ") != 3 {
		t.Errorf("ann %q, bob %q", s.read("spool/ann"), s.read("spool/bob"))
	}
	s.want("loopa@h.test", "5.4.6 alias database loop for loopb")
	s.logged("alias database loop for loopb")
	s.want("unk@h.test", `5.1.1 unknown user: "nosuch"`)
	s.want("empty@h.test", "5.3.5 mail system configuration error")
	s.want("tempfail@h.test", "4.3.0 address resolver failure")
	s.want("rem@h.test", "2.0.0 forwarded as NEW1")
	s.want("two@h.test", "2.0.0 forwarded as NEW2")
	if got, want := s.forwarded(), "s@a.test: x@b.test; s@a.test: x@b.test y@c.test ann@h.test"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	f := s.sent[1]
	if len(f.Headers) != 1 || f.Headers[0] != "Delivered-To: two@h.test" || f.Recipients[0].Original != "two@h.test" || f.Recipients[0].Notify != mail.NotifyFailure {
		t.Errorf("%+v", f)
	}
	s.sent = nil
	// The name in its own expansion means the user, and self is none.
	s.want("self@h.test", `5.1.1 unknown user: "self"`)
	if got := s.forwarded(); got != "s@a.test: ann@h.test" {
		t.Error(got)
	}
}

func TestPropagatedExtension(t *testing.T) {
	s := newSite(t)
	s.propagate = []string{"alias", "forward"}
	s.aliases["rem"] = "x@b.test"
	s.write("home/ann/.forward", "y@b.test\n")
	s.write("home/ann/.forward+own", "z@b.test\n")
	for _, to := range []mail.Address{"rem+tag@h.test", "rem@h.test", "ann+tag@h.test", "ann+own@h.test"} {
		s.send(to)
	}
	if got, want := s.forwarded(), "s@a.test: x+tag@b.test; s@a.test: x@b.test; s@a.test: y+tag@b.test; s@a.test: z@b.test"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestForwardFailure(t *testing.T) {
	s := newSite(t)
	s.aliases["rem"] = "x@b.test"
	s.refuse = &mail.Error{Reply: 452, Code: "4.3.1", Text: "no space"}
	s.want("rem@h.test", "4.3.0 unable to forward message")
	s.refuse = &mail.Error{Reply: 554, Code: "5.4.0", Text: "too many hops"}
	s.want("rem@h.test", "5.4.0 too many hops")
}

func TestOwnerAliases(t *testing.T) {
	s := newSite(t)
	s.aliases["lst"] = "ann, x@b.test"
	s.aliases["owner-lst"] = "bob, boss@b.test"
	s.aliases["one"] = "ann"
	s.aliases["owner-one"] = "bob"
	s.aliases["outer"] = "inner"
	s.aliases["owner-outer"] = "bob"
	s.aliases["inner"] = "x@b.test"
	s.want("lst@h.test", "2.0.0 forwarded as NEW1")
	s.want("one@h.test", "2.0.0 forwarded as NEW2")
	if got, want := s.forwarded(), "owner-lst@h.test: ann@h.test x@b.test; owner-one@h.test: ann@h.test"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if r := s.sent[0].Recipients[0]; r.Notify != 0 || r.DSNOriginal != "" {
		t.Errorf("%+v", r)
	}
	s.params.ExpandOwnerAlias, s.sent = true, nil
	s.want("one@h.test", "2.0.0 forwarded as NEW1")
	if got := s.forwarded(); got != "bob@h.test: ann@h.test" {
		t.Error(got)
	}
}

func TestCommandsAndFiles(t *testing.T) {
	s := newSite(t)
	out := s.dir + "/files/out"
	s.aliases["cmd"] = `"|cat > ` + out + `"`
	s.aliases["fail"] = `"|echo oops; exit 75"`
	s.aliases["file"] = s.dir + "/files/box"
	s.aliases["md"] = s.dir + "/files/md/"
	s.aliases["nofile"] = s.dir + "/none/out"
	s.aliases["null"] = "/dev/null"
	s.aliases["mixed"] = `ann, "|exit 0"`
	s.want("cmd@h.test", "2.0.0 delivered to command: cat > DIR/files/out")
	s.want("fail@h.test", "4.3.0 temporary failure. Command output: oops ")
	s.want("file@h.test", "2.0.0 delivered to file: DIR/files/box")
	s.want("md@h.test", "2.0.0 delivered to maildir")
	s.want("nofile@h.test", "5.2.0 cannot append message to file DIR/none/out: cannot create file exclusively: No such file or directory")
	s.logged("unable to create lock file DIR/none/out.lock: No such file or directory")
	s.want("null@h.test", "2.0.0 delivered to file: /dev/null")
	s.want("mixed@h.test", "2.0.0 delivered to command: exit 0; delivered to mailbox")
	for _, job := range s.worker.jobs {
		if strings.HasPrefix(job, "run") && !strings.HasPrefix(job, fmt.Sprintf("run %d ", genGID)) {
			t.Errorf("a command of an alias ran with the wrong rights: %s", job)
		}
	}
	if got := s.read("files/out"); !strings.HasPrefix(got, "From s@a.test  ") || !strings.Contains(got, "\nDelivered-To: cmd@h.test\n") || strings.HasSuffix(got, "\n\n") {
		t.Errorf("%q", got)
	}
	s.params.PrependDelivered = nil
	s.want("file@h.test", "2.0.0 delivered to file: DIR/files/box")
	if got := s.read("files/box"); strings.Count(got, "Delivered-To") != 1 {
		t.Errorf("%q", got)
	}
	s.params.AllowCommands, s.params.AllowFiles = nil, nil
	s.want("cmd@h.test", "5.7.1 mail to command is restricted")
	s.want("file@h.test", "5.7.1 mail to file is restricted")
}

func TestIncludes(t *testing.T) {
	s := newSite(t)
	list := s.write("list", "# members\nann, x@b.test\n\n  y@c.test (why)\n")
	nested := s.write("nested", "z@d.test\n:include:"+list+"\n")
	loop := s.write("loop", "\":include:"+s.dir+"/loop\"\n")
	danger := s.write("danger", "\"|touch "+s.dir+"/canary\", "+s.dir+"/canary\n")
	world := s.write("world", "ann\n")
	os.Chmod(world, 0o666)
	unix.Mkfifo(s.dir+"/fifo", 0o600)
	s.aliases["list"] = ":include:" + list
	s.aliases["nested"] = ":include:" + nested
	s.aliases["loop"] = ":include:" + loop
	s.aliases["danger"] = ":include:" + danger
	s.aliases["world"] = ":include:" + world
	s.aliases["none"] = ":include:" + s.dir + "/nosuch"
	s.aliases["rel"] = ":include:rel/path"
	s.aliases["fifo"] = ":include:" + s.dir + "/fifo"
	s.want("list@h.test", "2.0.0 forwarded as NEW1")
	s.want("nested@h.test", "2.0.0 forwarded as NEW2")
	if got, want := s.forwarded(), "s@a.test: ann@h.test x@b.test y@c.test; s@a.test: ann@h.test x@b.test y@c.test z@d.test"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// Security catalogue A13, F7.
	s.want("loop@h.test", "5.4.6 :include: loop for loop")
	s.want("danger@h.test", "5.7.1 mail to command is restricted")
	for to, warning := range map[mail.Address]string{
		"world": ":include: file DIR/world is world writable",
		"none":  "unable to lookup :include: file DIR/nosuch: No such file or directory",
		"rel":   ":include:rel/path uses a relative path",
		"fifo":  ":include: file DIR/fifo is not a regular file",
	} {
		s.want(to+"@h.test", "5.3.5 mail system configuration error")
		s.logged(warning)
	}
	if s.read("canary") != "" || len(s.sent) != 2 {
		t.Errorf("a restricted destination was used: %s", s.forwarded())
	}
	if _, err := os.Stat(s.dir + "/canary"); err == nil {
		t.Error("the canary is there")
	}
}

func TestDeepIncludesEnd(t *testing.T) {
	s := newSite(t)
	for i := range 200 {
		s.write(fmt.Sprintf("inc%d", i), fmt.Sprintf(":include:%s/inc%d\n", s.dir, i+1))
	}
	s.aliases["deep"] = ":include:" + s.dir + "/inc0"
	s.want("deep@h.test", "5.4.6 :include: loop for deep")
	for i := range 200 {
		s.aliases[fmt.Sprintf("d%d", i)] = fmt.Sprintf("d%d", i+1)
	}
	s.want("d0@h.test", "5.4.6 possible alias database loop for d100")
}

func TestTooManyDestinations(t *testing.T) {
	s := newSite(t)
	var list strings.Builder
	for i := range maxDestinations + 10 {
		fmt.Fprintf(&list, "u%d@b.test\n", i)
	}
	s.aliases["big"] = ":include:" + s.write("big", list.String()[:100_000])
	s.aliases["many"] = ":include:" + s.write("many", list.String())
	s.want("big@h.test", "2.0.0 forwarded as NEW1")
	s.want("many@h.test", fmt.Sprintf("4.3.0 more than %d destinations for many@h.test", maxDestinations))
	if len(s.sent) != 1 || len(s.sent[0].Recipients) < 5000 {
		t.Errorf("%d messages", len(s.sent))
	}
}

func TestDotForward(t *testing.T) {
	s := newSite(t)
	s.write("home/ann/.forward", "x@b.test\n")
	s.want("ann@h.test", "2.0.0 forwarded as NEW1")
	s.write("home/ann/.forward", "\\ann, x@b.test, bob\n")
	s.want("ann@h.test", "2.0.0 delivered to mailbox; forwarded as NEW2")
	s.write("home/ann/.forward", "ann\n")
	s.want("ann@h.test", "2.0.0 delivered to mailbox")
	s.write("home/ann/.forward", "\n# nothing\n")
	s.want("ann@h.test", "2.0.0 delivered to mailbox")
	s.write("home/ann/.forward", `"|exit 0"`+"\n")
	s.want("ann@h.test", "2.0.0 delivered to command: exit 0")
	s.write("home/ann/.forward+tag", "tagged@b.test\n")
	s.want("ann+tag@h.test", "2.0.0 forwarded as NEW3")
	s.want("ann+none@h.test", "2.0.0 delivered to command: exit 0")
	if got, want := s.forwarded(), "s@a.test: x@b.test; s@a.test: x@b.test bob@h.test; s@a.test: tagged@b.test"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, job := range s.worker.jobs {
		if !strings.Contains(job, fmt.Sprint(" ", annGID, " ")) {
			t.Errorf("not with the rights of the user: %s", job)
		}
	}
	// The user's commands know the user.
	env := strings.Join(s.worker.envs[0], "\n")
	if !strings.Contains(env, "HOME="+s.dir+"/home/ann") || !strings.Contains(env, "SHELL=/bin/zsh") {
		t.Errorf("%q", env)
	}
}

// Security catalogue F7: a file that others may have written is not followed.
func TestUntrustedDotForward(t *testing.T) {
	s := newSite(t)
	path := s.write("home/ann/.forward", "evil@b.test\n")
	os.Chmod(path, 0o666)
	s.want("ann@h.test", "2.0.0 delivered to mailbox")
	s.logged("file DIR/home/ann/.forward is world writable")
	os.Remove(path)
	os.Symlink(s.write("elsewhere", "evil@b.test\n"), path)
	s.want("ann@h.test", "2.0.0 delivered to mailbox")
	s.logged("file DIR/home/ann/.forward is not a regular file")
	os.Remove(path)
	unix.Mkfifo(path, 0o644)
	s.want("ann@h.test", "2.0.0 delivered to mailbox")
	os.Remove(path)
	s.write("home/ann/.forward", strings.Repeat("evil@b.test,\n", maxList/10))
	s.want("ann@h.test", "2.0.0 delivered to mailbox")
	s.logged("is larger than")
	if os.Geteuid() == 0 {
		s.write("home/ann/.forward", "evil@b.test\n")
		os.Chown(path, 54321, 54321)
		s.want("ann@h.test", "2.0.0 delivered to mailbox")
		s.logged("file DIR/home/ann/.forward has bad owner uid 54321")
	}
	os.Remove(path)
	s.write("home/ann/.forward", "x@b.test\x00evil\n")
	s.send("ann@h.test")
	// An extension cannot lead out of the home directory.
	s.write("secret", "evil@b.test\n")
	s.params.ForwardPath = "$home/$extension"
	s.want("ann+../../secret@h.test", "2.0.0 delivered to mailbox")
	if strings.Contains(s.forwarded(), "evil@b.test") {
		t.Error(s.forwarded())
	}
}

func TestDeliveredToStopsLoops(t *testing.T) {
	s := newSite(t)
	s.text = "Subject: x\nDELIVERED-to:\n  Ann@H.test \n\nDelivered-To: bob@h.test\n"
	s.want("ann@h.test", "5.4.6 mail forwarding loop for ann@h.test")
	s.want("bob@h.test", "2.0.0 delivered to mailbox")
	s.aliases["a"] = "ann"
	s.want("a@h.test", "5.4.6 mail forwarding loop for ann@h.test")
}

// Security catalogue F1: whatever a sender chooses, the shell sees harmless text.
func TestEnvironmentIsFiltered(t *testing.T) {
	s := newSite(t)
	canary := s.dir + "/canary"
	s.env.Sender = mail.Address("$(touch " + canary + ")`id`;'\"\n@a.test")
	s.env.Origin.Client = mail.Client{Name: "() { :;}; touch x", Address: "192.0.2.1", Helo: "a b", Protocol: "ESMTP"}
	s.env.Origin.SASLUsername = "us er"
	s.params.Command = `eval "echo $SENDER ` + "$" + `{extension}"`
	s.aliases["cmd"] = `"|eval echo $SENDER $RECIPIENT $CLIENT_HOSTNAME"`
	st := s.send("cmd@h.test")
	if st.Action != mail.Delivered {
		t.Errorf("%+v", st)
	}
	for _, env := range s.worker.envs {
		for _, e := range env {
			_, value, _ := strings.Cut(e, "=")
			if strings.Trim(value, filterChars) != "" {
				t.Errorf("%q", e)
			}
		}
		if got := strings.Join(env, " "); !strings.HasPrefix(got, "PATH=/usr/bin:/bin TZ=UTC USER=cmd LOGNAME=cmd LOCAL=cmd DOMAIN=h.test RECIPIENT=cmd@h.test ORIGINAL_RECIPIENT=cmd@h.test SENDER=__touch_") {
			t.Errorf("%q", got)
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("the canary is there")
	}
}

func TestMailboxCommand(t *testing.T) {
	s := newSite(t)
	s.params.Command = `echo "$USER|$EXTENSION|$DOMAIN|$LOCAL|$nosuch" > ` + s.dir + "/files/out"
	s.want("ann+x;y@h.test", `2.0.0 delivered to command: echo "$USER|$EXTENSION|$DOMAIN|$LOCAL|$nosuch" > DIR/files/out`)
	if got := s.read("files/out"); got != "ann|x_y|h.test|ann+x_y|\n" {
		t.Errorf("%q", got)
	}
	s.params.CommandMaps = "test:commands"
	s.tables["test:commands"] = map[string]string{"bob": "exit 77"}
	s.want("bob@h.test", "5.7.0 permission denied")
	// Root's mail goes to the command with harmless rights.
	s.params.Command = "true"
	s.want("root@h.test", "2.0.0 delivered to command: true")
	if last := s.worker.jobs[len(s.worker.jobs)-1]; last != fmt.Sprintf("run %d true", genGID) {
		t.Errorf("%s", last)
	}
}

func TestTransports(t *testing.T) {
	s := newSite(t)
	s.params.Transport = "lmtp:unix:private/store"
	if st := s.send("nosuch@h.test"); st.Relay != "store[private/lmtp]" || st.Code != "2.1.5" {
		t.Errorf("%+v", st)
	}
	if r := s.passed[0]; r.Service != "lmtp" || r.Nexthop != "unix:private/store" || r.Recipients[0].Address != "nosuch@h.test" {
		t.Errorf("%+v", r)
	}
	s.params.Transport = ""
	s.params.FallbackTransport = "lmtp"
	s.want("ann@h.test", "2.0.0 delivered to mailbox")
	if st := s.send("nosuch@h.test"); st.Relay != "store[private/lmtp]" || s.passed[1].Nexthop != "h.test" {
		t.Errorf("%+v, %+v", st, s.passed)
	}
	s.params.FallbackTransport = "none"
	s.want("nosuch@h.test", "4.3.0 mail transport unavailable")
	s.params.TransportMaps = "test:broken"
	s.want("ann@h.test", "4.3.5 mail system configuration error")
}

func TestLuserRelay(t *testing.T) {
	s := newSite(t)
	s.params.LuserRelay = "$user+lost@b.test"
	s.want("nosuch@h.test", "2.0.0 forwarded as NEW1")
	if got := s.forwarded(); got != "s@a.test: nosuch+lost@b.test" {
		t.Error(got)
	}
	s.params.LuserRelay = "ann"
	s.want("nosuch@h.test", "2.0.0 delivered to mailbox")
	s.params.LuserRelay = "nobody-here+$local"
	s.want("nosuch@h.test", `5.1.1 unknown user: "nobody-here"`)
}

func TestBrokenAliasTableDefers(t *testing.T) {
	s := newSite(t)
	s.params.Common.AliasMaps = "test:none, test:broken"
	s.want("ann@h.test", "4.3.0 alias database unavailable")
}

func TestProbe(t *testing.T) {
	s := newSite(t)
	s.env.Trace = mail.TraceProbe
	s.aliases["rem"] = "x@b.test"
	s.aliases["cmd"] = "|false"
	s.aliases["file"] = "/nonexistent"
	for to, want := range map[mail.Address]string{
		"ann": "delivers to mailbox", "rem": "forwards to x@b.test", "cmd": "delivers to command: false", "file": "delivers to file: /nonexistent",
	} {
		if st := s.send(to + "@h.test"); st.Action != mail.Deliverable || st.Reason != want {
			t.Errorf("%s: %+v", to, st)
		}
	}
	if st := s.send("nosuch@h.test"); st.Action != mail.Undeliverable {
		t.Errorf("%+v", st)
	}
	if s.read("spool/ann") != "" || len(s.sent) > 0 {
		t.Error("something was delivered")
	}
}

func TestBadParameters(t *testing.T) {
	for want, change := range map[string]func(*Params){
		"mailbox_delivery_lock":    func(p *Params) { p.MailboxLock = []string{"lockf"} },
		"allow_mail_to_commands":   func(p *Params) { p.AllowCommands = []string{"aliases"} },
		"allow_mail_to_files":      func(p *Params) { p.AllowFiles = []string{"x"} },
		"prepend_delivered_header": func(p *Params) { p.PrependDelivered = []string{"x"} },
	} {
		s := newSite(t)
		change(&s.params)
		if _, err := New(s.params, Deps{Tables: s}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestPartsOfAnAlias shows that each destination of an alias has its result,
// and that success is reported at the alias only.
func TestPartsOfAnAlias(t *testing.T) {
	s := newSite(t)
	s.tables["test:aliases"] = map[string]string{"some": "nosuch, |exit 0", "one": "nosuch"}
	var got []string
	for _, p := range s.send("some@h.test").Parts {
		got = append(got, fmt.Sprintf("%s from %s notify %d: %s %v", p.Recipient.Address, p.Recipient.Original, p.Recipient.Notify, p.Status.Reason, p.Unlogged))
	}
	want := []string{
		"some@h.test from some@h.test notify 6: alias expanded true",
		"some@h.test from some@h.test notify 4: delivered to command: exit 0 false",
		`nosuch@h.test from some@h.test notify 4: unknown user: "nosuch" false`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if st := s.send("nosuch@h.test"); st.Parts != nil {
		t.Errorf("a plain user has parts: %+v", st.Parts)
	}
}
