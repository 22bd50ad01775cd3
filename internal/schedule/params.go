package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Params are the main.cf parameters of the queue manager. The parameters named
// default_… are the fall-back of <transport>_… ones; see transportParams.
type Params struct {
	QueueRunDelay       time.Duration `cf:"queue_run_delay" default:"300s" unit:"s" doc:"Time between scans of the deferred queue."`
	MinimalBackoff      time.Duration `cf:"minimal_backoff_time" default:"300s" unit:"s" doc:"Least time between two attempts; also how long a dead destination is left alone."`
	MaximalBackoff      time.Duration `cf:"maximal_backoff_time" default:"4000s" unit:"s" doc:"Most time between two attempts."`
	QueueLifetime       time.Duration `cf:"maximal_queue_lifetime" default:"5d" unit:"d" doc:"Return mail that could not be delivered in this time; 0: one attempt."`
	BounceLifetime      time.Duration `cf:"bounce_queue_lifetime" default:"5d" unit:"d" doc:"The same for mail from the null sender."`
	ActiveLimit         int           `cf:"qmgr_message_active_limit" default:"20000" doc:"Most messages in the active queue."`
	RecipientLimit      int           `cf:"qmgr_message_recipient_limit" default:"20000" doc:"Most recipients in memory, and most dead destinations remembered."`
	RecipientMinimum    int           `cf:"qmgr_message_recipient_minimum" default:"10" doc:"Least recipients in memory for any message."`
	TransportRetry      time.Duration `cf:"transport_retry_time" default:"60s" unit:"s" doc:"How long a delivery service that cannot be reached is left alone."`
	DeferTransports     []string      `cf:"defer_transports" default:"" doc:"Transports that deliver only when the queue is flushed."`
	ClogWarnTime        time.Duration `cf:"qmgr_clog_warn_time" default:"300s" unit:"s" doc:"Least time between warnings that a destination fills the active queue; 0: none."`
	FudgeFactor         int           `cf:"qmgr_fudge_factor" default:"100" doc:"Accepted; has had no effect since preemption exists."`
	ConfirmDelayCleared bool          `cf:"confirm_delay_cleared" default:"no" doc:"Tell the sender when mail he was warned about is delivered after all."`
	FeedbackDebug       bool          `cf:"destination_concurrency_feedback_debug" default:"no" doc:"Log each change of a destination's concurrency."`
	FilterNexthop       string        `cf:"default_filter_nexthop" default:"" doc:"Next hop of a content filter given without one; empty: the recipient's domain."`

	InitialConcurrency  int           `cf:"initial_destination_concurrency" default:"5" doc:"Deliveries at a time to a destination not yet tried."`
	ConcurrencyLimit    int           `cf:"default_destination_concurrency_limit" default:"20" doc:"Most deliveries at a time to one destination; 0: no limit."`
	PositiveFeedback    string        `cf:"default_destination_concurrency_positive_feedback" default:"1" doc:"Growth of the concurrency per success: N, N / concurrency, N / sqrt_concurrency."`
	NegativeFeedback    string        `cf:"default_destination_concurrency_negative_feedback" default:"1" doc:"Fall of the concurrency per failed connection, same forms."`
	CohortLimit         int           `cf:"default_destination_concurrency_failed_cohort_limit" default:"1" doc:"Failed rounds after which a destination is dead for a while; 0: never."`
	DestRecipientLimit  int           `cf:"default_destination_recipient_limit" default:"50" doc:"Most recipients per delivery; 1 makes each recipient a destination."`
	DestinationDelay    time.Duration `cf:"default_destination_rate_delay" default:"0s" unit:"s" doc:"Pause between deliveries to one destination."`
	TransportDelay      time.Duration `cf:"default_transport_rate_delay" default:"0s" unit:"s" doc:"Pause between deliveries over one transport."`
	SlotCost            int           `cf:"default_delivery_slot_cost" default:"5" doc:"Deliveries of a message that earn one delivery for a smaller message to overtake; 0 and 1: no overtaking."`
	SlotLoan            int           `cf:"default_delivery_slot_loan" default:"3" doc:"Overtaking deliveries granted before they are earned."`
	SlotDiscount        int           `cf:"default_delivery_slot_discount" default:"50" doc:"Percentage of the overtaking deliveries granted before it is earned."`
	MinimumSlots        int           `cf:"default_minimum_delivery_slots" default:"3" doc:"A message that can never earn this many slots is not overtaken."`
	TransportRecipients int           `cf:"default_recipient_limit" default:"20000" doc:"Most recipients in memory per transport."`
	ExtraRecipients     int           `cf:"default_extra_recipient_limit" default:"1000" doc:"Further recipients per transport, for messages that overtake."`
	RefillLimit         int           `cf:"default_recipient_refill_limit" default:"100" doc:"Read more recipients of a message when this many have room."`
	RefillDelay         time.Duration `cf:"default_recipient_refill_delay" default:"5s" unit:"s" doc:"Read more recipients after this time even when fewer have room."`
}

