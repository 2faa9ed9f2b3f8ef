package executorapi

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxSocketPath is what fits into a sockaddr_un, its closing zero not counted.
const maxSocketPath = 107

// dialer makes connections whose death is noticed.
type dialer struct {
	timeout, deadAfter time.Duration
	socket             string // empty for TCP
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.socket != "" {
		return d.dialSocket(ctx)
	}
	const probes = 3
	return (&net.Dialer{
		Timeout: d.timeout,
		// Silence is what finds a peer that is gone while nothing is sent ...
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: d.deadAfter / (probes + 1), Interval: d.deadAfter / (probes + 1), Count: probes,
		},
		// ... and this while something is.
		Control: func(_, _ string, raw syscall.RawConn) error {
			var failure error
			err := raw.Control(func(fd uintptr) {
				failure = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.deadAfter.Milliseconds()))
			})
			if err != nil {
				return err
			}
			return failure
		},
	}).DialContext(ctx, network, address)
}

func (d dialer) dialSocket(ctx context.Context) (net.Conn, error) {
	path := d.socket
	if len(path) > maxSocketPath {
		// A descriptor of the directory makes the path short.
		dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("cannot open the directory of the socket %s: %w", path, err)
		}
		defer unix.Close(dir)
		path = fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(path))
	}
	return (&net.Dialer{Timeout: d.timeout}).DialContext(ctx, "unix", path)
}
