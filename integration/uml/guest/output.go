package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// output is where the program writes to: a pipe, so that it does not take
// itself for one that a person looks at, copied to the serial line that this
// machine reads.
type output struct {
	line        int
	read, write int

	mu sync.Mutex // held from reading some bytes until they are written
}

func openOutput() (*output, error) {
	line, err := unix.Open("/dev/ttyS0", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the line for output: %w", err)
	}
	t, err := unix.IoctlGetTermios(line, unix.TCGETS)
	if err == nil {
		// Bytes pass as they are.
		t.Oflag &^= unix.OPOST
		t.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
		err = unix.IoctlSetTermios(line, unix.TCSETS, t)
	}
	var ends [2]int
	if err == nil {
		err = unix.Pipe2(ends[:], unix.O_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot set the line for output: %w", err)
	}
	o := &output{line: line, read: ends[0], write: ends[1]}
	go o.copy()
	return o, nil
}

func (o *output) copy() {
	buffer := make([]byte, 1<<16)
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(o.read), Events: unix.POLLIN}}, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil {
			err = o.pass(buffer)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "guest: cannot copy the output:", err)
			return
		}
	}
}

func (o *output) pass(buffer []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := unix.Read(o.read, buffer)
	for rest := buffer[:max(n, 0)]; len(rest) > 0 && err == nil; {
		n, err = unix.Write(o.line, rest)
		rest = rest[max(n, 0):]
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
	}
	return err
}

// flush returns when all that has been written so far is out. Who still has
// the pipe open is not waited for.
func (o *output) flush() error {
	for {
		o.mu.Lock()
		waiting, err := unix.IoctlGetInt(o.read, unix.TIOCINQ)
		o.mu.Unlock()
		if err == nil && waiting == 0 {
			err = unix.IoctlSetInt(o.line, unix.TCSBRK, 1)
		}
		if err != nil {
			return fmt.Errorf("cannot flush the output: %w", err)
		}
		if waiting == 0 {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}
