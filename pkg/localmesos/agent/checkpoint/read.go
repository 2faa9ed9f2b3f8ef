package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// State is what was found.
type State struct {
	core.Saved
	// Rebooted says that the machine was started anew, so that no process is left.
	Rebooted bool
	// Standalone are the containers that belong to no executor.
	Standalone []Standalone
	// Settled are the runs for which nothing is left to do but to be removed.
	Settled []core.Run
	// Errors are what was passed over because it could not be read.
	Errors []error
}

// Read reads what an agent's former process has kept; booted tells this start of
// the machine from others. An agent that was never registered has no ID. With
// strict, the first thing that cannot be read is an error.
func (d Dir) Read(booted string, strict bool) (*State, error) {
	r := reader{dir: d, strict: strict}
	if err := r.resources(); err != nil {
		return nil, fmt.Errorf("cannot recover an agent's resources: %w", err)
	}
	id, err := os.Readlink(filepath.Join(d.agents(), latest))
	if errors.Is(err, fs.ErrNotExist) {
		return &r.state, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot find the latest agent: %w", err)
	}
	r.agent = mesos.AgentID{Value: filepath.Base(id)}
	if kept, err := os.ReadFile(filepath.Join(d.root, bootIDFile)); err == nil {
		r.state.Rebooted = strings.TrimSpace(string(kept)) != booted
	}
	if err := errors.Join(r.standalones(), r.read()); err != nil {
		return nil, fmt.Errorf("cannot recover agent %s from %s: %w", r.agent.Value, d.root, err)
	}
	return &r.state, nil
}

// resources are read whatever agent there was: they are the machine's.
func (r *reader) resources() error {
	var saved core.Saved
	found, err := r.message(r.dir.state(), func(encoded []byte) error { return decodeState(encoded, &saved) })
	if found {
		r.state.Resources, r.state.Operations = saved.Resources, saved.Operations
	}
	return err
}

// reader reads one agent.
type reader struct {
	dir    Dir
	strict bool
	agent  mesos.AgentID
	state  State
}

// damaged is for what cannot be read: it ends a strict recovery.
func (r *reader) damaged(what string, err error) error {
	err = fmt.Errorf("cannot read %s: %w", what, err)
	if r.strict {
		return err
	}
	r.state.Errors = append(r.state.Errors, err)
	return nil
}

// message reads a file with one message. A file that is not there or empty is one
// that was not written yet.
func (r *reader) message(name string, decode func([]byte) error) (found bool, err error) {
	stored, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(stored) == 0) {
		return false, nil
	}
	var encoded []byte
	if err == nil {
		encoded, _, err = unframe(stored)
	}
	if err == nil {
		err = decode(encoded)
	}
	if err != nil {
		return false, r.damaged(name, err)
	}
	return true, nil
}

// text reads a file with a text, in the same way.
func (r *reader) text(name string) (string, error) {
	stored, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", r.damaged(name, err)
	}
	return strings.TrimSpace(string(stored)), nil
}

