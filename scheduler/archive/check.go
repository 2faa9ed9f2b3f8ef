package archive

import (
	"crypto/sha256"
	"fmt"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

// Check returns a line for everything that does not belong together, and that a
// scheduler never leaves like this.
func Check(all state.Snapshot) []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	versions := map[string]bool{}
	for _, r := range all.Versions {
		versions[state.VersionKey(r.GetJobId(), r.GetVersion())] = true
		if r.GetSpec().GetId() != r.GetJobId() {
			say("version %d of job %s holds the job %q", r.GetVersion(), r.GetJobId(), r.GetSpec().GetId())
		}
	}
	jobs := map[string]uint64{}
	for _, r := range all.Jobs {
		jobs[r.GetSpec().GetId()] = r.GetVersion()
		if r.GetVersion() == 0 {
			say("job %s has no version", r.GetSpec().GetId())
		}
	}
	for _, r := range all.Versions {
		if newest, ok := jobs[r.GetJobId()]; !ok {
			say("version %d is of job %s, which is not there", r.GetVersion(), r.GetJobId())
		} else if r.GetVersion() > newest {
			say("job %s is at version %d, and there is a version %d of it", r.GetJobId(), newest, r.GetVersion())
		}
	}
	instances := map[string]uint64{}
	for _, r := range all.Instances {
		instances[state.InstanceKey(r.GetJobId(), r.GetSlot())] = r.GetAttempt()
		if _, ok := jobs[r.GetJobId()]; !ok {
			say("instance %d is of job %s, which is not there", r.GetSlot(), r.GetJobId())
		}
	}
	open := false
	for _, r := range all.Attempts {
		at := fmt.Sprintf("attempt %d of instance %d of job %s", r.GetAttempt(), r.GetSlot(), r.GetJobId())
		last, ok := instances[state.InstanceKey(r.GetJobId(), r.GetSlot())]
		switch {
		case !ok:
			say("%s is of an instance that is not there", at)
		case r.GetAttempt() > last:
			say("%s is later than the last one that the instance knows of, %d", at, last)
		}
		open = open || r.GetEnded() == nil
		for _, t := range r.GetTasks() {
			name, ok := state.ParseTaskName(t.GetTaskId())
			if !ok || name.Job != r.GetJobId() || name.Slot != r.GetSlot() || name.Attempt != r.GetAttempt() || name.Workload != t.GetWorkload() {
				say("%s has the task %q, whose name is not one of its", at, t.GetTaskId())
			}
		}
	}
	for _, r := range all.Requests {
		if len(r.GetSha256()) != sha256.Size {
			say("the request %s does not say what was asked for", state.PutRequest(r).ID)
		}
	}
	if open && all.Framework.GetFrameworkId() == "" {
		say("tasks were launched, and there is no framework ID")
	}
	return wrong
}
