package dns

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// ToASCII returns the A-label form of a domain name (RFC 5891): what is looked
// up for `bücher.example`. A name in ASCII comes back as it is; ok is false
// when there is no such form. Letters are folded to lower case; text that is
// not in Unicode normal form C is not composed.
func ToASCII(s string) (ascii string, ok bool) {
	if isASCII(s) {
		return s, true
	}
	if !utf8.ValidString(s) {
		return "", false
	}
	labels := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(".。．｡", r) })
	for i, label := range labels {
		if isASCII(label) {
			continue
		}
		for _, r := range label {
			if !unicode.In(r, unicode.L, unicode.M, unicode.Nd) && r != '-' && r != '·' && r != '・' {
				return "", false
			}
		}
		labels[i] = "xn--" + punycode(strings.ToLower(label))
	}
	ascii = strings.Join(labels, ".")
	return ascii, ValidName(ascii)
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// The parameters of RFC 3492 section 5.
const (
	punyBase, punyMin, punyMax = 36, 1, 26
	punySkew, punyDamp         = 38, 700
	punyBias, punyFirst        = 72, 128
)

// punycode encodes one label (RFC 3492 section 6.3).
func punycode(label string) string {
	out := make([]byte, 0, len(label)+8)
	runes := []rune(label)
	for _, r := range runes {
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
		}
	}
	basic := len(out)
	if basic > 0 {
		out = append(out, '-')
	}
	n, delta, bias := rune(punyFirst), 0, punyBias
	for done := basic; done < len(runes); n++ {
		next := rune(unicode.MaxRune)
		for _, r := range runes {
			if r >= n && r < next {
				next = r
			}
		}
		delta += int(next-n) * (done + 1)
		n = next
		for _, r := range runes {
			if r < n {
				delta++
			}
			if r == n {
				out = punyNumber(out, delta, bias)
				bias = punyAdapt(delta, done+1, done == basic)
				delta = 0
				done++
			}
		}
		delta++
	}
	return string(out)
}

// punyNumber appends a generalised variable-length integer.
func punyNumber(out []byte, q, bias int) []byte {
	for k := punyBase; ; k += punyBase {
		t := min(max(k-bias, punyMin), punyMax)
		if q < t {
			return append(out, punyDigit(q))
		}
		out = append(out, punyDigit(t+(q-t)%(punyBase-t)))
		q = (q - t) / (punyBase - t)
	}
}

func punyDigit(d int) byte {
	if d < 26 {
		return byte('a' + d)
	}
	return byte('0' + d - 26)
}

func punyAdapt(delta, points int, first bool) int {
	if first {
		delta /= punyDamp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for delta > (punyBase-punyMin)*punyMax/2 {
		delta /= punyBase - punyMin
		k += punyBase
	}
	return k + (punyBase-punyMin+1)*delta/(delta+punySkew)
}
