// Package remote carries delivery requests from the scheduler to agents in
// another process: Client implements deliver.Agent over the socket of a
// service, Server calls an Agent for each request it reads. The message itself
// travels as a read-only descriptor of its queue file, with offset and length:
// an agent's process needs no queue directory.
//
// A connection carries one request at a time and is kept for the next. The
// server answers
//
//	result (one per recipient that has one), end
//
// and the last result may come in one frame with the end. A connection on which
// the server has not read the request has delivered nothing, and neither has one
// that answers "not taken": the request is sent again. One that ends otherwise
// leaves recipients without a result, and they count as deferred.
//
// The package may touch its sockets; it logs only what an agent did wrong.
package remote

import (
	"fmt"
	"os"

	"posthaste/internal/deliver"
	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// The answers of the server; each frame begins with one.
const (
	answerNotTaken = iota // the server is about to leave: ask its successor
	answerResult          // index, status
	answerLast            // the same, and the agent returned nil
	answerDone            // the agent returned nil
	answerSite            // status: the agent returned a *deliver.SiteError
	answerFailure         // text: the agent returned another error
)

func encodeRequest(r *deliver.Request) []byte {
	var e ipc.Encoder
	e.String(string(r.ID))
	e.String(r.Service)
	e.String(r.Nexthop)
	e.Envelope(&r.Envelope)
	e.Int(r.Size)
	e.Int(r.Content.Offset)
	e.Int(r.Content.Length)
	e.Uint(uint64(r.Content.Digest))
	e.Bool(r.Content.Summed)
	e.Uint(uint64(len(r.Recipients)))
	for _, rcpt := range r.Recipients {
		e.Recipient(rcpt)
	}
	return e.Frame()
}

// decodeRequest reads a request; file is its content.
func decodeRequest(frame []byte, file *os.File) (deliver.Request, error) {
	d := ipc.NewDecoder(frame)
	var r deliver.Request
	r.ID = mail.QueueID(d.String())
	r.Service = d.String()
	r.Nexthop = d.String()
	r.Envelope = d.Envelope()
	r.Size = d.Int()
	c := record.Content{File: file, Offset: d.Int(), Length: d.Int()}
	digest := d.Uint()
	c.Digest, c.Summed = uint32(digest), d.Bool()
	if c.Offset < 0 || c.Length < 0 || c.Offset+c.Length < 0 || digest > 0xffffffff {
		d.Fail("bad content region")
	}
	r.Content = c
	for range d.Count() {
		if d.Err() != nil {
			break
		}
		r.Recipients = append(r.Recipients, d.Recipient())
	}
	if d.Err() == nil && !r.ID.Valid() {
		d.Fail("bad queue id")
	}
	return r, d.Done()
}

// answer is one decoded frame of the server.
type answer struct {
	kind   uint64
	index  int
	status mail.Status
	text   string
}

func (a answer) encode() []byte {
	var e ipc.Encoder
	e.Uint(a.kind)
	switch a.kind {
	case answerResult, answerLast:
		e.Uint(uint64(a.index))
		e.Status(a.status)
	case answerSite:
		e.Status(a.status)
	case answerFailure:
		e.String(a.text)
	}
	return e.Frame()
}

// decodeAnswer reads an answer to a request with this many recipients.
func decodeAnswer(frame []byte, recipients int) (answer, error) {
	d := ipc.NewDecoder(frame)
	a := answer{kind: d.Uint()}
	switch a.kind {
	case answerNotTaken, answerDone:
	case answerResult, answerLast:
		n := d.Uint()
		a.status = d.Status()
		if n >= uint64(recipients) {
			d.Fail("result for a recipient that was not asked for")
			break
		}
		a.index = int(n)
	case answerSite:
		a.status = d.Status()
	case answerFailure:
		a.text = d.String()
	default:
		d.Fail("unknown answer")
	}
	return a, d.Done()
}

// descriptor is that of the content's file, to be passed. What the peer gets shares
// the queue file's lock, so that the message stays claimed while an agent works
// on it even when the scheduler's process dies.
func descriptor(c record.Content) (int, error) {
	switch f := c.File.(type) {
	case interface{ Fd() int }:
		return f.Fd(), nil
	case *os.File:
		return int(f.Fd()), nil
	}
	return -1, fmt.Errorf("content of type %T has no descriptor to pass", c.File)
}
