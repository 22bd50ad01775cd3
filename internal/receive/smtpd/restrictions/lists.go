package restrictions

import (
	"context"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
)

// The methods below answer with nil, or with the reply that refuses.

// Connect checks the client list when a client connects.
func (c *Checker) Connect(ctx context.Context, q *Request) *smtp.Reply {
	if c.p.DelayReject {
		return nil
	}
	return c.early(ctx, q, clientList, &q.Deferred.client)
}

// Helo checks the helo list at HELO and EHLO.
func (c *Checker) HeloCommand(ctx context.Context, q *Request) *smtp.Reply {
	if c.p.DelayReject {
		return nil
	}
	return c.early(ctx, q, heloList, &q.Deferred.helo)
}

// Mail checks the sender list at MAIL FROM.
func (c *Checker) Mail(ctx context.Context, q *Request) *smtp.Reply {
	if c.p.DelayReject {
		return nil
	}
	return c.early(ctx, q, senderList, &q.Deferred.sender)
}

func (c *Checker) early(ctx context.Context, q *Request, id listID, saved **smtp.Reply) *smtp.Reply {
	e := &eval{ctx: ctx, c: c, q: q}
	res := e.top(id)
	if id == senderList && res != reject {
		res = e.unlistedSenderDefault(res)
	}
	*saved = e.deferIfPermit
	return e.answer(res)
}

func (e *eval) answer(res result) *smtp.Reply {
	if res == reject {
		return &e.reply
	}
	return nil
}

// Rcpt checks everything that is checked at RCPT TO; it also serves VRFY.
func (c *Checker) Rcpt(ctx context.Context, q *Request) *smtp.Reply {
	e := &eval{ctx: ctx, c: c, q: q}
	if c.p.DelayReject {
		if res := e.delayed(); res == reject {
			return &e.reply
		}
	} else {
		e.deferIfPermit = firstReply(q.Deferred.client, q.Deferred.helo, q.Deferred.sender)
	}
	// Mail for the postmaster of this system is always taken (RFC 5321
	// section 4.5.1).
	if strings.EqualFold(string(q.Recipient), "postmaster") {
		return nil
	}
	order := [2]listID{recipientList, relayList}
	if c.p.RelayFirst {
		order = [2]listID{relayList, recipientList}
	}
	for _, id := range order {
		if e.top(id) == reject {
			return &e.reply
		}
	}
	if c.p.RejectUnlistedRcpt && !e.unlistedDone {
		e.list = recipientList
		if e.unlisted(q.Recipient, false) == reject {
			return &e.reply
		}
	}
	return e.deferral()
}

// delayed checks the lists that smtpd_delay_reject moved to RCPT TO.
func (e *eval) delayed() result {
	if e.top(clientList) == reject {
		return reject
	}
	if e.q.Helo != "" && e.top(heloList) == reject {
		return reject
	}
	if !e.q.HasSender {
		return dunno // VRFY outside a transaction
	}
	return e.unlistedSenderDefault(e.top(senderList))
}

func (e *eval) unlistedSenderDefault(res result) result {
	if res == reject || !e.c.p.RejectUnlistedFrom || e.fromDone || e.q.Sender == "" {
		return res
	}
	e.list = senderList
	return e.unlisted(e.q.Sender, true)
}

// Data checks the data list at DATA, and at the first BDAT.
func (c *Checker) DataCommand(ctx context.Context, q *Request) *smtp.Reply {
	return c.late(ctx, q, dataList)
}

// EndOfMessage checks the end_of_data list when the content has arrived.
func (c *Checker) EndOfMessage(ctx context.Context, q *Request) *smtp.Reply {
	return c.late(ctx, q, endOfDataList)
}

// ETRN checks the client and helo lists, if they are delayed, and the etrn list.
func (c *Checker) ETRN(ctx context.Context, q *Request) *smtp.Reply {
	e := &eval{ctx: ctx, c: c, q: q}
	if c.p.DelayReject {
		if e.top(clientList) == reject || e.q.Helo != "" && e.top(heloList) == reject {
			return &e.reply
		}
	}
	if e.top(etrnList) == reject {
		return &e.reply
	}
	return e.deferral()
}

func (c *Checker) late(ctx context.Context, q *Request, id listID) *smtp.Reply {
	if len(c.lists[id]) == 0 {
		return nil
	}
	e := &eval{ctx: ctx, c: c, q: q}
	if e.top(id) == reject {
		return &e.reply
	}
	return e.deferral()
}

// deferral applies defer_if_permit, now that nothing has refused.
func (e *eval) deferral() *smtp.Reply {
	if e.deferIfPermit == nil {
		return nil
	}
	if e.q.Blame != nil {
		e.q.Blame(mail.TroublePolicy)
	}
	e.q.Report("reject", e.deferIfPermit.String())
	return e.deferIfPermit
}

func firstReply(replies ...*smtp.Reply) *smtp.Reply {
	for _, r := range replies {
		if r != nil {
			return r
		}
	}
	return nil
}
