package harness

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"time"
)

// SendMany sends one message to count recipients by SMTP.
func (i *Instance) SendMany(count int, recipient func(n int) string) error {
	c, err := net.DialTimeout("tcp", i.Addr(), 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Minute))
	in, out := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 64<<10)
	replies := func(n int) error {
		for n > 0 {
			line, err := in.ReadString('\n')
			if err != nil || len(line) < 4 || line[0] != '2' && line[0] != '3' {
				return errors.Join(err, fmt.Errorf("the server said %q", line))
			}
			if line[3] == ' ' {
				n--
			}
		}
		return nil
	}
	say := func(text string, answers int) error {
		out.WriteString(text)
		return errors.Join(out.Flush(), replies(answers))
	}
	if err := errors.Join(replies(1), say("EHLO client.test\r\n", 1), say("MAIL FROM:<a@client.test>\r\n", 1)); err != nil {
		return err
	}
	const batch = 500 // commands sent at once
	for n := 0; n < count; n += batch {
		end := min(n+batch, count)
		for k := n; k < end; k++ {
			fmt.Fprintf(out, "RCPT TO:<%s>\r\n", recipient(k))
		}
		if err := say("", end-n); err != nil {
			return err
		}
	}
	return errors.Join(say("DATA\r\n", 1), say("Subject: many\r\n\r\nhello\r\n.\r\n", 1), say("QUIT\r\n", 1))
}
