package ipc

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"posthaste/internal/mail"
)

// fill gives every field below v a value of its own, so that a field that does
// not travel is noticed.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(*n, *n)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.String:
		v.SetString(time.Unix(*n, 0).String())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(*n)
	case reflect.Uint8:
		v.SetUint(uint64(*n%6) + 1)
	case reflect.Uint16:
		v.SetUint(uint64(*n))
	}
}

func TestMailWords(t *testing.T) {
	var n int64
	var env mail.Envelope
	var rcpt mail.Recipient
	var st mail.Status
	fill(reflect.ValueOf(&env).Elem(), &n)
	fill(reflect.ValueOf(&rcpt).Elem(), &n)
	fill(reflect.ValueOf(&st).Elem(), &n)
	st.Parts = []mail.Part{
		{Recipient: rcpt, Status: mail.Bounce("5.1.1", "unknown")},
		{Recipient: mail.Recipient{Address: "x@y.test"}, Status: mail.Sent("2.0.0", "ok"), Service: "lmtp", Unlogged: true},
	}
	refusal := &mail.Error{Reply: 452, Code: "4.3.1", Text: "full"}
	var e Encoder
	e.Envelope(&env)
	e.Recipient(rcpt)
	e.Status(st)
	e.Refusal(refusal)
	d := NewDecoder(e.Frame())
	for _, c := range []struct{ got, want any }{
		{d.Envelope(), env}, {d.Recipient(), rcpt}, {d.Status(), st}, {d.Refusal(), refusal},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got  %+v\nwant %+v", c.got, c.want)
		}
	}
	if err := d.Done(); err != nil {
		t.Error(err)
	}
}

func FuzzMailWords(f *testing.F) {
	var e Encoder
	e.Envelope(&mail.Envelope{Sender: "a@b.test"})
	e.Recipient(mail.Recipient{Address: "c@d.test"})
	st := mail.Sent("2.0.0", "ok")
	st.Parts = []mail.Part{{Status: mail.Defer("4.0.0", "later")}}
	e.Status(st)
	f.Add(e.Frame())
	f.Fuzz(func(t *testing.T, frame []byte) {
		d := NewDecoder(frame)
		envelope, rcpt := d.Envelope(), d.Recipient()
		st := d.Status()
		if st.Action.LogName() == "" { // an index that must be in range
			t.Error("an action without a name")
		}
		if d.Done() != nil {
			return
		}
		// What is understood is understood in the same way when it is passed on.
		var once, twice Encoder
		for _, e := range []*Encoder{&once, &twice} {
			e.Envelope(&envelope)
			e.Recipient(rcpt)
			e.Status(st)
			again := NewDecoder(e.Frame())
			envelope, rcpt, st = again.Envelope(), again.Recipient(), again.Status()
			if err := again.Done(); err != nil {
				t.Fatalf("% x: %v", e.Frame(), err)
			}
		}
		if !bytes.Equal(once.Frame(), twice.Frame()) {
			t.Errorf("% x became % x", once.Frame(), twice.Frame())
		}
	})
}
