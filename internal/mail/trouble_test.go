package mail

import "testing"

func TestParseTrouble(t *testing.T) {
	got, err := ParseTrouble([]string{"Bounce", "policy"})
	if err != nil || got != TroubleBounce|TroublePolicy {
		t.Errorf("%b %v", got, err)
	}
	if _, err := ParseTrouble([]string{"policy", "no-such"}); err == nil || err.Error() != `unknown error class "no-such"` {
		t.Errorf("%v", err)
	}
}

func TestVERP(t *testing.T) {
	for _, c := range []struct {
		sender, delims string
		to             Recipient
		want           Address
	}{
		{"list@origin.test", "+=", Recipient{Address: "user@dest.test"}, "list+user=dest.test@origin.test"},
		{"list-x@origin.test", "-=", Recipient{Address: "new@else.test", Original: "user@dest.test"}, "list-x-user=dest.test@origin.test"},
		{"list", "+=", Recipient{Address: "user"}, "list+user"},
		{"", "+=", Recipient{Address: "user@dest.test"}, ""},
		{"list@origin.test", "", Recipient{Address: "user@dest.test"}, "list@origin.test"},
	} {
		if got := Address(c.sender).VERP(c.delims, c.to); got != c.want {
			t.Errorf("%s %s %v: %s, want %s", c.sender, c.delims, c.to, got, c.want)
		}
	}
}
