package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"time"

	"posthaste/test/harness"
	"posthaste/test/process"
)

// idleFigures are what idle connections cost a system.
type idleFigures struct {
	Connections int
	KiB         float64       // memory (PSS) of the process tree for each; the kernel's is left out
	Greeting    time.Duration // until a new client is greeted, while all others wait
}

// idleMain lets as many clients stay as the test opens.
const idleMain = `mydestination =
local_recipient_maps =
smtpd_client_connection_count_limit = 0
default_process_limit = 20000
`

// perAddress is how many connections come from one address of 127.0.0.0/8: each
// has its own 28,000 ports.
const perAddress = 1000

// idle opens n connections, each after its EHLO, and measures while they wait.
func idle(st *stage, system harness.System, n int) (f idleFigures, err error) {
	i, err := st.begin(harness.Config{System: system, Main: idleMain})
	if err != nil {
		return f, err
	}
	defer i.Stop()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	before := 0.0
	for len(open) <= n { // the first is not counted: it starts what is not there yet
		c, err := greet(i.Addr(), len(open)/perAddress)
		if err != nil {
			return f, fmt.Errorf("connection %d: %w", len(open), err)
		}
		if open = append(open, c); len(open) == 1 {
			before = process.PSS(i.MasterPID())
		}
	}
	start := time.Now()
	c, err := greet(i.Addr(), 200)
	if err != nil {
		return f, fmt.Errorf("a new client beside %d idle ones: %w", n, err)
	}
	c.Close()
	f.Greeting = time.Since(start)
	f.Connections = n
	f.KiB = (process.PSS(i.MasterPID()) - before) * 1024 / float64(n)
	if len(process.Tree(i.MasterPID())) == 0 {
		return f, fmt.Errorf("%s has gone", system)
	}
	return f, nil
}

// greet connects from address number `from` of the loopback network and says EHLO.
func greet(addr string, from int) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+from))}, Timeout: 20 * time.Second}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReaderSize(c, 512)
	for _, command := range []string{"", "EHLO idle.client.test\r\n"} {
		if err := ask(c, r, command); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// ask sends a command and reads the answer to its end, which must be of the 2xx.
func ask(c net.Conn, r *bufio.Reader, command string) error {
	if _, err := fmt.Fprint(c, command); err != nil {
		return err
	}
	for {
		line, err := r.ReadString('\n')
		switch {
		case err != nil:
			return err
		case len(line) < 4 || line[0] != '2':
			return fmt.Errorf("answer %q", line)
		case line[3] == ' ':
			return nil
		}
	}
}

// printIdle measures idle connections and prints a table; Postfix has a process for
// each, so it gets a fifth of them. It returns the exit status.
func printIdle(st *stage, n int, only string) int {
	fmt.Println("| system | idle connections | KiB each | a new client is greeted after |")
	fmt.Println("|--|--:|--:|--:|")
	for _, s := range []struct {
		system harness.System
		n      int
	}{{harness.Ours, n}, {harness.Postfix, n / 5}} {
		if only != "" && only != string(s.system) {
			continue
		}
		f, err := idle(st, s.system, s.n)
		if err != nil {
			fmt.Fprintf(os.Stderr, "load: %s: %s\n", s.system, err)
			return 1
		}
		fmt.Printf("| %s | %d | %.1f | %.1f ms |\n", s.system, f.Connections, f.KiB, float64(f.Greeting.Microseconds())/1000)
	}
	return 0
}
