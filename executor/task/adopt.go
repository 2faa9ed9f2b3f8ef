package task

import (
	"fmt"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/executor/workload"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
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
	spec, err := s.specAgain(t, dir)
	if err != nil {
		return nil, fmt.Errorf("cannot go on with task %s: %w", t.Task.TaskID.Value, err)
	}
	return s.process(t.Task, t.Settings, spec, w, t.Warnings), nil
}

// specAgain describes the workload of a task that runs as its start did.
func (s *Tasks) specAgain(t core.Running, dir string) (workload.Spec, error) {
	limits, err := LimitsOf(s.options.Kernel, t.Task, t.Settings)
	if err != nil {
		return workload.Spec{}, err
	}
	asked, err := askedOf(t.Task, t.Settings)
	if err != nil {
		return workload.Spec{}, err
	}
	spec, _, err := s.specOf(t.Task, t.Settings, asked, limits, dir)
	return spec, err
}

func (s *Tasks) process(task *mesos.TaskInfo, settings *tandemv1.TaskSettings, spec workload.Spec, w *workload.Process, warnings []string) *Process {
	return &Process{
		launcher: s.options.Launcher, spec: spec, process: w, warnings: warnings,
		secrets: secretsOf(task.Command), diskLimit: core.DiskLimit(settings),
	}
}

// CanAdopt says why this program could not go on with a task that runs, or returns
// nil. It touches nothing on the machine, and so takes a bundle as read.
func CanAdopt(t core.Running) error {
	limits, err := LimitsOf(Kernel{}, t.Task, t.Settings)
	if err != nil {
		return fmt.Errorf("cannot go on with task %s: %w", t.Task.TaskID.Value, err)
	}
	asked, err := askedOf(t.Task, t.Settings)
	if err == nil && asked.Bundle == "" {
		_, err = describe(t.Task, t.Settings, limits, asked, nil, Place{Dir: "/"})
	}
	if err != nil {
		return fmt.Errorf("cannot go on with task %s: %w", t.Task.TaskID.Value, err)
	}
	return nil
}
