package executorapi

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPeerBehindACutCableIsNoticed connects within a network of its own, whose
// only interface then goes down: no packet tells of the end.
func TestPeerBehindACutCableIsNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the seconds that the kernel counts in")
	}
	const deadAfter = 4 * time.Second
	failure := make(chan error)
	prepared := make(chan error)
	go func() {
		// Never unlocked: the thread, and with it the network, ends here.
		runtime.LockOSThread()
		connection, err := connectAlone(t, dialer{timeout: time.Second, deadAfter: deadAfter})
		if err == nil {
			err = setLoopback(0)
		}
		prepared <- err
		if err != nil {
			return
		}
		defer connection.Close()
		_, err = connection.Read(make([]byte, 1))
		failure <- err
	}()
	if err := <-prepared; err != nil {
		t.Skipf("needs a network of its own: %v", err)
	}
	select {
	case err := <-failure:
		if err == nil || err == io.EOF {
			t.Errorf("reading ends with %v", err)
		}
	case <-time.After(10 * deadAfter):
		t.Error("nobody notices")
	}
}

// connectAlone connects to a listener in a new network, which the calling thread
// is in from then on.
func connectAlone(t *testing.T, d dialer) (net.Conn, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	if err := setLoopback(unix.IFF_UP); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { listener.Close() })
	return d.dial(t.Context(), "tcp", listener.Addr().String())
}

func setLoopback(flags uint16) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(flags)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}
