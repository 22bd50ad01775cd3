package gang

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// Functions run at a time, one after the other on the same goroutine, and
// goroutines without work leave.
func TestGang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		before := runtime.NumGoroutine()
		running, goOn := make(chan bool), make(chan bool)
		for range 3 {
			g.Go(func() { running <- true; <-goOn })
		}
		for range 3 {
			<-running
		}
		close(goOn)
		synctest.Wait()
		var last int
		for i := range 100 {
			g.Go(func() { last = i })
			synctest.Wait()
		}
		if n := runtime.NumGoroutine() - before; n != 3 || last != 99 {
			t.Errorf("%d goroutines, last %d", n, last)
		}
		time.Sleep(2 * stay)
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n != 0 {
			t.Errorf("%d goroutines stay", n)
		}
		g.Go(func() {})
		g.Close()
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n != 0 {
			t.Errorf("%d goroutines stay after Close", n)
		}
	})
}
