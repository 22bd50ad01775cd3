package smtpd

import (
	"net"
	"testing"
	"time"
)

// A stop that comes between the client's MAIL and the note that a transaction
// is open must not end the transaction as if the client were late.
func TestStopDuringMail(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	defer server.Close()
	l := &link{conn: server, timeout: time.Minute}
	buf := make([]byte, 16)
	go client.Write([]byte("MAIL"))
	if n, err := l.Read(buf); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	l.wake()
	l.setInMail(true)
	go client.Write([]byte("RCPT"))
	if n, err := l.Read(buf); n != 4 || err != nil {
		t.Errorf("in the transaction: %d, %v", n, err)
	}
	l.setInMail(false)
	if _, err := l.Read(buf); err != errDrain {
		t.Errorf("after it: %v", err)
	}
}
