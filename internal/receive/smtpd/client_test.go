package smtpd

import (
	"net"
	"testing"
)

// TestClientAddress holds that an address has one form, whatever socket it came
// by, so that mynetworks and access tables mean the same client (CVE-2005-0337
// is of this kind).
func TestClientAddress(t *testing.T) {
	for _, tt := range []struct {
		in   net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}, "192.0.2.1"},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 1}, "192.0.2.1"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 1}, "fe80::1"},
		{&net.TCPAddr{IP: net.ParseIP("::1"), Port: 1}, "::1"},
	} {
		got, ok := addrPort(tt.in)
		if !ok || got.Addr().String() != tt.want {
			t.Errorf("%v: %v, %v", tt.in, got, ok)
		}
	}
	if _, ok := addrPort(&net.UnixAddr{Name: "x"}); ok {
		t.Error("a local socket has no address")
	}
}
