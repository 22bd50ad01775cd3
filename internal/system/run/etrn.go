package run

import (
	"context"
	"fmt"

	"posthaste/internal/ipc"
	"posthaste/internal/table"
)

// flushSocket is where the flush service listens, below the queue directory.
const flushSocket = "public/flush"

// flushDomains are the sites that may ask for their mail.
func (r *row) flushDomains() *table.DomainList {
	return table.NewDomainList(r.tables, "fast_flush_domains", r.common.FastFlushDomains,
		table.ParentMatches(r.tables, r.common.ParentMatches, "fast_flush_domains"))
}

// flusher asks the flush service for deliveries to a domain, for ETRN.
func (r *row) flusher() (func(ctx context.Context, domain string) (ok bool, err error), error) {
	domains := r.flushDomains()
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
	answer, err := ipc.Ask(flushSocket, triggerTime, "request", "send_site", "site", domain)
	if err == nil && answer["status"] != "0" {
		err = fmt.Errorf("%s: status %q", flushSocket, answer["status"])
	}
	return err
}
