package container

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"golang.org/x/sys/unix"
)

// TestPressureIsCounted has the test count up what the kernel would.
func TestPressureIsCounted(t *testing.T) {
	p := &pressure{}
	for i := range p.events {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			t.Fatal(err)
		}
		p.events[i] = fd
	}
	defer p.close()
	add := func(i int, n uint64) {
		if _, err := unix.Write(p.events[i], binary.NativeEndian.AppendUint64(nil, n)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(low, medium, critical uint64) {
		t.Helper()
		var s mesos.ResourceStatistics
		p.tell(&s)
		if s.GetMemLowPressureCounter() != low || s.GetMemMediumPressureCounter() != medium || s.GetMemCriticalPressureCounter() != critical {
			t.Errorf("%d, %d, %d; want %d, %d, %d", s.GetMemLowPressureCounter(), s.GetMemMediumPressureCounter(),
				s.GetMemCriticalPressureCounter(), low, medium, critical)
		}
	}
	want(0, 0, 0)
	add(0, 2)
	add(1, 1)
	want(2, 1, 0)
	add(0, 1)
	add(2, 3)
	want(3, 1, 3)
}

func TestPressureOfNoCgroup(t *testing.T) {
	if _, err := watchPressure(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
