package spawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
	"unsafe"
)

// patience is how long a program is tried for that is still open for writing,
// in a process that was made in that moment.
const patience = time.Second

// lead tells the child to go on, and leads it to the file that it can execute,
// in the way of execvp(3).
func (c *Child) lead(ctx context.Context) error {
	// Told once, the child may run before a deadline that has passed already
	// takes effect.
	if err := context.Cause(ctx); err != nil {
		return err
	}
	failure := &Failure{Step: StepExec, Errno: syscall.ENOENT}
	isReady, wait := false, time.Millisecond
	for forward := byte(1); ; {
		if err := c.say(forward); err != nil {
			return err
		}
		said, err := c.hear()
		if err == nil && said.ready {
			isReady = true
			said, err = c.hear()
		}
		at := said.step
		switch {
		case err != nil:
			return err
		case said.ended && isReady:
			return nil
		case said.ended:
			return errors.New("the process ended early")
		case at.step != StepExec:
			return said.failure()
		}
		// It cannot be executed. What follows is a shell for it, and then the
		// next path.
		switch {
		case said.errno == syscall.ENOEXEC && !at.shell:
			forward = 1
			continue
		case said.errno == syscall.ETXTBSY && wait < patience:
			if err := pause(ctx, wait); err != nil {
				return err
			}
			forward, wait = 0, 2*wait
			continue
		case said.errno == syscall.EACCES:
			failure = said.failure() // Another directory may have one that is permitted.
		case said.errno != syscall.ENOENT && said.errno != syscall.ENOTDIR:
			return said.failure()
		}
		if at.last {
			return failure
		}
		if forward = 2; at.shell {
			forward = 1
		}
	}
}

// say tells the child how many operations to go forward.
func (c *Child) say(forward byte) error {
	_, err := c.socket.Write([]byte{forward})
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("cannot talk to the process: %w", err)
	}
	return nil
}

// word is what a child says: that it is ready, that it has closed its socket, or
// what has come of an operation.
type word struct {
	ready, ended bool
	step         step
	errno        syscall.Errno
}

func (w *word) failure() *Failure {
	return &Failure{Step: w.step.step, Which: w.step.which, Errno: w.errno}
}

func (c *Child) hear() (word, error) {
	var r report
	message := (*[unsafe.Sizeof(r)]byte)(unsafe.Pointer(&r))[:]
	n, err := c.socket.Read(message)
	if errors.Is(err, syscall.ECONNRESET) {
		// It has ended without reading what it was told. The kernel says so once,
		// and that before what the child has said.
		n, err = c.socket.Read(message)
	}
	switch {
	case errors.Is(err, io.EOF):
		return word{ended: true}, nil
	case err != nil:
		return word{}, fmt.Errorf("cannot talk to the process: %w", err)
	case n == 1:
		return word{ready: true}, nil
	case n != len(message):
		return word{}, fmt.Errorf("the process says something of %d bytes", n)
	}
	return c.script.meaning(r)
}

// meaning finds the operation that a report is of.
func (s *script) meaning(r report) (word, error) {
	first := address(&s.ops[0])
	i := (r.op - first) / unsafe.Sizeof(op{})
	if r.op < first || i >= uintptr(len(s.ops)) {
		return word{}, errors.New("the process speaks of what it was not told to do")
	}
	w := word{step: s.steps[i], errno: syscall.Errno(-r.result)}
	if s.ops[i].rule == ruleEqual {
		w.errno = syscall.ESRCH // Nobody is there any more.
	}
	return w, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
