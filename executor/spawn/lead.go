package spawn

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// patience is how long a program is tried for that is still open for writing,
// in a process that was made in that moment.
const patience = time.Second

// lead makes the process, and another one if need be, until one executes a file, in
// the way of execvp(3).
func (c *Child) lead(ctx context.Context, s *script) error {
	missing := &Failure{Step: StepExec, Errno: syscall.ENOENT}
	for i, path := range c.Program.Paths {
		if len(c.Program.Paths) > 1 && c.lacks(path) {
			continue
		}
		err := c.execute(ctx, s, i)
		var f *Failure
		switch {
		case !errors.As(err, &f) || f.Step != StepExec:
			return err
		case f.Errno == syscall.EACCES:
			missing = f // Another directory may have one that is permitted.
		case f.Errno != syscall.ENOENT && f.Errno != syscall.ENOTDIR:
			return f
		}
	}
	return missing
}

// lacks says that a file is not there for sure.
func (c *Child) lacks(path string) bool {
	if len(c.Program.View.Mounts) > 0 || c.Program.Join.Mount != nil {
		return false // It sees others.
	}
	_, err := os.Lstat(path)
	return errors.Is(err, syscall.ENOENT)
}

// execute has a process execute one of the paths.
func (c *Child) execute(ctx context.Context, s *script, path int) error {
	shell, wait := false, time.Millisecond
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		s.choose(path, shell)
		err := c.try(s)
		var f *Failure
		switch {
		case !errors.As(err, &f) || f.Step != StepExec:
			return err
		case f.Errno == syscall.ENOEXEC && !shell:
			shell = true
		case f.Errno == syscall.ETXTBSY && wait < patience:
			if err := pause(ctx, wait); err != nil {
				return err
			}
			wait *= 2
		default:
			return f
		}
	}
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
