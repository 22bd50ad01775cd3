package fault

import (
	"fmt"
	"testing"
	"time"

	"posthaste/test/harness"
)

// Mailboxes lie on a disk that takes mail slower than it comes in. When the queue
// manager has as many messages in hand as it may, and as many lie in incoming as
// there may be processes, each one more waits for in_flow_delay (1 s by default)
// before it is accepted, and none is refused; when the disk is fast, or the delay
// 0, none waits.
func TestFlow(t *testing.T) {
	for _, system := range []harness.System{harness.Ours, harness.Postfix} {
		for delay, held := range map[string]bool{"1s": true, "0": false} {
			t.Run(fmt.Sprintf("%s/%s", system, delay), func(t *testing.T) {
				t.Parallel()
				d := newDevice(t)
				s := begin(t, setup{system: system, main: "qmgr_message_active_limit = 5\ndefault_process_limit = 10\nin_flow_delay = " + delay + "\n",
					mounts: func(i *harness.Instance) error { return d.mount(i.Dir + "/mail") }})
				s.calm(12)
				d.log.Slow(syncDelay / 2)
				start := time.Now()
				r := s.burst(36, 4, 2000)
				t.Logf("slow disk: 36 messages in %s, %+v", time.Since(start), r)
				if !r.all() || held != (r.slowest >= time.Second) {
					t.Errorf("%+v", r)
				}
				d.log.Slow(0)
				if err := s.empty(patience); err != nil {
					t.Error(err)
				}
				if r := s.burst(12, 4, 2000); !r.all() || r.slowest >= time.Second {
					t.Errorf("fast again: %+v", r)
				}
				if c := s.close(); c.Dup > 0 {
					t.Errorf("%d deliveries were repeated", c.Dup)
				}
			})
		}
	}
}
