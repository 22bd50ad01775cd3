package user

import (
	"context"
	"sync"
	"testing"
)

// Requests of one user are worked on at the same time, by one process; other
// users have others.
func TestPoolLanes(t *testing.T) {
	needRoot(t)
	p := testPool(t, 30)
	dir := t.TempDir()
	open(t, dir, stranger)
	meet := "echo $PPID; touch " + dir + "/$$; until [ $(ls " + dir + " | wc -l) = 8 ]; do sleep 0.05; done"
	pids := make(chan string, 8)
	var wait sync.WaitGroup
	if _, err := p.Read(context.Background(), stranger, "/etc/hostname", 10); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		wait.Go(func() {
			out, err := p.Run(context.Background(), stranger, command(t, meet))
			if err != nil || out.Exit != 0 || out.TimedOut {
				t.Errorf("%+v %v", out, err)
			}
			pids <- string(out.Output)
		})
	}
	wait.Wait()
	close(pids)
	all := map[string]bool{}
	for pid := range pids {
		all[pid] = true
	}
	if len(all) != 1 {
		t.Errorf("processes %v", all)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.children[stranger]; len(c) != 1 || c[0].lanes != len(p.slots) {
		t.Errorf("%d children, %d slots", len(c), len(p.slots))
	}
}

// A child that dies with several lanes fails the request that it had in hand, and
// none after it.
func TestPoolForsakesDeadChild(t *testing.T) {
	needRoot(t)
	p := testPool(t, 10)
	var wait sync.WaitGroup
	if _, err := p.Read(context.Background(), stranger, "/etc/hostname", 10); err != nil {
		t.Fatal(err) // it makes the child that the others share
	}
	for range 4 {
		wait.Go(func() {
			if _, err := p.Run(context.Background(), stranger, command(t, "sleep 0.3")); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if _, err := p.Run(context.Background(), stranger, command(t, "kill -9 $PPID; sleep 1")); err == nil {
		t.Error("a dead child answered")
	}
	for range 5 {
		if _, err := p.Run(context.Background(), stranger, command(t, "true")); err != nil {
			t.Errorf("after that: %v", err)
		}
	}
}
