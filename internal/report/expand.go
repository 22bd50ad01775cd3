package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"posthaste/internal/config"
)

// timeNames are the parameters that a template may ask for in a unit of its
// choice (bounce(5)), with the unit of a plain number.
var timeNames = map[string]string{"delay_warning_time": "h", "maximal_queue_lifetime": "d"}

var timeUnits = map[string]time.Duration{
	"seconds": time.Second, "minutes": time.Minute, "hours": time.Hour, "days": 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// largestCount is above what a reader wants to be told in one unit.
const largestCount = 1000

// Expander expands $name in templates with the parameters of s. It warns of
// times that read badly in the unit that was chosen; file names the template
// file.
func Expander(s *config.Snapshot, file string, warn func(format string, args ...any)) func(text string) (string, error) {
	return func(text string) (string, error) {
		return s.ExpandText(text, func(name string) (string, bool, error) {
			for base, unit := range timeNames {
				if suffix, ok := strings.CutPrefix(name, base+"_"); ok {
					return timeText(s, file, base, unit, suffix, warn)
				}
			}
			return "", false, nil
		})
	}
}

func timeText(s *config.Snapshot, file, base, unit, suffix string, warn func(format string, args ...any)) (string, bool, error) {
	each, known := timeUnits[suffix]
	if !known {
		return "", false, fmt.Errorf("unrecognized suffix %q in parameter %q", suffix, base+"_"+suffix)
	}
	text, _ := s.Get(base)
	d, err := config.ParseDuration(text, unit)
	if err != nil {
		return "", false, fmt.Errorf("parameter %s: %w", base, err)
	}
	n := int64(d / each)
	switch {
	case n == 0 && d > 0:
		warn("%s: zero result in conversion of parameter %q: choose a smaller unit than %s", file, base+"_"+suffix, suffix)
	case n > largestCount:
		warn("%s: excessive result %d in conversion of parameter %q: choose a larger unit than %s", file, n, base+"_"+suffix, suffix)
	}
	return strconv.FormatInt(n, 10), true, nil
}
