package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// rawTerminal returns a System's RawTerminal for a file, nil when that is no
// terminal.
func rawTerminal(f *os.File) func() (restore func(), err error) {
	fd := int(f.Fd())
	if !term.IsTerminal(fd) {
		return nil
	}
	return func() (func(), error) {
		before, err := term.MakeRaw(fd)
		if err != nil {
			return nil, err
		}
		return func() { _ = term.Restore(fd, before) }, nil
	}
}

// resized returns a channel that tells when the terminal has changed its size.
// It is closed when ctx ends.
func resized(ctx context.Context) <-chan struct{} {
	signals, told := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGWINCH)
	go func() {
		defer close(told)
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			select {
			case <-ctx.Done():
				return
			case told <- struct{}{}:
			}
		}
	}()
	return told
}

// signalNumber returns a signal's number by its name, 0 for one that this
// machine does not know.
func signalNumber(name string) int { return int(unix.SignalNum(name)) }
