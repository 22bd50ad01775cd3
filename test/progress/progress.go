// Package progress shows how far a long test run is. It touches nothing but the
// stream it is given.
package progress

import (
	"fmt"
	"os"
	"strings"
)

// Bar returns a function that shows how far a run of a name is: a bar on a
// terminal, a line now and then elsewhere. unit is what is counted, in the
// plural. Once all is done, an empty text takes the bar away.
func Bar(out *os.File, name, unit string) func(done, all int, text string) {
	st, err := out.Stat()
	terminal := err == nil && st.Mode()&os.ModeCharDevice != 0
	last := -1
	return func(done, all int, text string) {
		if all == 0 {
			done, all, text = 0, 1, "control"
		}
		if terminal {
			const width = 30
			full := width * done / all
			fmt.Fprintf(out, "\r\033[K%-12s [%s%s] %d/%d %s", name, strings.Repeat("#", full), strings.Repeat(".", width-full), done, all, text)
			if done == all && text == "" {
				fmt.Fprint(out, "\r\033[K")
			}
			return
		}
		if step := done * 10 / all; step != last {
			last = step
			fmt.Fprintf(out, "%s: %d of %d %s\n", name, done, all, unit)
		}
	}
}
