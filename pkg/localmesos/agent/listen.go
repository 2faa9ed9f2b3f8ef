package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listen opens a TCP port. Where any will do it must be found fast, also when
// thousands are taken: Linux gives a socket with SO_REUSEADDR, which Go sets, a
// port of one quarter of its range, and searches that from end to end once it
// is full (inet_csk_find_open_port). So the port is chosen without, and the
// connections have it again, that the agent can come back to its port.
func listen(address string) (net.Listener, error) {
	if _, port, err := net.SplitHostPort(address); err != nil || port != "0" {
		return net.Listen("tcp", address)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return reuseAddress(c, 0)
	}}
	listener, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err == nil {
		err = reuseAddress(raw, 1)
	}
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// reuseAddress sets SO_REUSEADDR.
func reuseAddress(c syscall.RawConn, value int) error {
	var err error
	if failed := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, value)
	}); failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("cannot set SO_REUSEADDR: %w", err)
	}
	return nil
}

// listenAgain listens where somebody did a moment ago: a process that this one
// is about to start may still hold the port, until it has become another
// program.
func listenAgain(address string) (net.Listener, error) {
	const patience, pause = time.Second, 5 * time.Millisecond
	for waited := time.Duration(0); ; waited += pause {
		listener, err := net.Listen("tcp", address)
		if !errors.Is(err, syscall.EADDRINUSE) || waited >= patience {
			return listener, err
		}
		time.Sleep(pause)
	}
}