// directories lists the names of the directories in one, which need not be there.
func directories(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (r *reader) read() error {
	dir := r.dir.agent(r.agent.Value)
	var info mesos.AgentInfo
	found, err := r.message(filepath.Join(dir, agentFile), func(encoded []byte) (err error) {
		info, err = decodeAgent(encoded)
		return err
	})
	if err != nil || !found {
		return err
	}
	r.state.Agent = info
	var drain mesos.DrainConfig
	found, err = r.message(filepath.Join(dir, drainFile), drain.Unmarshal)
	if err != nil {
		return err
	}
	if found {
		r.state.Drain = &drain
	}
	names, err := directories(filepath.Join(dir, "frameworks"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.framework(name); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) framework(id string) error {
	dir := r.dir.framework(r.agent.Value, id)
	var f core.SavedFramework
	found, err := r.message(filepath.Join(dir, frameworkFile), f.Info.Unmarshal)
	if err != nil || !found {
		return err
	}
	if pid, err := r.text(filepath.Join(dir, frameworkPIDFile)); err != nil || pid == "" {
		return err
	}
	names, err := directories(filepath.Join(dir, "executors"))
	if err != nil {
		return err
	}
	for _, name := range names {
		run := core.Run{Agent: r.agent, Framework: mesos.FrameworkID{Value: id}, Executor: mesos.ExecutorID{Value: name}}
		e, err := r.executor(run)
		if err != nil {
			return err
		}
		if e != nil {
			f.Executors = append(f.Executors, *e)
		}
	}
	r.state.Frameworks = append(r.state.Frameworks, f)
	return nil
}

// executor reads the latest run of an executor, unless that is settled, as all
// runs before it are.
func (r *reader) executor(run core.Run) (*core.SavedExecutor, error) {
	names, err := directories(r.dir.runs(run))
	if err != nil {
		return nil, err
	}
	newest := ""
	if target, err := os.Readlink(filepath.Join(r.dir.runs(run), latest)); err == nil {
		newest = filepath.Base(target)
	}
	there := false
	for _, name := range names {
		run.Container = name
		if _, err := os.Stat(filepath.Join(r.dir.run(run), endFile)); name != newest || err == nil {
			r.state.Settled = append(r.state.Settled, run)
			continue
		}
		there = true
	}
	run.Container = newest
	if !there {
		return nil, nil
	}
	e := &core.SavedExecutor{Container: newest}
	found, err := r.message(filepath.Join(r.dir.executor(run), executorFile), func(encoded []byte) (err error) {
		e.Info, err = decodeExecutor(encoded)
		return err
	})
	if err != nil || !found {
		return nil, err
	}
	if e.Kind, err = r.kind(run, &e.Info); err != nil {
		return nil, err
	}
	if e.Tasks, err = r.tasks(run); err != nil {
		return nil, err
	}
	e.PID, err = r.forked(run)
	return e, err
}

func (r *reader) kind(run core.Run, info *mesos.ExecutorInfo) (core.ExecutorKind, error) {
	generated, err := r.text(filepath.Join(r.dir.executor(run), generatedFile))
	switch {
	case generated == "1":
		return core.CommandExecutor, err
	case info.Type == mesos.ExecutorInfo_DEFAULT:
		return core.DefaultExecutor, err
	}
	return core.CustomExecutor, err
}

// forked returns an executor's process ID, or zero when there is none that could
// be its.
func (r *reader) forked(run core.Run) (int, error) {
	return r.pid(r.dir.forked(run))
}

// pid reads a process ID, in the same way.
func (r *reader) pid(name string) (int, error) {
	if r.state.Rebooted {
		// It must not be believed by a process that knows of no new start.
		return 0, ignoreAbsent(os.Remove(name))
	}
	text, err := r.text(name)
	if err != nil || text == "" {
		return 0, err
	}
	pid, err := strconv.Atoi(text)
	if err == nil && pid <= 0 {
		err = fmt.Errorf("%d is no process", pid)
	}
	if err != nil {
		return 0, r.damaged(name, err)
	}
	return pid, nil
}

func (r *reader) tasks(run core.Run) ([]core.SavedTask, error) {
	names, err := directories(filepath.Join(r.dir.run(run), "tasks"))
	if err != nil {
		return nil, err
	}
	var all []core.SavedTask
	for _, name := range names {
		var t core.SavedTask
		dir := r.dir.task(run, name)
		found, err := r.message(filepath.Join(dir, taskFile), func(encoded []byte) (err error) {
			t.Task, t.Limits, err = decodeTask(encoded)
			return err
		})
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		if err := r.updates(filepath.Join(dir, updatesFile), &t); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// updates reads a task's updates, and cuts off what is not whole, so that what is
// appended can be read again.
func (r *reader) updates(name string, t *core.SavedTask) error {
	stored, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return r.damaged(name, err)
	}
	whole, wrong := decodeUpdates(stored, t)
	if whole < len(stored) {
		if err := os.Truncate(name, int64(whole)); err != nil {
			return err
		}
	}
	if wrong != nil {
		return r.damaged(name, wrong)
	}
	return nil
}
