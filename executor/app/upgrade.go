package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/executor/handover"
	"github.com/tandem-mesos/tandem/executor/loop"
	"github.com/tandem-mesos/tandem/executor/task"
	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/fetch"
)

// upgradeDir is the directory of the sandbox that new executors are put into.
const upgradeDir = "upgrade"

const (
	// tryTime bounds how long a program may take to say whether it can go on.
	tryTime = 10 * time.Second
	// busyTime is the wait for processes to end that were made while the program
	// was written, and have it open.
	busyTime = 5 * time.Millisecond
)

// upgrader replaces this program by another.
type upgrader struct {
	machine *machine
	// program is the one that was prepared last.
	program *program
	// suspended are those of the last Suspend, and states what is passed on of them.
	suspended []*workload.Process
	states    []handover.Workload
}

// Prepare fetches a program, and asks it whether it could go on.
func (u *upgrader) Prepare(ctx context.Context, p core.Prepare) (same bool, err error) {
	o := u.machine.options
	if o.Replace == nil {
		return false, errors.New("this executor cannot replace itself")
	}
	if err := u.machine.launcher.CanSuspend(); err != nil {
		return false, fmt.Errorf("it cannot be replaced while it runs: %w", err)
	}
	if sum := u.machine.sum(); sum != "" && strings.EqualFold(sum, p.SHA256) {
		return true, nil
	}
	if sum, err := hex.DecodeString(p.SHA256); err != nil || len(sum) != sha256.Size {
		return false, fmt.Errorf("%q is not a SHA-256", p.SHA256)
	}
	dir := filepath.Join(o.Sandbox, upgradeDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, fmt.Errorf("cannot make a directory for the new program: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := fetch.Fetch(ctx, fetch.Request{URI: p.URI, Dir: dir, Name: "tandem-executor", SHA256: p.SHA256}); err != nil {
		return false, err
	}
	next, err := hold(filepath.Join(dir, "tandem-executor"), dir, p.SHA256, o.Token != "")
	if err != nil {
		return false, err
	}
	if err := u.try(ctx, next, nil); err != nil {
		next.close()
		return false, err
	}
	u.program = next
	return false, nil
}

// Dismiss gives the room back that the program takes.
func (u *upgrader) Dismiss() { u.program.close() }

// sum returns the SHA-256 of this program, or nothing where it cannot be known.
func (m *machine) sum() string {
	if m.program != "" {
		return m.program
	}
	sum, _ := sumOf("/proc/self/exe")
	return sum
}

// sumOf returns the SHA-256 of a file.
func sumOf(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// try has a program say whether it could go on, with what it would be started with:
// with the format or, given one, with a state.
func (u *upgrader) try(ctx context.Context, p *program, state *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	var said bytes.Buffer
	for {
		cmd := exec.CommandContext(ctx, p.path(), append([]string{"-can-adopt", strconv.Itoa(handover.Format)}, u.machine.options.Arguments...)...)
		cmd.Env, cmd.Dir = withoutSecrets(u.machine.options.Environment), "/"
		if state != nil {
			cmd.Stdin = state
		}
		cmd.Stderr = &said
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		if err == nil {
			return nil
		}
		if errors.Is(err, unix.ETXTBSY) && ctx.Err() == nil {
			time.Sleep(busyTime)
			continue
		}
		if word, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n"); word != "" {
			return fmt.Errorf("the new program cannot take over: %s", word)
		}
		return fmt.Errorf("the new program cannot take over: %w", err)
	}
}

// withoutSecrets has something else in place of what proves who the executor is.
func withoutSecrets(environment []string) []string {
	all := slices.Clone(environment)
	for i, v := range all {
		if name, _, ok := strings.Cut(v, "="); ok && name == tokenVariable {
			all[i] = name + "=none"
		}
	}
	return all
}

// Suspend takes the hands off the workloads.
func (u *upgrader) Suspend(all map[core.Run]loop.Process) error {
	u.suspended, u.states = nil, nil
	var runs []core.Run
	for run, p := range all {
		runs, u.suspended = append(runs, run), append(u.suspended, p.(*task.Process).Workload())
	}
	states, err := u.machine.launcher.Suspend(u.suspended)
	if errors.Is(err, workload.ErrHalfDone) {
		return loop.ErrLater
	}
	if err != nil {
		return fmt.Errorf("it cannot be replaced now: %w", err)
	}
	for i, run := range runs {
		u.states = append(u.states, handover.Workload{Run: run, State: states[i]})
	}
	return nil
}

// Resume takes Suspend back.
func (u *upgrader) Resume() { u.machine.launcher.Resume(u.suspended) }

// Rehearse returns what has the new program look at the state.
func (u *upgrader) Rehearse(ctx context.Context, c core.State) (func() error, error) {
	_, file, err := u.write(c)
	if err != nil {
		return nil, err
	}
	p, err := u.program.another() // whatever becomes of that one meanwhile
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		defer file.Close() // It is in memory.
		defer p.close()
		return u.try(ctx, p, file)
	}, nil
}

