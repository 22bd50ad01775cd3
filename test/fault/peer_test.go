package fault

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"posthaste/test/traffic"
)

// badPeers are servers that never get anywhere: what they do with a connection.
var badPeers = map[string]func(c net.Conn){
	"silent": func(c net.Conn) { hold(c) },
	"after354": func(c net.Conn) {
		in := bufio.NewReader(c)
		fmt.Fprint(c, "220 bad ESMTP\r\n")
		for {
			line, err := in.ReadString('\n')
			switch {
			case err != nil:
				return
			case strings.HasPrefix(line, "DATA"):
				fmt.Fprint(c, "354 go on\r\n")
				hold(c) // reads nothing: the window closes
				return
			}
			fmt.Fprint(c, "250 ok\r\n")
		}
	},
	"trickle": func(c net.Conn) {
		for range time.Tick(200 * time.Millisecond) {
			if _, err := c.Write([]byte("2")); err != nil {
				return
			}
		}
	},
	"endless": func(c net.Conn) {
		for range time.Tick(50 * time.Millisecond) {
			if _, err := fmt.Fprint(c, "220-and so on\r\n"); err != nil {
				return
			}
		}
	},
}

// hold keeps a connection that nobody serves.
func hold(c net.Conn) {
	time.Sleep(time.Minute)
	c.Close()
}

// Mail for peers that never get anywhere is given up in time, request by request,
// and mail for others goes on beside it.
func TestSlowPeers(t *testing.T) {
	t.Parallel()
	var routes []string
	for name, serve := range badPeers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go serve(c)
			}
		}()
		routes = append(routes, fmt.Sprintf("%s.example.test=smtp:[127.0.0.1]:%d", name, l.Addr().(*net.TCPAddr).Port))
	}
	s := begin(t, setup{main: "transport_maps = inline:{" + strings.Join(routes, ", ") + `}
smtp_helo_timeout = 2s
smtp_mail_timeout = 2s
smtp_data_init_timeout = 2s
smtp_data_xfer_timeout = 2s
smtp_data_done_timeout = 2s
smtp_per_request_deadline = yes
`})
	s.calm(12)
	alone := s.pass(60)
	// In other books: this mail goes nowhere.
	for name := range badPeers {
		for n := range 5 {
			s.sendApart(300_000, fmt.Sprintf("user%d@%s.example.test", n, name))
		}
	}
	beside := s.pass(60)
	t.Logf("60 messages took %s alone and %s beside bad peers", alone, beside)
	if beside > 3*alone+2*time.Second {
		t.Errorf("beside bad peers 60 messages took %s instead of %s", beside, alone)
	}
	for name := range badPeers {
		s.until("the time limit of "+name, func() bool {
			return strings.Contains(s.LogText(), "@"+name+".example.test>, relay=127.0.0.1") || strings.Contains(s.LogText(), "@"+name+".example.test>, relay=none")
		})
	}
	for _, line := range deferred.FindAllString(s.LogText(), -1) {
		if strings.Contains(line, traffic.SinkDomain) || !strings.Contains(line, "dsn=4.4.2") && !strings.Contains(line, "dsn=4.4.1") && !strings.Contains(line, "dsn=4.5.0") {
			t.Error(line)
		}
	}
	if _, err := s.Run("postsuper", "-d", "ALL"); err != nil {
		t.Error(err)
	}
	s.close()
}

// pass sends some messages and waits until the good ones have arrived.
func (s *site) pass(count int) time.Duration {
	start, before := time.Now(), s.books.Arrived()
	if r := s.burst(count, 8, 2000); !r.all() {
		s.t.Errorf("%+v", r)
	}
	s.until("good mail", func() bool { return s.books.Arrived()-before >= count/3 }) // one third is for the sink, one for both
	return time.Since(start)
}
