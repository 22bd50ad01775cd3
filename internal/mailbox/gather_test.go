package mailbox

import (
	"testing"
	"testing/synctest"
	"time"
)

// waiter is a delivery that has begun and waits for the others.
func waiter(g *Gather) <-chan bool {
	gone := make(chan bool)
	go func() {
		g.wait()
		close(gone)
	}()
	return gone
}

func closed(c <-chan bool) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Deliveries wait for those that have begun, and no longer than that.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gather
		g.begin()
		g.wait() // alone: at once
		g.begin()
		g.begin()
		second := waiter(&g)
		synctest.Wait()
		if closed(second) {
			t.Error("one that came right after another did not wait")
		}
		third := waiter(&g)
		synctest.Wait()
		if closed(second) || closed(third) {
			t.Error("two went while a third has not ended")
		}
		g.end()
		synctest.Wait()
		if !closed(second) || !closed(third) {
			t.Error("all that are left wait for nobody")
		}
		g.end()
		g.end()
	})
}

// A delivery that takes long holds up nobody for long.
func TestGatherTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gather
		for range 3 { // one of them never comes so far
			g.begin()
		}
		began := time.Now()
		for range 2 {
			g.wait()
		}
		if d := time.Since(began); d != gatherTime {
			t.Errorf("two went after %v, want the second after %v", d, gatherTime)
		}
		time.Sleep(gatherTime)
		began = time.Now()
		g.wait()
		if d := time.Since(began); d != 0 {
			t.Errorf("long after the last one, one waited for %v", d)
		}
	})
}
