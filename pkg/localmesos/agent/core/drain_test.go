package core

import (
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// TestDrainShortensGracePeriods: a kill within a draining overrides the task's
// own grace period only where that is longer, or missing.
func TestDrainShortensGracePeriods(t *testing.T) {
	of := func(ns int64) *mesos.KillPolicy {
		return &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: ns}}
	}
	for _, c := range []struct {
		longest   *mesos.DurationInfo
		own, want *mesos.KillPolicy
	}{
		{nil, nil, nil},
		{nil, of(5), nil},
		{of(3).GracePeriod, nil, of(3)},
		{of(3).GracePeriod, &mesos.KillPolicy{}, of(3)},
		{of(3).GracePeriod, of(5), of(3)},
		{of(3).GracePeriod, of(3), nil},
		{of(3).GracePeriod, of(1), nil},
	} {
		if got := shorter(c.longest, c.own); !got.Equal(c.want) {
			t.Errorf("at most %v of %v is %v, want %v", c.longest, c.own, got, c.want)
		}
	}
}

// TestDrainExplainsKills: what is killed while the agent drains was killed by
// that, and is gone for those who know of it if the agent is to be gone.
func TestDrainExplainsKills(t *testing.T) {
	aware := &framework{info: mesos.FrameworkInfo{Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE}}}}
	for _, c := range []struct {
		f           *framework
		gone        bool
		state, want mesos.TaskState
		explained   bool
	}{
		{aware, false, mesos.TASK_KILLED, mesos.TASK_KILLED, true},
		{aware, false, mesos.TASK_KILLING, mesos.TASK_KILLING, true},
		{aware, false, mesos.TASK_FINISHED, mesos.TASK_FINISHED, false},
		{aware, true, mesos.TASK_KILLED, mesos.TASK_GONE_BY_OPERATOR, true},
		{aware, true, mesos.TASK_FAILED, mesos.TASK_FAILED, false},
		{&framework{}, true, mesos.TASK_KILLED, mesos.TASK_KILLED, true},
	} {
		core := &Core{drain: &mesos.DrainConfig{MarkGone: &c.gone}}
		status := mesos.TaskStatus{State: &c.state}
		core.explainDrain(c.f, &status)
		explained := status.Reason != nil && *status.Reason == mesos.REASON_AGENT_DRAINING
		if status.GetState() != c.want || explained != c.explained {
			t.Errorf("%s became %s, explained %t; want %s, %t", c.state, status.GetState(), explained, c.want, c.explained)
		}
	}
}
