package report

import "strings"

// Lines of reasons are folded at white space, as those who parse Postfix's
// notices know it: what follows is indented. A longer word stays whole.
const (
	noticeWidth = 79
	wrapIndent  = "    "
)

// wrap folds a line into lines of at most width bytes.
func wrap(text string, width int) string {
	var b strings.Builder
	for room := width; ; room = width - len(wrapIndent) {
		line, rest := cutLine(text, room)
		b.WriteString(line)
		if rest == "" {
			return b.String()
		}
		b.WriteString("\n" + wrapIndent)
		text = rest
	}
}

// cutLine cuts off what fits into room, but at least one word.
func cutLine(text string, room int) (line, rest string) {
	if len(text) <= room {
		return strings.TrimRight(text, " \t"), ""
	}
	at := strings.LastIndexAny(text[:room+1], " \t")
	if strings.Trim(text[:max(at, 0)], " \t") == "" {
		skip := len(text) - len(strings.TrimLeft(text, " \t"))
		next := strings.IndexAny(text[skip:], " \t")
		if next < 0 {
			return text, ""
		}
		at = skip + next
	}
	return strings.TrimRight(text[:at], " \t"), strings.TrimLeft(text[at:], " \t")
}
