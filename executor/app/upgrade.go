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

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/executor/handover"
	"github.com/tandem-mesos/tandem/executor/loop"
	"github.com/tandem-mesos/tandem/executor/task"
	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/fetch"
)

// upgradeDir is the directory of the sandbox that new executors are put into.
const upgradeDir = "upgrade"

// tryTime bounds how long a program may take to say whether it can go on, and
// lastTryTime how long while nobody looks after the workloads.
const (
	tryTime     = 10 * time.Second
	lastTryTime = 2 * time.Second
)

// upgrader replaces this program by another.
type upgrader struct {
	machine *machine
	// program is the one that was prepared last, and sum its SHA-256.
	program, sum string
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
	if sum, err := sumOf("/proc/self/exe"); err == nil && strings.EqualFold(sum, p.SHA256) {
		return true, nil
	}
	if sum, err := hex.DecodeString(p.SHA256); err != nil || len(sum) != sha256.Size {
		return false, fmt.Errorf("%q is not a SHA-256", p.SHA256)
	}
	// A file for each program: one that is being executed cannot be written.
	dir := filepath.Join(o.Sandbox, upgradeDir, strings.ToLower(p.SHA256[:12]))
	if older, err := filepath.Glob(filepath.Join(o.Sandbox, upgradeDir, "*")); err == nil {
		for _, o := range older {
			if o != dir {
				_ = os.RemoveAll(o) // One that runs stays until its end.
			}
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, fmt.Errorf("cannot make a directory for the new program: %w", err)
	}
	if err := fetch.Fetch(ctx, fetch.Request{URI: p.URI, Dir: dir, Name: "tandem-executor", Executable: true, SHA256: p.SHA256}); err != nil {
		return false, err
	}
	u.program, u.sum = filepath.Join(dir, "tandem-executor"), strings.ToLower(p.SHA256)
	return false, u.try(ctx, tryTime, nil)
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

// try has the new program say whether it could go on, with what it would be started
// with: with the format or, given one, with a state.
func (u *upgrader) try(ctx context.Context, patience time.Duration, state *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, u.program, append([]string{"-can-adopt", strconv.Itoa(handover.Format)}, u.machine.options.Arguments...)...)
	cmd.Env, cmd.Dir = withoutSecrets(u.machine.options.Environment), "/"
	if state != nil {
		cmd.Stdin = state
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err == nil {
		return nil
	}
	word, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
	if word != "" {
		return fmt.Errorf("the new program cannot take over: %s", word)
	}
	return fmt.Errorf("the new program cannot take over: %w", err)
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

// Replace writes the state, lets the new program look at it, and executes that.
func (u *upgrader) Replace(c core.State) error {
	m := u.machine
	clock, err := handover.Now()
	if err != nil {
		return err
	}
	s := &handover.State{
		Format: handover.Format, Clock: clock, ExecutorID: m.options.ExecutorID, FrameworkID: m.options.FrameworkID,
		ContainerID: m.place.ContainerID, Hostname: m.place.Hostname, User: m.place.User, Held: m.container.Held(), Core: c,
		Workloads: u.states,
	}
	for _, trial := range []bool{true, false} {
		file, err := handover.Write(s)
		if err != nil {
			return err
		}
		if trial {
			err = u.try(context.Background(), lastTryTime, file)
		} else {
			err = u.execute(s, file)
		}
		_ = file.Close() // It is in memory.
		if err != nil {
			return err
		}
	}
	return nil // It does not come to this.
}

// execute returns only when it fails.
func (u *upgrader) execute(s *handover.State, file *os.File) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("cannot pass on the state: %w", err)
	}
	number := -1
	if err := conn.Control(func(fd uintptr) { number = int(fd) }); err != nil {
		return fmt.Errorf("cannot pass on the state: %w", err)
	}
	// Whoever has this process's user may have written to the file since.
	if sum, err := sumOf(u.program); err == nil && sum != u.sum {
		return errors.New("the new program has changed since it was fetched")
	}
	fds := append(s.Descriptors(), number)
	if err = handover.Inherit(fds, true); err == nil {
		err = u.machine.options.Replace(u.program, number)
	}
	return errors.Join(err, handover.Inherit(fds, false))
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
