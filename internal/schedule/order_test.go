package schedule

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

func TestHeap(t *testing.T) {
	type item struct{ key, place int }
	h := heap[*item]{less: func(a, b *item) bool { return a.key < b.key }, place: func(i *item) *int { return &i.place }}
	random := rand.New(rand.NewPCG(1, 2))
	var inside []*item
	for range 5000 {
		switch op := random.IntN(4); {
		case op < 2 || len(inside) == 0:
			i := &item{key: random.IntN(1000)}
			inside = append(inside, i)
			h.put(i)
		case op == 2:
			i := inside[random.IntN(len(inside))]
			i.key = random.IntN(1000)
			h.put(i)
		default:
			at := random.IntN(len(inside))
			h.take(inside[at])
			inside = slices.Delete(inside, at, at+1)
		}
		if len(inside) != h.len() {
			t.Fatalf("%d items, want %d", h.len(), len(inside))
		}
		if len(inside) > 0 {
			least := slices.MinFunc(inside, func(a, b *item) int { return a.key - b.key })
			if h.top().key != least.key {
				t.Fatalf("top %d, want %d", h.top().key, least.key)
			}
		}
	}
}

func TestSizeClassesGrow(t *testing.T) {
	for n := 1; n < 1<<20; n++ {
		if a, b := sizeClass(n), sizeClass(n+1); b < a || b > a+1 || a >= sizeClasses {
			t.Fatalf("class of %d is %d, of %d is %d", n, a, n+1, b)
		}
	}
}

// sequence delivers messages of the given sizes over a transport with one
// process and returns the order of deliveries, by message number.
func sequence(t *testing.T, steer func(w *fakeWorld), sizes ...int) string {
	var order string
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.max = 1
		w.set["smtp_destination_recipient_limit"] = "1"
		steer(w)
		order = inOrder(w, sizes...)
	})
	return order
}

// inOrder is the order of deliveries, by message number, when all messages are there
// before the first is delivered.
func inOrder(w *fakeWorld, sizes ...int) string {
	var order strings.Builder
	gate := make(chan bool)
	w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		<-gate
		if r.ID != "M0" {
			order.WriteString(string(r.ID[1:]))
		}
		return sendAll(ctx, r, done)
	}
	w.run(func(s *Scheduler) {
		// M0 keeps the only process busy until all others are there.
		w.queue.add("M0", queue.Incoming, "x@x.test")
		s.Arrived("M0")
		synctest.Wait()
		for i, n := range sizes {
			id := fmt.Sprintf("M%d", i+1)
			w.queue.bulk(id, n, 1)
			s.Arrived(mail.QueueID(id))
			synctest.Wait()
			time.Sleep(time.Second)
		}
		close(gate)
		synctest.Wait()
	})
	return order.String()
}

func TestPreemptionSequences(t *testing.T) {
	cost := func(cost, loan, discount string) func(w *fakeWorld) {
		return func(w *fakeWorld) {
			w.set["smtp_delivery_slot_cost"] = cost
			w.set["smtp_delivery_slot_loan"] = loan
			w.set["smtp_delivery_slot_discount"] = discount
		}
	}
	// The first two are the examples of SCHEDULER_README.
	for _, c := range []struct {
		name  string
		steer func(w *fakeWorld)
		sizes []int
		want  string
	}{
		{"all slots earned first", cost("2", "0", "0"), []int{10, 2, 2}, "11112211113311"},
		{"half of the slots in advance", cost("2", "0", "50"), []int{10, 2, 2}, "11221111331111"},
		{"no overtaking", cost("0", "3", "50"), []int{10, 2, 2}, "11111111112233"},
		{"too small to be overtaken", cost("5", "3", "50"), []int{10, 1, 1}, "111111111123"},
		{"a loan lets the small one go first", cost("5", "3", "50"), []int{20, 1}, "211111111111111111111"},
	} {
		if got := sequence(t, c.steer, c.sizes...); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestRoundRobinWithinMessage(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.max = 1
		w.set["smtp_destination_recipient_limit"] = "2"
		w.queue.bulk("A1", 12, 3)
		w.run(func(s *Scheduler) {})
		var order []string
		for _, r := range w.requests {
			order = append(order, r.Nexthop)
		}
		if len(order) != 6 {
			t.Fatalf("%d deliveries", len(order))
		}
		slices.Sort(order[:3])
		if order[0] == order[1] || order[1] == order[2] {
			t.Errorf("destinations do not take turns: %v", order)
		}
	})
}

// TestChoiceIsExact compares the heaps with a search through everything, over
// random jobs, windows, completions and overtaking; also which jobs are candidates
// for overtaking.
func TestChoiceIsExact(t *testing.T) {
	w := newWorld(t)
	w.max = 0
	w.set["smtp_minimum_delivery_slots"] = "1"
	w.set["smtp_destination_recipient_limit"] = "2"
	s := w.scheduler()
	smtp := s.transport("smtp")
	random := rand.New(rand.NewPCG(3, 4))
	var jobs []*job
	var running []*entry
	overtook := 0
	for step := range 10000 {
		switch op := random.IntN(10); {
		case op < 1:
			s.arrivals++
			m := &message{arrival: s.arrivals, activated: time.Duration(step), jobs: map[*transport]*job{}}
			m.about.Info = &record.Info{}
			var list []routed
			for range 1 + random.IntN(1+random.IntN(40)) {
				list = append(list, routed{route: Route{Transport: "smtp", Nexthop: fmt.Sprint(random.IntN(12))}})
			}
			s.assign(m, list)
			jobs = append(jobs, m.jobs[smtp])
		case op < 6 && smtp.open.len() > 0:
			top := smtp.open.top().peers.top().job
			if best := firstSelectable(jobs); top.rank != best.rank {
				t.Fatalf("step %d: first job is %+v, want %+v", step, top.rank, best.rank)
			}
			for class := range 40 {
				if top.selected == 0 {
					break // none of its own class is small enough to overtake it
				}
				if got, want := smtp.oldestOfClass(class, top), oldestSelectable(jobs, class, top); got != want {
					t.Fatalf("step %d: candidate of class %d is %v, want %v", step, class, got, want)
				}
			}
			e := smtp.next(time.Duration(step))
			if e.peer.job != top {
				overtook++
			}
			running = append(running, e)
		case len(running) > 0:
			at := random.IntN(len(running))
			e := running[at]
			running = slices.Delete(running, at, at+1)
			d, j := e.peer.dest, e.peer.job
			d.busy--
			d.window.size = 1 + random.IntN(4)
			d.settle()
			j.inCore -= len(e.recipients)
			if j.inCore == 0 {
				j.retire()
				jobs = slices.DeleteFunc(jobs, func(o *job) bool { return o == j })
			}
		}
	}
	if overtook == 0 {
		t.Error("nothing was overtaken")
	}
}

// firstSelectable is the slow way to the first job with room at a destination.
func firstSelectable(jobs []*job) (best *job) {
	for _, j := range jobs {
		for d, p := range j.peers {
			if len(p.queue) > 0 && d.busy < d.window.size && (best == nil || j.rank.before(best.rank)) {
				best = j
			}
		}
	}
	return best
}

// oldestSelectable is the slow way to the candidate of a size class.
func oldestSelectable(jobs []*job, class int, current *job) (best *job) {
	for _, j := range jobs {
		if j != current && j.queued > 0 && sizeClass(j.size()) == class && j.selectable() && (best == nil || olderFirst(j, best)) {
			best = j
		}
	}
	return best
}
