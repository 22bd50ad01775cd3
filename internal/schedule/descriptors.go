package schedule

import "math"

// An active message keeps its file open. A delivery needs three descriptors more:
// the file once more, for marks, a connection, and one for logs. While nothing of a
// message is being delivered it gives back the one for marks: with many active
// messages most of them wait.
const (
	deliveryNeeds = 3
	// deliveryShare: of all descriptors three eighths are kept for deliveries, but
	// no more than enoughDeliveries need. These may take what messages leave.
	deliveryShare    = 8
	enoughDeliveries = 1600
	otherShare       = 32 // and a part for other things
)

// sureDeliveries is for how many deliveries at a time descriptors are kept.
func sureDeliveries(descriptors int) int {
	return max(1, min(descriptors/deliveryShare, enoughDeliveries))
}

// mostMessages is how many messages may be active, as far as descriptors go.
func (s *Scheduler) mostMessages() int {
	n := s.deps.Descriptors
	if n == 0 {
		return math.MaxInt
	}
	return max(1, n-n/otherShare-deliveryNeeds*sureDeliveries(n))
}

// mayRun tells whether there are descriptors for one more delivery.
func (s *Scheduler) mayRun() bool {
	n := s.deps.Descriptors
	return n == 0 || s.running < sureDeliveries(n) || len(s.messages)+deliveryNeeds*(s.running+1) <= n-n/otherShare
}

// rest lets the messages rest of which nothing is being delivered, unless the round
// of the loop has begun another delivery: to close and open the file around each
// delivery of a message would cost more than these.
func (s *Scheduler) rest() {
	for _, m := range s.resting {
		if m.open && m.running == 0 {
			m.open = false
			s.enders.add(func() { m.using(func() error { m.claim.Rest(); return nil }) })
		}
	}
	clear(s.resting)
	s.resting = s.resting[:0]
}
