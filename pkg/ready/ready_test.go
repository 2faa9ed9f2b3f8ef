package ready_test

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/ready"
)

func watcher(t *testing.T) *ready.Watcher {
	t.Helper()
	w, err := ready.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// pipe returns a descriptor to read from, and the other end.
func pipe(t *testing.T) (read int, write *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	write = os.NewFile(uintptr(fds[1]), "pipe")
	t.Cleanup(func() { write.Close() })
	return fds[0], write
}

func TestEachIsToldOfItsOwn(t *testing.T) {
	w := watcher(t)
	const n = 100
	var told [n]atomic.Int32
	var all sync.WaitGroup
	for i := range n {
		fd, write := pipe(t)
		if i%3 == 0 { // before it is waited for
			write.WriteString("x")
		}
		all.Add(1)
		_, err := w.Add(fd, func(d *ready.Descriptor) {
			told[i].Add(1)
			if d.Close() {
				all.Done()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%3 != 0 {
			write.WriteString("x")
		}
	}
	all.Wait()
	for i := range told {
		if got := told[i].Load(); got != 1 {
			t.Errorf("number %d was told %d times", i, got)
		}
	}
}

func TestWhatIsClosedTellsNothing(t *testing.T) {
	w := watcher(t)
	fd, write := pipe(t)
	d, err := w.Add(fd, func(*ready.Descriptor) { t.Error("told of what is closed") })
	if err != nil {
		t.Fatal(err)
	}
	if !d.Close() || d.Close() {
		t.Error("it was not closed once")
	}
	if _, err := write.WriteString("x"); err == nil {
		t.Error("the descriptor is open still")
	}
	// Another that comes after it is waited for as well as ever.
	done := make(chan bool)
	fd, write = pipe(t)
	if d, err = w.Add(fd, func(*ready.Descriptor) { close(done) }); err != nil {
		t.Fatal(err)
	}
	write.WriteString("x")
	<-done
	d.Close()
}

// Low numbers stay free for those that children need.
func TestDescriptorsArePutAside(t *testing.T) {
	w := watcher(t)
	fd, _ := pipe(t)
	d, err := w.Add(fd, func(*ready.Descriptor) {})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := unix.Fstat(fd, new(unix.Stat_t)); err != unix.EBADF {
		t.Errorf("number %d: %v, want it free", fd, err)
	}
}

func TestClosedWatcherTakesNothing(t *testing.T) {
	w, err := ready.New()
	if err != nil {
		t.Fatal(err)
	}
	fd, _ := pipe(t)
	d, err := w.Add(fd, func(*ready.Descriptor) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !d.Close() {
		t.Error("what there is cannot be closed")
	}
	fd, write := pipe(t)
	if _, err := w.Add(fd, func(*ready.Descriptor) {}); err == nil {
		t.Error("it takes another")
	}
	if _, err := write.WriteString("x"); err == nil {
		t.Error("and keeps it open")
	}
}

// Where there is no room for more that stay open, there is for those that do not.
func TestRoomIsLeft(t *testing.T) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	few := was
	few.Cur = 300
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
	w := watcher(t)
	var err error
	n := 0
	for ; n < 1000 && err == nil; n++ {
		fd, openErr := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if openErr != nil {
			t.Fatalf("after %d: %v", n, openErr)
		}
		var d *ready.Descriptor
		if d, err = w.Add(fd, func(*ready.Descriptor) {}); err == nil {
			t.Cleanup(func() { d.Close() })
		}
	}
	if !errors.Is(err, unix.EMFILE) {
		t.Errorf("after %d: %v", n, err)
	}
	pipe(t)
}
