package peer

import (
	"bufio"
	"fmt"
	"net"
	"time"
)

// Client is a client's connection for programs that send what they like and
// look at each reply. It is not safe for concurrent use.
type Client struct {
	conn  net.Conn
	r     *bufio.Reader
	limit time.Duration
}

// Connect connects to a server. limit is for connecting, and for each write
// and each reply after that.
func Connect(to string, limit time.Duration) (*Client, error) {
	conn, err := net.DialTimeout("tcp", to, limit)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn, r: bufio.NewReader(conn), limit: limit}, nil
}

// Close closes the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Write sends bytes as they are.
func (c *Client) Write(b []byte) (int, error) {
	c.conn.SetWriteDeadline(time.Now().Add(c.limit))
	return c.conn.Write(b)
}

// Reply reads one reply, of several lines maybe, and returns its last line,
// without CRLF. The line begins with a code of three characters and a space.
func (c *Client) Reply() (string, error) {
	c.conn.SetReadDeadline(time.Now().Add(c.limit))
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if len(line) < 6 || line[len(line)-2] != '\r' || line[3] != ' ' && line[3] != '-' {
			return "", fmt.Errorf("not a reply: %q", line)
		}
		if line[3] == ' ' {
			return line[:len(line)-2], nil
		}
	}
}
