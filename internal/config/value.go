package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// units are the suffixes of a time value.
var units = map[byte]time.Duration{
	's': time.Second,
	'm': time.Minute,
	'h': time.Hour,
	'd': 24 * time.Hour,
	'w': 7 * 24 * time.Hour,
}

// ParseDuration parses a time value of main.cf: a whole number with an
// optional unit s, m, h, d or w; without one, unit applies (one of the same
// letters). Negative values are refused.
func ParseDuration(text, unit string) (time.Duration, error) {
	digits := text
	if n := len(text); n > 0 {
		if _, ok := units[lower(text[n-1])]; ok {
			digits, unit = text[:n-1], text[n-1:]
		}
	}
	if unit == "" {
		unit = "s"
	}
	each := units[lower(unit[0])]
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || each == 0 || n > uint64(math.MaxInt64/int64(each)) {
		return 0, fmt.Errorf("bad time value or unit: %s", excerpt(text))
	}
	return time.Duration(n) * each, nil
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// ParseBool parses yes or no, in any case.
func ParseBool(text string) (value, ok bool) {
	switch {
	case strings.EqualFold(text, "yes"):
		return true, true
	case strings.EqualFold(text, "no"):
		return false, true
	}
	return false, false
}
