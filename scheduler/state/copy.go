package state

import (
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// The copies below are shallow: the copy may be given other fields, and shares
// whatever messages, lists and maps the record holds, which nobody changes.
// They exist because proto.Clone, which copies all the way down, was most of
// the cost of an update.

// CopyJob returns a shallow copy.
func CopyJob(r *tandemv1.JobRecord) *tandemv1.JobRecord {
	return &tandemv1.JobRecord{
		Spec: r.Spec, Version: r.Version, Stopped: r.Stopped, Created: r.Created, Updated: r.Updated,
		Phase: r.Phase, PhaseReason: r.PhaseReason, Purge: r.Purge, AttemptFloor: r.AttemptFloor,
		Update: r.Update, StableVersion: r.StableVersion, Cron: r.Cron, RunOf: r.RunOf,
	}
}

// CopyUpdate returns a shallow copy.
func CopyUpdate(r *tandemv1.UpdateRecord) *tandemv1.UpdateRecord {
	return &tandemv1.UpdateRecord{
		Phase: r.Phase, Reason: r.Reason, Version: r.Version, FromVersion: r.FromVersion, Reverts: r.Reverts,
		Started: r.Started, Progressed: r.Progressed, Promoted: r.Promoted, Ended: r.Ended,
		Failures: r.Failures,
	}
}

// CopyInstance returns a shallow copy.
func CopyInstance(r *tandemv1.InstanceRecord) *tandemv1.InstanceRecord {
	return &tandemv1.InstanceRecord{
		JobId: r.JobId, Slot: r.Slot, Phase: r.Phase, PhaseReason: r.PhaseReason, Since: r.Since,
		Attempt: r.Attempt, NotBefore: r.NotBefore, Failures: r.Failures, JobVersion: r.JobVersion,
		Streak: r.Streak, Losses: r.Losses, RestartThrough: r.RestartThrough,
		AgentId: r.AgentId, LiveAttempt: r.LiveAttempt,
	}
}

// CopyAgent returns a shallow copy.
func CopyAgent(r *tandemv1.AgentRecord) *tandemv1.AgentRecord {
	return &tandemv1.AgentRecord{
		AgentId: r.AgentId, Hostname: r.Hostname, Drain: r.Drain, Maintenance: r.Maintenance, OperatorDrain: r.OperatorDrain,
	}
}

// CopyAttempt returns a shallow copy. Its list of tasks is new, so that one of
// them can be replaced.
func CopyAttempt(r *tandemv1.AttemptRecord) *tandemv1.AttemptRecord {
	tasks := make([]*tandemv1.TaskRecord, len(r.Tasks))
	copy(tasks, r.Tasks)
	return &tandemv1.AttemptRecord{
		JobId: r.JobId, Slot: r.Slot, Attempt: r.Attempt, JobVersion: r.JobVersion,
		AgentId: r.AgentId, Hostname: r.Hostname, ExecutorId: r.ExecutorId, Created: r.Created,
		Tasks: tasks, KillReason: r.KillReason, Ended: r.Ended, Attributes: r.Attributes,
		Running: r.Running, Unreachable: r.Unreachable, AgentUrl: r.AgentUrl, Executor: r.Executor,
	}
}

// CopyTask returns a shallow copy.
func CopyTask(r *tandemv1.TaskRecord) *tandemv1.TaskRecord {
	return &tandemv1.TaskRecord{
		TaskId: r.TaskId, Workload: r.Workload, State: r.State, Reason: r.Reason, Message: r.Message,
		Source: r.Source, Healthy: r.Healthy, Updated: r.Updated, Started: r.Started, Ports: r.Ports,
		Report: r.Report, ContainerId: r.ContainerId, Ready: r.Ready,
	}
}

// CopyFramework returns a shallow copy.
func CopyFramework(r *tandemv1.FrameworkRecord) *tandemv1.FrameworkRecord {
	return &tandemv1.FrameworkRecord{
		FrameworkId: r.FrameworkId, Created: r.Created, AttemptFloor: r.AttemptFloor,
	}
}
