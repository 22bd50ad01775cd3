package config

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Level is a compatibility_level: a release number such as 3.6, or 0, 1, 2.
type Level struct{ Major, Minor, Patch int }

// maxLevelPart is the largest major, minor or patch number Postfix accepts.
const maxLevelPart = 9999

// ParseLevel parses `major`, `major.minor` or `major.minor.patch`.
func ParseLevel(text string) (Level, error) {
	var numbers [3]int
	parts := strings.Split(text, ".")
	if len(parts) > len(numbers) {
		return Level{}, levelError(text)
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil || n > maxLevelPart {
			return Level{}, levelError(text)
		}
		numbers[i] = int(n)
	}
	return Level{numbers[0], numbers[1], numbers[2]}, nil
}

func levelError(text string) error {
	return fmt.Errorf("malformed compatibility level syntax: \"%s\"", excerpt(text))
}

// Compare is negative when l is an older release than m, 0 when equal.
func (l Level) Compare(m Level) int {
	return cmp.Or(cmp.Compare(l.Major, m.Major), cmp.Compare(l.Minor, m.Minor), cmp.Compare(l.Patch, m.Patch))
}
