package schedule

import "context"

// Stats is what the scheduler holds at one moment, for listings and the
// dashboard.
type Stats struct {
	Active     int // messages in the active queue
	Recipients int // recipients in memory
	Transports []TransportStats
}

// TransportStats is one transport.
type TransportStats struct {
	Name         string
	Running      int    // deliveries
	Dead         string // why its service cannot be used; empty: it can
	Destinations []DestinationStats
}

// DestinationStats is one destination of a transport.
type DestinationStats struct {
	Nexthop string
	Waiting int    // batches of recipients that wait
	Running int    // deliveries
	Window  int    // deliveries that may run at a time
	Dead    string // why it is suspended; empty: it is not
}

// Stats asks the scheduler for its state. The error is ctx's, or that of a
// scheduler that has ended (context.Canceled).
func (s *Scheduler) Stats(ctx context.Context) (Stats, error) {
	reply := make(chan Stats, 1)
	go s.post(func() { reply <- s.stats() })
	select {
	case st := <-reply:
		return st, nil
	case <-s.done:
		return Stats{}, context.Canceled
	case <-ctx.Done():
		return Stats{}, ctx.Err()
	}
}

func (s *Scheduler) stats() Stats {
	st := Stats{Active: len(s.messages), Recipients: int(s.inCore.Load())}
	for _, t := range s.transports {
		ts := TransportStats{Name: t.name, Running: t.running}
		if t.dead {
			ts.Dead = t.status.Reason
		}
		for _, d := range t.destinations {
			ds := DestinationStats{Nexthop: d.nexthop, Waiting: d.queued, Running: d.busy, Window: d.window.size}
			if d.dead() {
				ds.Dead = d.status.Reason
			}
			ts.Destinations = append(ts.Destinations, ds)
		}
		st.Transports = append(st.Transports, ts)
	}
	return st
}
