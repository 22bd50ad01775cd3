package schedule

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// ours lets the scheduler deliver a scenario.
func (c scenario) ours(t *testing.T) (list []begun) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.params, w.quiet, w.max = c.p, true, c.places
		w.set["smtp_destination_recipient_limit"] = "1"
		if c.window > 0 {
			w.set["smtp_destination_concurrency_limit"] = fmt.Sprint(c.window)
			w.set["smtp_initial_destination_concurrency"] = fmt.Sprint(c.window)
		}
		if c.inCore > 0 {
			w.params.RecipientLimit, w.params.TransportRecipients = c.inCore, c.inCore
		}
		var mu sync.Mutex
		start := time.Now()
		w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			b := begun{at: time.Since(start)}
			fmt.Sscanf(string(r.ID), "M%d", &b.message)
			mu.Lock()
			list = append(list, b)
			mu.Unlock()
			time.Sleep(each)
			return sendAll(ctx, r, done)
		}
		w.run(func(s *Scheduler) {
			for n, m := range c.messages {
				time.Sleep(m.at - time.Since(start))
				id := fmt.Sprintf("M%d", n)
				w.queue.add(id, queue.Incoming, c.recipients(n, m.size)...)
				s.Arrived(mail.QueueID(id))
			}
			for n := range c.messages {
				for w.queue.place(fmt.Sprintf("M%d", n)) != "removed" {
					time.Sleep(each)
				}
			}
		})
	})
	return list
}

func (c scenario) recipients(n, size int) (list []string) {
	for k := range size {
		if n > 0 && c.window > 0 {
			list = append(list, "user@same.test")
		} else {
			list = append(list, fmt.Sprintf("u%d@m%d.test", k, n))
		}
	}
	return list
}

// waits is how many delivery times small mail waited for its last delivery to begin,
// and when the last one of the mailing began.
func (c scenario) waits(list []begun) (waits []float64, mailing time.Duration) {
	last := make([]time.Duration, len(c.messages))
	for _, b := range list {
		last[b.message] = max(last[b.message], b.at)
	}
	for n, m := range c.messages[1:] {
		waits = append(waits, float64(last[n+1]-m.at)/float64(each))
	}
	slices.Sort(waits)
	return waits, last[0]
}

// quantile is the value below which a part of a sorted list lies.
func quantile(v []float64, part float64) float64 { return v[int(part*float64(len(v)-1))] }

// besides is a mailing with small mail of a size, in bursts, at a part of its share: one
// delivery for each slotCost of the mailing.
func besides(places, mailing int, p Params, share float64, size, burst int) scenario {
	c := scenario{places: places, p: p, messages: []arrival{{0, mailing}}}
	random := rand.New(rand.NewPCG(1, uint64(size)))
	rate := share * float64(places) / float64(max(p.SlotCost, 1)+1) / float64(size*burst) // bursts in each
	for at := random.ExpFloat64() / rate; at < float64(mailing)/float64(places); at += random.ExpFloat64() / rate {
		for range burst {
			c.messages = append(c.messages, arrival{time.Duration(at*float64(each)) + 1, size})
		}
	}
	return c
}

func scenarios() map[string]scenario {
	list := map[string]scenario{}
	for _, places := range []int{5, 20, 100} {
		for _, share := range []float64{0.5, 0.9, 1.2} {
			for _, form := range [][2]int{{1, 1}, {1, 15}, {10, 1}, {3, 5}} {
				name := fmt.Sprintf("%d at a time, %.1f of the share, size %d in bursts of %d", places, share, form[0], form[1])
				list[name] = besides(places, 60*places, defaults(), share, form[0], form[1])
			}
		}
	}
	for _, share := range []float64{0.5, 0.9} {
		c := besides(20, 2000, defaults(), share, 1, 1)
		c.window = 3
		list[fmt.Sprintf("one destination, %.1f of the share", share)] = c
		c = besides(20, 2000, defaults(), share, 1, 1)
		c.inCore = 200
		list[fmt.Sprintf("little in memory, %.1f of the share", share)] = c
		p := defaults()
		p.SlotCost, p.SlotLoan, p.SlotDiscount = 2, 0, 0
		list[fmt.Sprintf("cost 2, %.1f of the share", share)] = besides(20, 2000, p, share, 1, 1)
	}
	return list
}

// Small mail beside a mailing waits no longer than in a model of what Postfix
// documents, and the mailing is no later than Postfix promises.
func TestOvertakingAsDocumented(t *testing.T) {
	for name, c := range scenarios() {
		t.Run(name, func(t *testing.T) {
			got, mailing := c.waits(c.ours(t))
			want, modelled := c.waits(c.model())
			for _, part := range []float64{0.5, 0.95, 1} {
				if g, w := quantile(got, part), quantile(want, part); g > 1.1*w+0.5 {
					t.Errorf("%.0f %% wait up to %.2f delivery times, in the model %.2f", 100*part, g, w)
				}
			}
			alone := time.Duration(c.messages[0].size/c.places) * each
			if bound := alone * time.Duration(c.p.SlotCost) / time.Duration(c.p.SlotCost-1); mailing > max(bound, modelled)+3*each {
				t.Errorf("the mailing took %v, in the model %v, alone %v", mailing, modelled, alone)
			}
			t.Logf("%d messages, median %.2f, 95 %% %.2f, max %.2f, mailing %v; model %.2f %.2f %.2f %v", len(got), quantile(got, 0.5),
				quantile(got, 0.95), quantile(got, 1), mailing, quantile(want, 0.5), quantile(want, 0.95), quantile(want, 1), modelled)
		})
	}
}
