package run

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"

	"posthaste/internal/table"
)

// flushParams are the main.cf parameters of deliveries on demand.
type flushParams struct {
	Domains string `cf:"fast_flush_domains" default:"$relay_domains" doc:"Domains for which ETRN and postqueue -s start deliveries."`
}

// flushSocket is where the flush service listens, below the queue directory.
const flushSocket = "public/flush"

// flusher asks the flush service for deliveries to a domain, for ETRN.
func (r *row) flusher() (func(ctx context.Context, domain string) (ok bool, err error), error) {
	var p flushParams
	if err := r.snap.Bind(&p); err != nil {
		return nil, err
	}
	domains := table.NewDomainList(r.tables, "fast_flush_domains", p.Domains,
		table.ParentMatches(r.tables, r.common.ParentMatches, "fast_flush_domains"))
	return func(ctx context.Context, domain string) (bool, error) {
		ok, err := domains.Match(ctx, domain)
		if !ok || err != nil {
			return false, err
		}
		return true, flushSite(domain)
	}, nil
}

// flushSite is the client of flushServer.
func flushSite(domain string) error {
	c, err := net.DialTimeout("unix", flushSocket, triggerTime)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(triggerTime))
	in := bufio.NewReader(c)
	if _, err := readAttributes(in); err != nil { // which protocol it speaks
		return err
	}
	out := attributes{bufio.NewWriter(c)}
	out.put("request", "send_site")
	out.put("site", domain)
	out.end()
	if err := out.Flush(); err != nil {
		return err
	}
	answer, err := readAttributes(in)
	if err == nil && answer["status"] != "0" {
		err = fmt.Errorf("%s: status %q", flushSocket, answer["status"])
	}
	return err
}
