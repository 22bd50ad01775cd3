package selection

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func sample() *Message {
	return &Message{
		ID: "4XyZ12abcdz1", Queue: "deferred", Sender: "Boss@Example.com", Size: 10 << 20,
		ClientName: "mail.client.test", ClientAddress: "192.0.2.7", Arrival: now.Add(-2 * time.Hour),
		Recipients: []Recipient{
			{`"a b"@one.test`, "connect to one.test[192.0.2.1]:25: Connection refused"},
			{"x@Two.test", ""},
		},
	}
}

func TestMatch(t *testing.T) {
	null := sample()
	null.Sender, null.ClientName, null.ClientAddress = NullSender, "", ""
	for _, test := range []struct {
		text       string
		want, null bool
	}{
		{`sender = boss@example.COM`, true, false},
		{`sender != boss@example.com`, false, true},
		{`sender = <>`, false, true},
		{`sender = ""`, false, true},
		{`sender=MAILER-DAEMON`, false, true},
		{`sender ~ .`, true, false},
		{`sender ~ '^BOSS@'`, true, false},
		{`sender ~ '(?-i)^BOSS@'`, false, false},
		{`recipient = '"a b"@one.test'`, true, true},
		{`recipient = x@two.test`, true, true},
		{`recipient != x@two.test`, false, false}, // one of them is
		{`recipient !~ nobody`, true, true},
		{`domain = TWO.test and domain = one.test`, true, true},
		{`domain = three.test`, false, false},
		{`domain ~ ^t`, true, true},
		{`queue = deferred`, true, true},
		{`queue=active or queue=hold`, false, false},
		{`reason ~ refused`, true, true},
		{`reason = ""`, true, true},
		{`reason ~ "\[192\.0\.2\.1\]"`, true, true},
		{`client = 192.0.2.7`, true, false},
		{`client = mail.client.test`, true, false},
		{`client ~ \.client\.test$`, true, false},
		{`client = ''`, false, true},
		{`id = 4xyz12abcdz1`, true, true},
		{`id != 4XyZ12abcdz1`, false, false},
		{`size = 10M`, true, true},
		{`size >= 10240k and size <= 10485760`, true, true},
		{`size > 10M or size < 10m`, false, false},
		{`size != 1G`, true, true},
		{`age > 1h`, true, true},
		{`age >= 7200 and age <= 120m`, true, true},
		{`age < 3d and age < 1w and not age = 7199s`, true, true},
		{`not (queue = deferred and not sender = <>)`, false, true},
		{`queue = hold and queue = hold or queue = deferred`, true, true},
		{`queue = hold and (queue = hold or queue = deferred)`, false, false},
		{`NOT not Queue = deferred`, true, true},
		{`queue=deferred and not(sender=<>)and size>1`, true, false},
	} {
		e, err := Parse(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if got := e.Match(sample(), now); got != test.want {
			t.Errorf("%s: %t", test.text, got)
		}
		if got := e.Match(null, now); got != test.null {
			t.Errorf("%s: %t for mail from the null sender", test.text, got)
		}
	}
}

func TestUses(t *testing.T) {
	e, err := Parse(`sender = a and (size > 1 or not queue = hold)`)
	if err != nil {
		t.Fatal(err)
	}
	for f := range Age + 1 {
		if want := f == Sender || f == Size || f == Queue; e.Uses(f) != want {
			t.Errorf("%s: %t", fieldNames[f], !want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		text   string
		column int
		want   string
	}{
		{``, 1, "not the end"},
		{`  `, 3, "not the end"},
		{`color = red`, 1, `expected a field (sender, recipient, domain, queue, reason, client, id, size, age), not "color"`},
		{`sender`, 7, "expected an operator of sender (= != ~ !~), not the end"},
		{`sender @ x`, 8, `not "@"`},
		{`sender < x`, 8, "sender has no operator < (it has = != ~ !~)"},
		{`age ~ x`, 5, "age has no operator ~ (it has = != < > <= >=)"},
		{`sender =`, 9, "expected a value, not the end"},
		{`sender = (a)`, 10, `expected a value, not "("`},
		{`sender ~ a(b)`, 11, "needs quotes around the value"},
		{`sender ~ a"b`, 11, "needs quotes around the value"},
		{`sender ~ "a(b"`, 10, "missing closing )"},
		{`sender ~ "a)(b"`, 10, "unexpected )"},
		{`sender = "a`, 10, "no end of this quote"},
		{`size > 10X`, 8, `"10X" is not a size`},
		{`size > -1`, 8, "is not a size"},
		{`size > 9223372036854775807k`, 8, "is not a size"},
		{`age > 2y`, 7, `"2y" is not an age`},
		{`age > ""`, 7, `"" is not an age`},
		{`(size > 1`, 1, "no ) for this ("},
		{`size > 1)`, 9, "no ( for this )"},
		{`size > 1 size > 2`, 10, `not "s"`},
		{`(size > 1 é`, 11, `not "é"`},
		{`size > 1 and`, 13, "not the end"},
		{`not`, 4, "not the end"},
		{strings.Repeat("(", 200) + "size > 1", 102, "nested too deeply"},
		{strings.Repeat("not ", 200) + "size > 1", 405, "nested too deeply"},
	} {
		_, err := Parse(test.text)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", test.text, err)
		} else if e.Column != test.column || !strings.Contains(e.Text, test.want) {
			t.Errorf("%s: %v", test.text, err)
		}
	}
}

// equal compares expressions, all but the compiled form of regular expressions.
func equal(a, b node) bool {
	list := func(x, y []node) bool {
		for i := range x {
			if len(x) != len(y) || !equal(x[i], y[i]) {
				return false
			}
		}
		return true
	}
	switch a := a.(type) {
	case anyOf:
		b, same := b.(anyOf)
		return same && list(a, b)
	case allOf:
		b, same := b.(allOf)
		return same && list(a, b)
	case negation:
		b, same := b.(negation)
		return same && equal(a.node, b.node)
	case *comparison:
		b, same := b.(*comparison)
		if !same {
			return false
		}
		x, y := *a, *b
		x.re, y.re = nil, nil
		return x == y
	}
	return false
}

func TestString(t *testing.T) {
	for text, want := range map[string]string{
		`((size>1K))`: `size > 1024`,
		`sender='"' and (age > 2m and id=x) or (not (queue=a or queue = b))`: `sender = "\"" and age > 120s and id = "x" or not (queue = "a" or queue = "b")`,
		`(id=a or id=b) and reason ~ "a\.b"`:                                 `(id = "a" or id = "b") and reason ~ "a\\.b"`,
	} {
		e, err := Parse(text)
		if err != nil || e.String() != want {
			t.Errorf("%s: %v %v", text, e, err)
		}
	}
}

// FuzzParse: what is printed parses to the same; wrong text gets an error with a
// place in the text.
func FuzzParse(f *testing.F) {
	f.Add(`domain = example.com and age > 2h and not sender = <>`)
	f.Add(`(size >= 10M or reason ~ "time[d ]*out") and queue != 'hold'`)
	f.Add(`client !~ ^192\. or id = "a\"b\\" and (not not recipient ~ '(x|y)')`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			var bad *Error
			if !errors.As(err, &bad) || bad.Column < 1 || bad.Column > len(text)+1 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		printed := e.String()
		again, err := Parse(printed)
		if err != nil || !equal(e.root, again.root) || again.String() != printed {
			t.Fatalf("%q printed as %q: %v", text, printed, err)
		}
		m := sample()
		if e.Match(m, now) != again.Match(m, now) {
			t.Fatalf("%q and %q differ", text, printed)
		}
	})
}
