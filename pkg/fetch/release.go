package fetch

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// releaseTime bounds the wait of release; children become other programs within
// milliseconds.
const releaseTime = 2 * time.Second

// release does what Release does with a file below the root.
func (w writer) release(name string) error {
	f, err := w.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	Release(f)
	return nil
}

// Release waits, for two seconds at most, until nobody has a program open for
// writing; f is open for reading. This process has closed it, but a child that it
// forked meanwhile has it open until it has become another program, and until
// then the kernel refuses to run it ("text file busy"). A lease is to be had only
// then; where there are no leases there is no wait.
func Release(f *os.File) {
	for waited, pause := time.Duration(0), time.Millisecond; waited < releaseTime; waited += pause {
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
		if !errors.Is(err, syscall.EAGAIN) {
			return // closing the file gives the lease back
		}
		time.Sleep(pause)
	}
}
