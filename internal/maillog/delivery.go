package maillog

import (
	"strconv"
	"strings"
	"time"

	"posthaste/internal/mail"
)

// Delays are the parts of delays=a/b/c/d, and their sum for delay=.
type Delays struct {
	Total    time.Duration // since the message began to arrive
	Before   time.Duration // a: before it became active
	Queued   time.Duration // b: from then to the start of the delivery
	Setup    time.Duration // c: connecting
	Transmit time.Duration // d: transmitting
}

// Delivery logs the result of one recipient:
//
//	ID: to=<…>, orig_to=<…>, relay=…, conn_use=…, delay=…, delays=a/b/c/d, dsn=…, status=… (…)
func (l *Logger) Delivery(id mail.QueueID, rcpt mail.Recipient, st mail.Status, d Delays) {
	l.DeliveryAs(id, rcpt, st.Action.LogName(), st, d)
}

// DeliveryAs is Delivery with another word behind status=, for results that
// the scheduler changed (an expired message, soft_bounce).
func (l *Logger) DeliveryAs(id mail.QueueID, rcpt mail.Recipient, word string, st mail.Status, d Delays) {
	if l == nil {
		return
	}
	b := make([]byte, 0, 256)
	b = append(b, id...)
	b = append(b, ": to=<"...)
	b = append(b, rcpt.Address.Quoted()...)
	b = append(b, '>')
	if o := rcpt.Original; o != "" && !strings.EqualFold(string(o), string(rcpt.Address)) {
		b = append(b, ", orig_to=<"...)
		b = append(b, o.Quoted()...)
		b = append(b, '>')
	}
	b = append(b, ", relay="...)
	if st.Relay == "" {
		b = append(b, "none"...)
	} else {
		b = append(b, st.Relay...)
	}
	if st.ConnUse > 1 {
		b = append(b, ", conn_use="...)
		b = strconv.AppendInt(b, int64(st.ConnUse), 10)
	}
	b = append(b, ", delay="...)
	b = appendDelay(b, d.Total)
	b = append(b, ", delays="...)
	for i, part := range []time.Duration{d.Before, d.Queued, d.Setup, d.Transmit} {
		if i > 0 {
			b = append(b, '/')
		}
		b = appendDelay(b, part)
	}
	b = append(b, ", dsn="...)
	b = append(b, st.Code...)
	b = append(b, ", status="...)
	b = append(b, word...)
	b = append(b, " ("...)
	b = append(b, st.Reason...)
	b = append(b, ')')
	l.write(Info, string(b))
}

// appendDelay writes seconds with at most two significant digits below 100 and
// at most two decimals (delay_logging_resolution_limit = 2), without trailing
// zeros: 0, 0.05, 0.12, 1.2, 12, 123.
func appendDelay(b []byte, d time.Duration) []byte {
	unit, decimals := 10*time.Millisecond, 2
	d = max(d, 0)
	if d >= 995*time.Millisecond { // would round to 1.0
		unit, decimals = 100*time.Millisecond, 1
	}
	if d >= 9950*time.Millisecond {
		unit, decimals = time.Second, 0
	}
	n := int64((d + unit/2) / unit)
	for decimals > 0 && n%10 == 0 {
		n, decimals = n/10, decimals-1
	}
	if decimals == 0 {
		return strconv.AppendInt(b, n, 10)
	}
	scale := int64(10)
	if decimals == 2 {
		scale = 100
	}
	b = strconv.AppendInt(b, n/scale, 10)
	b = append(b, '.')
	if decimals == 2 && n%scale < 10 {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, n%scale, 10)
}
