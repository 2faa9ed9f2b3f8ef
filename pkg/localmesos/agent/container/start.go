package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// NotExecutedError says that an executor's program could not be started.
type NotExecutedError struct{ Err error }

func (e *NotExecutedError) Error() string { return "cannot start the executor: " + e.Err.Error() }
func (e *NotExecutedError) Unwrap() error { return e.Err }

// start starts a command in the groups, if there are any. On v2 there is one at
// most.
//
// On v2 the kernel puts it there as it is born. On v1 it is traced until its
// exec is done, moved while it stands at the first instruction of its program,
// and let go.
func start(command func() *exec.Cmd, log logrus.FieldLogger, groups ...*cgroup.Group) (*exec.Cmd, error) {
	cmd := command()
	if len(groups) == 0 {
		return cmd, wrapStart(cmd.Start())
	}
	release, born, err := groups[0].Prepare(cmd.SysProcAttr)
	if err != nil {
		return nil, err
	}
	if born {
		defer release()
		return cmd, wrapStart(cmd.Start())
	}
	// The thread that forks is the tracer.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr.Ptrace = true
	err = cmd.Start()
	if errors.Is(err, syscall.EPERM) {
		log.Warn("tracing is forbidden here: an executor runs some instructions outside its cgroup")
		return startAndMove(command(), groups)
	}
	if err != nil {
		return nil, wrapStart(err)
	}
	return cmd, placeTraced(cmd, groups)
}

func placeTraced(cmd *exec.Cmd, groups []*cgroup.Group) error {
	pid := cmd.Process.Pid
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &ws, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return errors.Join(fmt.Errorf("cannot wait for the executor's start: %w", err), end(cmd))
		}
		break
	}
	if !ws.Stopped() {
		return fmt.Errorf("the executor ended before its first instruction: wait status %d", uint32(ws))
	}
	if err := join(pid, groups); err != nil {
		return errors.Join(err, end(cmd))
	}
	if err := unix.PtraceDetach(pid); err != nil {
		return errors.Join(fmt.Errorf("cannot let the executor go: %w", err), end(cmd))
	}
	return nil
}

// join moves a process into the groups, one after the other.
func join(pid int, groups []*cgroup.Group) error {
	for _, g := range groups {
		if err := g.Add(pid); err != nil {
			return err
		}
	}
	return nil
}

// startAndMove is for machines that forbid tracing.
func startAndMove(cmd *exec.Cmd, groups []*cgroup.Group) (*exec.Cmd, error) {
	if err := wrapStart(cmd.Start()); err != nil {
		return nil, err
	}
	if err := join(cmd.Process.Pid, groups); err != nil {
		return nil, errors.Join(err, end(cmd))
	}
	return cmd, nil
}

// end kills and reaps a command that must not go on.
func end(cmd *exec.Cmd) error {
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = cmd.Wait() // it was killed, and says so
	return nil
}

func wrapStart(err error) error {
	if err != nil {
		return &NotExecutedError{err}
	}
	return nil
}

// lookup finds a program as execvpe(3) does, in the PATH that it will have. It
// returns the name itself if there is none.
func lookup(name string, env []string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, variable := range env {
		list, ok := strings.CutPrefix(variable, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			file := filepath.Join(dir, name)
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return file
			}
		}
	}
	return name
}
