package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"golang.org/x/sys/unix"
)

// pressureLevels are the kernel's words for how hard it is to find memory for a
// cgroup, on v1.
var pressureLevels = [...]string{"low", "medium", "critical"}

// pressure counts how often memory was short in a cgroup, as a real agent does.
// Its methods are not safe for concurrent use.
type pressure struct {
	events [len(pressureLevels)]int // eventfds, which the kernel counts up
	counts [len(pressureLevels)]uint64
}

// watchPressure begins to count for a memory cgroup of v1.
func watchPressure(dir string) (*pressure, error) {
	p := &pressure{}
	for i, level := range pressureLevels {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot count memory pressure: %w", err), p.closeFirst(i))
		}
		p.events[i] = fd
		if err := notifyOfPressure(dir, level, fd); err != nil {
			return nil, errors.Join(fmt.Errorf("cannot count memory pressure in %s: %w", dir, err), p.closeFirst(i+1))
		}
	}
	return p, nil
}

func notifyOfPressure(dir, level string, event int) error {
	control, err := os.Open(filepath.Join(dir, "memory.pressure_level"))
	if err != nil {
		return err
	}
	defer control.Close()
	line := fmt.Sprintf("%d %d %s", event, control.Fd(), level)
	return os.WriteFile(filepath.Join(dir, "cgroup.event_control"), []byte(line), 0)
}

// tell adds the counts so far to what is told of a container.
func (p *pressure) tell(s *mesos.ResourceStatistics) {
	for i, fd := range p.events {
		var count [8]byte
		// The kernel has nothing to tell when nothing has happened.
		if n, err := unix.Read(fd, count[:]); err == nil && n == len(count) {
			p.counts[i] += binary.NativeEndian.Uint64(count[:])
		}
	}
	counts := p.counts
	s.MemLowPressureCounter, s.MemMediumPressureCounter, s.MemCriticalPressureCounter = &counts[0], &counts[1], &counts[2]
}

func (p *pressure) close() error { return p.closeFirst(len(p.events)) }

func (p *pressure) closeFirst(n int) error {
	var errs []error
	for _, fd := range p.events[:n] {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}
