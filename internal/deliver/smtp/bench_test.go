package smtp

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	"posthaste/internal/mail"
)

// sink takes messages as fast as it can and looks at nothing.
func sink(b *testing.B) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go drain(conn)
		}
	}()
	return ln.Addr().String()
}

func drain(conn net.Conn) {
	defer conn.Close()
	in, out := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriter(conn)
	out.WriteString("220 sink ESMTP\r\n")
	data := false
	for {
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
		line, err := in.ReadSlice('\n')
		switch {
		case err != nil:
			return
		case data:
			if len(line) == 3 && line[0] == '.' {
				data = false
				out.WriteString("250 2.0.0 Ok\r\n")
			}
		case bytes.HasPrefix(line, []byte("EHLO")):
			out.WriteString("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n")
		case bytes.HasPrefix(line, []byte("DATA")):
			data = true
			out.WriteString("354 go\r\n")
		case bytes.HasPrefix(line, []byte("QUIT")):
			return
		default:
			out.WriteString("250 2.1.0 Ok\r\n")
		}
	}
}

// BenchmarkDeliver delivers messages of 4 kB, over kept and over new
// connections.
func BenchmarkDeliver(b *testing.B) {
	for _, kept := range []bool{true, false} {
		b.Run(fmt.Sprintf("kept=%v", kept), func(b *testing.B) {
			p := params()
			p.CacheOnDemand = kept
			a := newSetup(b, p, nil, false)
			r := request(b, sink(b), "a@b.test")
			r.Content = content(b, strings.Split(strings.Repeat(strings.Repeat("x", 63)+"\n", 64), "\n")...)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					sent := false
					err := a.Deliver(b.Context(), r, func(_ mail.RecipientIndex, st mail.Status) { sent = st.Action == mail.Relayed })
					if err != nil || !sent {
						b.Error("not delivered: ", err)
						return
					}
				}
			})
		})
	}
}
