package setgid

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"

	"posthaste/internal/getopt"
	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/selection"
	"posthaste/internal/showq"
	"posthaste/internal/table"
)

var postqueueHelp = help{"postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site | postqueue [-j] --where expression", []string{
	"-c DIR   configuration directory",
	"-f       try to deliver all queued mail now",
	"-i ID    try to deliver the message with this queue id now",
	"-j       list the queue, one JSON object per message",
	"-p       list the queue as mailq does",
	"-s SITE  try to deliver all mail for a site now (fast_flush_domains)",
	"-v       accepted; nothing more is logged",
	"--where EXPRESSION",
	"         list only the messages that are meant by comparisons of the fields",
	"         sender, recipient, domain, queue, reason, client, id (= != ~ !~), size",
	"         and age (= != < > <= >=), with and, or, not and parentheses:",
	"         'domain = example.com and (age > 2h or size >= 10M) and not reason ~ timeout'",
}}

// Postqueue is postqueue(1): it lists the queue and asks for deliveries. It
// returns the exit status: 0, or 69 for every failure, as Postfix's does.
func Postqueue(env Env) int {
	c := &command{Env: env, name: "postqueue", code: exitUnavailable}
	return c.run(postqueueHelp, c.postqueue)
}

func (c *command) postqueue() error {
	usage := c.fail("usage: %s", c.usage)
	args, where, chosen := getopt.TakeLong(getopt.JoinLong(c.Args[min(1, len(c.Args)):], "--where"), "--where")
	options, dir := getopt.New(args, "c!fi:jps:v"), ""
	var mode byte
	var target string
	for {
		flag, value, err := options.Next()
		if err == io.EOF {
			break
		}
		switch {
		case err != nil:
			return err
		case flag == 'c':
			dir = value
		case flag == 'v':
		case mode != 0:
			return usage
		default:
			mode, target = flag, value
		}
	}
	if mode == 0 && chosen > 0 {
		mode = 'p'
	}
	if len(options.Rest()) > 0 || mode == 0 || chosen > 1 || chosen > 0 && mode != 'p' && mode != 'j' {
		return usage
	}
	var expr *selection.Expr
	if chosen > 0 {
		var err error
		if expr, err = selection.Parse(where); err != nil {
			return c.fail("--where: %s", err)
		}
	}
	if err := c.open(dir); err != nil {
		return err
	}
	switch mode {
	case 'p', 'j':
		return c.list(mode == 'j', expr)
	case 'f':
		return c.flush()
	case 'i':
		return c.flushMessage(target)
	}
	return c.flushSite(target)
}

// authorize checks the caller against a list. Root and mail_owner always may.
func (c *command) authorize(param, list, what string) error {
	if c.trusted() {
		return nil
	}
	name, err := Refused(tables{}, param, list, c.UID)
	if err != nil {
		return err
	}
	if name != "" {
		return c.fail("User %s(%d) is not allowed to %s the mail queue", name, c.UID, what)
	}
	return nil
}

// connectTime bounds waiting for a busy service.
const connectTime = time.Minute

// list prints the queue, or what of it an expression means. Nothing of it is
// kept: a million messages take no more memory than one.
func (c *command) list(json bool, expr *selection.Expr) error {
	if err := c.authorize("authorized_mailq_users", c.p.MailqUsers, "view"); err != nil {
		return err
	}
	out := bufio.NewWriterSize(output{c.Stdout}, 64<<10)
	var printer interface {
		showq.Printer
		Finish() error
	} = showq.NewText(out, c.p.Common.LongQueueIDs)
	if json {
		printer = showq.NewJSON(out)
	}
	var to showq.Printer = printer
	if expr != nil {
		to = showq.Filter(expr, time.Now(), printer)
	}
	err := c.readList(to, expr != nil && expr.Uses(selection.Client))
	if err != nil {
		out.Flush()
		return err
	}
	return printer.Finish()
}

// output is standard output, with Postfix's text for what it does not take.
type output struct{ io.Writer }

func (o output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if err != nil {
		err = fmt.Errorf("output write error: %s", table.ErrorText(err))
	}
	return n, err
}

