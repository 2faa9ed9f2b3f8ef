package task

import (
	"fmt"

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/executor/workload"
)

// Workload returns the task's workload.
func (p *Process) Workload() *workload.Process { return p.process }

// Adopt returns a task that runs already: the program before this one has started
// its workload.
func (s *Tasks) Adopt(t core.Running, w *workload.Process) (*Process, error) {
	dir, err := directory(s.options.Sandbox, t.Task.TaskID.Value)
	if err != nil {
		return nil, err
	}
	spec, err := s.spec(t, dir)
	if err != nil {
		return nil, err
	}
	return s.process(spec, w, t.Warnings), nil
}

// spec describes the workload of a task that runs already, as far as checks and
// sessions need it. It touches nothing on the machine.
func (s *Tasks) spec(t core.Running, dir string) (workload.Spec, error) {
	limits, err := LimitsOf(s.options.Kernel, t.Task, t.Settings)
	if err != nil {
		return workload.Spec{}, fmt.Errorf("cannot go on with task %s: %w", t.Task.TaskID.Value, err)
	}
	spec, err := specOf(t.Task, t.Settings, limits, Place{FrameworkID: s.options.FrameworkID, Hostname: s.options.Hostname, Dir: dir, Sandbox: s.options.Sandbox})
	if err != nil {
		return workload.Spec{}, fmt.Errorf("cannot go on with task %s: %w", t.Task.TaskID.Value, err)
	}
	spec.User = s.user(t.Task)
	return spec, nil
}

func (s *Tasks) process(spec workload.Spec, w *workload.Process, warnings []string) *Process {
	return &Process{launcher: s.options.Launcher, spec: spec, process: w, warnings: warnings}
}

// CanAdopt says why this program could not go on with a task that runs, or returns
// nil.
func CanAdopt(t core.Running) error {
	_, err := (&Tasks{}).spec(t, "/")
	return err
}