// transportParams are the parameters of one transport, after its <transport>_…
// overrides.
type transportParams struct {
	initialConcurrency, concurrencyLimit, cohortLimit int
	positive, negative                                feedback
	recipientLimit                                    int
	destinationDelay, transportDelay                  time.Duration
	slotCost, slotLoan, slotDiscount, minimumSlots    int
	recipients, extraRecipients, refillLimit          int
	refillDelay                                       time.Duration
}

// Override looks up a <transport>_… parameter: service "smtp" and suffix
// "_destination_recipient_limit". found is false when it is not set.
type Override func(service, suffix string) (value string, found bool)

// forTransport returns the parameters of one transport. An override that cannot
// be understood, or is below its least legal value, is an error naming the
// parameter.
func (p *Params) forTransport(service string, lookup Override) (transportParams, error) {
	o := overrides{service: service, lookup: lookup}
	t := transportParams{
		initialConcurrency: o.number("_initial_destination_concurrency", p.InitialConcurrency, 1),
		concurrencyLimit:   o.number("_destination_concurrency_limit", p.ConcurrencyLimit, 0),
		cohortLimit:        o.number("_destination_concurrency_failed_cohort_limit", p.CohortLimit, 0),
		positive:           o.feedback("_destination_concurrency_positive_feedback", p.PositiveFeedback),
		negative:           o.feedback("_destination_concurrency_negative_feedback", p.NegativeFeedback),
		recipientLimit:     o.number("_destination_recipient_limit", p.DestRecipientLimit, 0),
		destinationDelay:   o.duration("_destination_rate_delay", p.DestinationDelay),
		transportDelay:     o.duration("_transport_rate_delay", p.TransportDelay),
		slotCost:           o.number("_delivery_slot_cost", p.SlotCost, 0),
		slotLoan:           o.number("_delivery_slot_loan", p.SlotLoan, 0),
		slotDiscount:       o.number("_delivery_slot_discount", p.SlotDiscount, 0),
		minimumSlots:       o.number("_minimum_delivery_slots", p.MinimumSlots, 0),
		recipients:         o.number("_recipient_limit", p.TransportRecipients, 0),
		extraRecipients:    o.number("_extra_recipient_limit", p.ExtraRecipients, 0),
		refillLimit:        o.number("_recipient_refill_limit", p.RefillLimit, 1),
		refillDelay:        o.duration("_recipient_refill_delay", p.RefillDelay),
	}
	if t.slotCost == 1 {
		// A slot for each delivery would never let the message go on. Postfix's queue
		// manager does not overtake at that cost either (test/overtake).
		t.slotCost = 0
	}
	if t.slotDiscount > 100 {
		t.slotDiscount = 100
	}
	if t.destinationDelay > 0 {
		t.concurrencyLimit = 1 // a pause between deliveries means one at a time
	}
	if t.concurrencyLimit > 0 {
		t.initialConcurrency = min(t.initialConcurrency, t.concurrencyLimit)
	}
	return t, o.err
}

// overrides reads <transport>_… parameters and keeps the first error.
type overrides struct {
	service string
	lookup  Override
	err     error
}

func (o *overrides) value(suffix string) (string, bool) {
	if o.lookup == nil {
		return "", false
	}
	v, found := o.lookup(o.service, suffix)
	return strings.TrimSpace(v), found
}

func (o *overrides) fail(suffix, value, kind string) {
	if o.err == nil {
		o.err = fmt.Errorf("bad %s configuration: %s%s = %s", kind, o.service, suffix, value)
	}
}

func (o *overrides) number(suffix string, fallback, least int) int {
	v, found := o.value(suffix)
	if !found {
		return max(fallback, least)
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least {
		o.fail(suffix, v, "numerical")
		return max(fallback, least)
	}
	return n
}

func (o *overrides) duration(suffix string, fallback time.Duration) time.Duration {
	v, found := o.value(suffix)
	if !found {
		return fallback
	}
	d, err := parseDuration(v)
	if err != nil {
		o.fail(suffix, v, "time")
		return fallback
	}
	return d
}

func (o *overrides) feedback(suffix, fallback string) feedback {
	v, found := o.value(suffix)
	if !found {
		v = fallback
	}
	f, err := parseFeedback(v)
	if err != nil {
		o.fail(suffix, v, "feedback")
		return feedback{amount: 1}
	}
	return f
}

// parseDuration reads a Postfix time value: an integer with an optional unit
// s, m, h, d or w; seconds without one.
func parseDuration(s string) (time.Duration, error) {
	unit := time.Second
	if s != "" {
		units := map[byte]time.Duration{
			's': time.Second, 'm': time.Minute, 'h': time.Hour,
			'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
		}
		if u, found := units[s[len(s)-1]|0x20]; found {
			unit, s = u, s[:len(s)-1]
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("bad time value %q", s)
	}
	return time.Duration(n) * unit, nil
}