// readList reads the listing of the mail system, with clients from the socket
// that tells them, or the queue itself.
func (c *command) readList(p showq.Printer, clients bool) error {
	socket := "public/" + c.p.PublicShowq
	if clients {
		socket += showq.ClientsSuffix
	}
	conn, err := net.DialTimeout("unix", socket, connectTime)
	switch {
	case err == nil:
		defer conn.Close()
		return showq.Read(conn, p)
	case errors.Is(err, fs.ErrPermission):
		return &failure{exitSoftware, "Connect to the " + c.p.Common.MailName + " showq service: " + table.ErrorText(err)}
	case c.EUID != 0 && (c.Raised || !c.isOwner(c.EUID)):
		return c.fail("Queue report unavailable - mail system is down (Connect to the %s showq service: %s)",
			c.p.Common.MailName, table.ErrorText(err))
	}
	c.warn("Mail system is down -- accessing queue directly (Connect to the %s showq service: %s)",
		c.p.Common.MailName, table.ErrorText(err))
	return c.readQueue(p)
}

// readQueue prints the queue as it lies there.
func (c *command) readQueue(p showq.Printer) error {
	q, err := queue.New(queue.Options{FS: queue.DirFS("."), HashNames: c.p.Common.HashQueueNames,
		HashDepth: c.p.Common.HashQueueDepth})
	if err != nil {
		return err
	}
	return showq.ReadQueue(q, false, c.warn, p)
}

const notConfigured = "Flush service is not configured for destination \"%s\""

const mailSystemDown = "Cannot flush mail queue - mail system is down"

// flush asks the queue manager to try everything.
func (c *command) flush() error {
	if err := c.authorize("authorized_flush_users", c.p.FlushUsers, "flush"); err != nil {
		return err
	}
	name := "public/" + c.p.PublicQmgr
	err := ipc.Trigger(name, "DFA", c.p.TriggerTimeout)
	if errors.Is(err, fs.ErrNotExist) {
		c.warn("unable to look up %s: %s", name, table.ErrorText(err))
	}
	if err != nil {
		return c.fail("%s", mailSystemDown)
	}
	return nil
}

func (c *command) flushMessage(id string) error {
	if !mail.QueueID(id).Valid() {
		return c.fail("Cannot flush queue ID - invalid name: \"%s\"", short(id))
	}
	if err := c.authorize("authorized_flush_users", c.p.FlushUsers, "flush"); err != nil {
		return err
	}
	return c.ask(id, "send_file", "queue_id", id)
}

func (c *command) flushSite(site string) error {
	if !isSite(site) {
		return c.fail("Cannot flush mail queue - invalid destination: \"%s\"", short(site))
	}
	if err := c.authorize("authorized_flush_users", c.p.FlushUsers, "flush"); err != nil {
		return err
	}
	parents, _ := c.snap.Get("parent_domain_matches_subdomains")
	list := table.NewDomainList(tables{}, "fast_flush_domains", c.p.Common.FastFlushDomains,
		table.ParentMatches(tables{}, parents, "fast_flush_domains"))
	eligible, err := list.Match(context.Background(), site)
	if err != nil {
		return err
	}
	if !eligible {
		return c.fail(notConfigured, short(site))
	}
	return c.ask(site, "send_site", "site", site)
}

// short cuts what the user wrote for a message, and shows that it did.
func short(text string) string {
	const limit = 100
	if len(text) <= limit {
		return text
	}
	return text[:limit] + "..."
}

// isSite tells whether a site is a host name or an address literal.
func isSite(site string) bool {
	if in, ok := strings.CutPrefix(site, "["); ok {
		in, ok = strings.CutSuffix(in, "]")
		if v6 := "ipv6:"; len(in) > len(v6) && strings.EqualFold(in[:len(v6)], v6) {
			in = in[len(v6):]
		}
		return ok && net.ParseIP(in) != nil
	}
	if site == "" || len(site) > 255 || net.ParseIP(site) != nil {
		return false
	}
	for label := range strings.SplitSeq(site, ".") {
		bad := func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
		}
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, bad) {
			return false
		}
	}
	return true
}

// ask sends one request to the flush service.
func (c *command) ask(target, request, name, value string) error {
	socket := "public/" + c.p.PublicFlush
	answer, err := ipc.Ask(socket, connectTime, "request", request, name, value)
	switch {
	case err != nil:
		c.warn("connect to %s: %s", socket, table.ErrorText(err))
		return c.fail("%s", mailSystemDown)
	case answer["status"] == "-1":
		return c.fail("%s", mailSystemDown)
	case answer["status"] == "3":
		return c.fail("Cannot flush mail queue - invalid request: \"%s\"", short(target))
	case answer["status"] == "4":
		return c.fail(notConfigured, short(target))
	}
	return nil
}
