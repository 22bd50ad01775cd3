package schedule

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseFeedback(t *testing.T) {
	for _, c := range []struct {
		text string
		want feedback
		bad  bool
	}{
		{text: "1", want: feedback{amount: 1}},
		{text: "0.25", want: feedback{amount: 0.25}},
		{text: "1 / 4", want: feedback{amount: 0.25}},
		{text: "1/concurrency", want: feedback{1, perCohort}},
		{text: " 0.5 / sqrt_concurrency ", want: feedback{0.5, perRootCohort}},
		{text: "2", bad: true},
		{text: "-1", bad: true},
		{text: "", bad: true},
		{text: "1/0", bad: true},
		{text: "1/2/3", bad: true},
		{text: "nan", bad: true},
		{text: "1/cohort", bad: true},
	} {
		got, err := parseFeedback(c.text)
		if (err != nil) != c.bad || !c.bad && got != c.want {
			t.Errorf("%q: %+v, %v", c.text, got, err)
		}
	}
}

func FuzzParameters(f *testing.F) {
	for _, s := range []string{"1", "1/concurrency", "0.1 / sqrt_concurrency", "5s", "1d", "-3", "1e309"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if fb, err := parseFeedback(s); err == nil && !(fb.at(7) >= 0 && fb.at(7) <= 1) {
			t.Errorf("%q: feedback %v", s, fb.at(7))
		}
		if d, err := parseDuration(s); err == nil && d < 0 {
			t.Errorf("%q: %s", s, d)
		}
	})
}

// trace runs deliveries (true: success) and returns the window after each. The
// window is always full, as under load.
func trace(p transportParams, results ...bool) (sizes []int) {
	w := window{size: p.initialConcurrency}
	for _, ok := range results {
		if ok {
			w.succeeded(w.size, &p)
		} else {
			w.failed(&p)
		}
		sizes = append(sizes, w.size)
	}
	return sizes
}

func times(ok bool, n int) (list []bool) {
	for range n {
		list = append(list, ok)
	}
	return list
}

func TestWindowTraces(t *testing.T) {
	constant := feedback{amount: 1}
	perN := feedback{1, perCohort}
	p := func(initial, limit, cohorts int, plus, minus feedback) transportParams {
		return transportParams{initialConcurrency: initial, concurrencyLimit: limit, cohortLimit: cohorts, positive: plus, negative: minus}
	}
	for _, c := range []struct {
		name    string
		params  transportParams
		results []bool
		want    []int
	}{
		{"one per success: each round doubles", p(2, 20, 1, constant, constant), times(true, 6), []int{3, 4, 5, 6, 7, 8}},
		{"up to the limit", p(5, 7, 1, constant, constant), times(true, 4), []int{6, 7, 7, 7}},
		{"1/N: one more after a whole round", p(2, 20, 1, perN, constant), times(true, 6), []int{2, 3, 3, 3, 4, 4}},
		// The rows of failures are as the real Postfix logs them with
		// destination_concurrency_feedback_debug.
		{"failures: down, then dead after one round", p(5, 20, 1, constant, constant), times(false, 3), []int{3, 2, 0}},
		{"three rounds", p(5, 20, 3, constant, constant), times(false, 5), []int{3, 2, 1, 1, 0}},
		{"no limit of rounds", p(5, 20, 0, constant, constant), times(false, 6), []int{3, 2, 1, 1, 1, 1}},
		{"no feedback", p(5, 20, 1, constant, feedback{}), times(false, 5), []int{5, 5, 5, 5, 0}},
		{"half a step", p(5, 20, 1, constant, feedback{amount: 0.5}), times(false, 4), []int{4, 3, 3, 0}},
		{"one at a time", p(1, 20, 1, constant, constant), times(false, 1), []int{0}},
		{"one at a time, three rounds", p(1, 20, 3, constant, constant), times(false, 3), []int{1, 1, 0}},
		{"1/N down: the step comes first", p(4, 20, 10, constant, perN), times(false, 5), []int{3, 3, 2, 2, 1}},
		{"never below one", p(2, 20, 10, constant, constant), times(false, 4), []int{1, 1, 1, 1}},
		{"a success ends the row of failures", p(1, 20, 2, constant, constant), []bool{false, true, false, true, false}, []int{1, 2, 1, 2, 1}},
	} {
		if diff := cmp.Diff(c.want, trace(c.params, c.results...)); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

func TestWindowWaitsForUse(t *testing.T) {
	p := transportParams{initialConcurrency: 5, concurrencyLimit: 20, positive: feedback{amount: 1}}
	w := window{size: 5}
	for range 10 {
		w.succeeded(1, &p) // only one delivery runs
	}
	if w.size != 6 {
		t.Errorf("window %d, want 6: less than the busy ones and the initial ones", w.size)
	}
}

func TestTransportParameters(t *testing.T) {
	params := defaults()
	set := map[string]string{
		"smtp_destination_recipient_limit": "1", "smtp_destination_rate_delay": "2m",
		"smtp_destination_concurrency_positive_feedback": "1/concurrency",
	}
	got, err := params.forTransport("smtp", func(service, suffix string) (string, bool) {
		v, found := set[service+suffix]
		return v, found
	})
	if err != nil || got.recipientLimit != 1 || got.destinationDelay != 2*time.Minute ||
		got.positive != (feedback{1, perCohort}) || got.concurrencyLimit != 1 || got.initialConcurrency != 1 || got.slotCost != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	set["smtp_destination_recipient_limit"] = "many"
	_, err = params.forTransport("smtp", func(service, suffix string) (string, bool) {
		v, found := set[service+suffix]
		return v, found
	})
	if want := "bad numerical configuration: smtp_destination_recipient_limit = many"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
