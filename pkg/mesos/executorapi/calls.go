package executorapi

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// caller makes calls over a number of connections, each call in the goroutine that
// asks for it. net/http has a goroutine write and another one read, and to wake them
// up is most of what a call takes.
type caller struct {
	dial    func(context.Context) (net.Conn, error)
	head    []byte // of every request, up to its length
	timeout time.Duration
	// conns are those that are not in use; nil stands for one that is not connected.
	conns chan *callConn
}

type callConn struct {
	net.Conn
	answers *bufio.Reader
	request []byte // the last one's memory
}

func newCaller(n int, timeout time.Duration, head []byte, dial func(context.Context) (net.Conn, error)) *caller {
	c := &caller{dial: dial, head: head, timeout: timeout, conns: make(chan *callConn, n)}
	for range n {
		c.conns <- nil
	}
	return c
}

// answer is what there is to know of one.
type answer struct {
	status int
	text   []byte
}

// textSize bounds how much of an answer is read.
const textSize = 64 << 10

// call makes a call and waits for its answer.
func (c *caller) call(ctx context.Context, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var conn *callConn
	select {
	case conn = <-c.conns:
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	a, conn, err := c.exchange(ctx, conn, body)
	c.conns <- conn
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return a, err
}

// exchange makes a call over a connection, or over a new one where that has been
// closed, and returns the one for the next call.
func (c *caller) exchange(ctx context.Context, conn *callConn, body []byte) (answer, *callConn, error) {
	if conn != nil {
		a, stays, err := c.over(ctx, conn, body)
		switch {
		case err == nil && stays:
			return a, conn, nil
		case err == nil || ctx.Err() != nil || conn.answers.Buffered() > 0:
			_ = conn.Close()
			return a, nil, err
		}
		_ = conn.Close() // What an agent takes twice it takes once.
	}
	made, err := c.dial(ctx)
	if err != nil {
		return answer{}, nil, err
	}
	conn = &callConn{Conn: made, answers: bufio.NewReader(made)}
	a, stays, err := c.over(ctx, conn, body)
	if err != nil || !stays {
		_ = conn.Close()
		conn = nil
	}
	return a, conn, err
}

// over makes a call over a connection, and says whether that is good for another.
func (c *caller) over(ctx context.Context, conn *callConn, body []byte) (a answer, stays bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() { stays = stop() && stays }()
	conn.request = append(conn.request[:0], c.head...)
	conn.request = strconv.AppendInt(conn.request, int64(len(body)), 10)
	conn.request = append(conn.request, "\r\n\r\n"...)
	conn.request = append(conn.request, body...)
	if _, err := conn.Write(conn.request); err != nil {
		return answer{}, false, err
	}
	response, err := http.ReadResponse(conn.answers, nil)
	for err == nil && response.StatusCode < http.StatusOK { // It says that more is to come.
		response, err = http.ReadResponse(conn.answers, nil)
	}
	if err != nil {
		return answer{}, false, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, textSize))
	return answer{response.StatusCode, text}, !response.Close && len(text) < textSize, err
}

// close closes the connections that are not in use.
func (c *caller) close() {
	for range cap(c.conns) {
		select {
		case conn := <-c.conns:
			if conn != nil {
				_ = conn.Close()
			}
			defer func() { c.conns <- nil }()
		default:
		}
	}
}

// headOf is what all requests begin with.
func headOf(host, path, token string) []byte {
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nAccept: %s\r\n", path, host, mediaType, mediaType)
	if token != "" {
		head = fmt.Appendf(head, "Authorization: Bearer %s\r\n", token)
	}
	return append(head, "Content-Length: "...)
}

// secure makes a connection https.
func secure(ctx context.Context, conn net.Conn, config *tls.Config, endpoint string) (net.Conn, error) {
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(endpoint) // It was checked.
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}
