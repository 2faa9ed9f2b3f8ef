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

// CopyVolume returns a shallow copy.
func CopyVolume(r *tandemv1.VolumeRecord) *tandemv1.VolumeRecord {
	return &tandemv1.VolumeRecord{
		Id: r.Id, JobId: r.JobId, Slot: r.Slot, Name: r.Name, Attempt: r.Attempt,
		AgentId: r.AgentId, Hostname: r.Hostname, Role: r.Role, Size: r.Size, State: r.State, Reason: r.Reason,
		Created: r.Created, Reserved: r.Reserved, Purges: r.Purges, Purged: r.Purged, Seen: r.Seen, Disk: r.Disk, Operations: r.Operations,
	}
}

// CopyAttempt returns a shallow copy. Its list of tasks is new, so that one of
// them can be replaced.
func CopyAttempt(r *tandemv1.AttemptRecord) *tandemv1.AttemptRecord {
	tasks := make([]*tandemv1.TaskRecord, len(r.Tasks))
	copy(tasks, r.Tasks)
	to := &tandemv1.AttemptRecord{}
	setAttempt(to, r, tasks)
	return to
}

func setAttempt(to, r *tandemv1.AttemptRecord, tasks []*tandemv1.TaskRecord) {
	to.JobId, to.Slot, to.Attempt, to.JobVersion = r.JobId, r.Slot, r.Attempt, r.JobVersion
	to.AgentId, to.Hostname, to.ExecutorId, to.Created = r.AgentId, r.Hostname, r.ExecutorId, r.Created
	to.Tasks, to.KillReason, to.Ended, to.Attributes = tasks, r.KillReason, r.Ended, r.Attributes
	to.Running, to.Unreachable, to.AgentUrl, to.Executor = r.Running, r.Unreachable, r.AgentUrl, r.Executor
	to.ExecutorDigest = r.ExecutorDigest
	to.Volumes = r.Volumes
}

// CopyAttemptOfOne returns a copy of an attempt that has one task, which is copied
// too. All lies in one piece of memory: most attempts have one task, and each of
// its updates makes such a copy and reads the one before.
func CopyAttemptOfOne(r *tandemv1.AttemptRecord) *tandemv1.AttemptRecord {
	piece := &struct {
		attempt tandemv1.AttemptRecord
		list    [1]*tandemv1.TaskRecord
		task    tandemv1.TaskRecord
	}{}
	setTask(&piece.task, r.Tasks[0])
	piece.list[0] = &piece.task
	setAttempt(&piece.attempt, r, piece.list[:])
	return &piece.attempt
}

// CopyTask returns a shallow copy.
func CopyTask(r *tandemv1.TaskRecord) *tandemv1.TaskRecord {
	to := &tandemv1.TaskRecord{}
	setTask(to, r)
	return to
}

func setTask(to, r *tandemv1.TaskRecord) {
	to.TaskId, to.Workload, to.State, to.Reason = r.TaskId, r.Workload, r.State, r.Reason
	to.Message, to.Source, to.Healthy, to.Updated = r.Message, r.Source, r.Healthy, r.Updated
	to.Started, to.Ports, to.Report, to.ContainerId = r.Started, r.Ports, r.Report, r.ContainerId
	to.Ready = r.Ready
}

// CopyFramework returns a shallow copy.
func CopyFramework(r *tandemv1.FrameworkRecord) *tandemv1.FrameworkRecord {
	return &tandemv1.FrameworkRecord{
		FrameworkId: r.FrameworkId, Created: r.Created, AttemptFloor: r.AttemptFloor,
	}
}