// Replace writes the state and executes the new program. It returns only when that
// fails.
func (u *upgrader) Replace(c core.State) error {
	s, file, err := u.write(c)
	if err != nil {
		return err
	}
	defer file.Close()
	fds := append(s.Descriptors(), int(file.Fd()))
	if err = handover.Inherit(fds, true); err == nil {
		err = u.machine.options.Replace(u.program.path(), int(file.Fd()))
	}
	return errors.Join(err, handover.Inherit(fds, false))
}

// write writes what is passed on: the core's state, and what was suspended.
func (u *upgrader) write(c core.State) (*handover.State, *os.File, error) {
	m := u.machine
	clock, err := handover.Now()
	if err != nil {
		return nil, nil, err
	}
	s := &handover.State{
		Format: handover.Format, Clock: clock, ExecutorID: m.options.ExecutorID, FrameworkID: m.options.FrameworkID,
		ContainerID: m.place.ContainerID, Hostname: m.place.Hostname, User: m.place.User, Held: m.container.Held(), Core: c,
		Program: u.program.sum, Workloads: u.states,
	}
	file, err := handover.Write(s)
	return s, file, err
}

// CanAdopt says why a program of this version could not go on with a state, or
// returns nil. It is read from r, and may be missing: then the number of its
// format decides. It touches nothing on the machine.
func CanAdopt(format int, r io.Reader) error {
	if !handover.Reads(format) {
		return fmt.Errorf("it does not know format %d of the state", format)
	}
	text, err := io.ReadAll(r)
	if err != nil || len(text) == 0 {
		return err
	}
	s, err := handover.Read(bytes.NewReader(text))
	if err != nil {
		return err
	}
	o := Options{ExecutorID: s.ExecutorID, FrameworkID: s.FrameworkID}
	now := time.Now()
	c, err := core.Restore(now, now, o.core(), s.Core)
	if err != nil {
		return err
	}
	return match(s, c.Running(), func(r core.Running, _ workload.State) error {
		return task.CanAdopt(r)
	})
}

// match calls f for every task that runs, with its workload, in their order. Both
// must go together.
func match(s *handover.State, running []core.Running, f func(core.Running, workload.State) error) error {
	states := make(map[core.Run]workload.State, len(s.Workloads))
	for _, w := range s.Workloads {
		states[w.Run] = w.State
	}
	for _, r := range running {
		state, ok := states[r.Run]
		if !ok {
			return fmt.Errorf("the workload of task %s is missing in the state", r.Task.TaskID.Value)
		}
		if err := f(r, state); err != nil {
			return err
		}
	}
	if len(states) != len(running) {
		return fmt.Errorf("the state has %d workloads, and %d tasks that run", len(states), len(running))
	}
	return nil
}

// adopt goes on with the tasks of the program before this one.
func (m *machine) adopt(s *handover.State) *loop.Adopted {
	m.program = s.Program
	return &loop.Adopted{State: s.Core, Open: func(running []core.Running) (loop.Tasks, []loop.Process, error) {
		var states []workload.State
		if err := match(s, running, func(_ core.Running, w workload.State) error {
			states = append(states, w)
			return nil
		}); err != nil {
			return nil, nil, err
		}
		tasks, err := m.start(place{ContainerID: s.ContainerID, Hostname: s.Hostname, User: s.User}, s.Held, states)
		if err != nil {
			return nil, nil, err
		}
		processes := make([]loop.Process, len(running))
		for i, w := range m.launcher.Adopted() {
			p, err := tasks.Adopt(running[i], w)
			if err != nil {
				return nil, nil, err
			}
			processes[i] = p
		}
		m.options.Log.Infof("Version %s has taken over %d workloads", m.options.Version, len(running))
		return tasks, processes, nil
	}}
}
