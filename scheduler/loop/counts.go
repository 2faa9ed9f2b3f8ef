package loop

import (
	"maps"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Counts are how many there are of what is shown.
type Counts struct {
	Jobs      map[tandemv1.JobPhase]int
	Instances map[tandemv1.InstancePhase]int
	// Agents is the number of those that attempts run on which have not ended.
	Agents int
}

// Counts returns how many there are, however many that is, in the same short
// time.
func (v *View) Counts() Counts {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return Counts{Jobs: maps.Clone(v.tally.jobs), Instances: maps.Clone(v.tally.instances), Agents: len(v.tally.running)}
}

// tally is kept up as records come and go.
type tally struct {
	jobs      map[tandemv1.JobPhase]int
	instances map[tandemv1.InstancePhase]int
	// running counts the attempts on each agent that have not ended; an agent
	// without any is not in it.
	running map[string]int
}

func newTally() tally {
	return tally{map[tandemv1.JobPhase]int{}, map[tandemv1.InstancePhase]int{}, map[string]int{}}
}

// job counts a record that takes the place of another; so do the others below.
// Either may be nil.
func (t *tally) job(before, now *tandemv1.JobRecord) {
	if before != nil {
		t.jobs[before.Phase]--
	}
	if now != nil {
		t.jobs[now.Phase]++
	}
}

func (t *tally) instance(before, now *tandemv1.InstanceRecord) {
	if before != nil {
		t.instances[before.Phase]--
	}
	if now != nil {
		t.instances[now.Phase]++
	}
}

func (t *tally) attempt(before, now *tandemv1.AttemptRecord) {
	runs, ran := now != nil && now.Ended == nil, before != nil && before.Ended == nil
	if runs {
		t.running[now.AgentId]++
	}
	if ran {
		if t.running[before.AgentId]--; t.running[before.AgentId] == 0 {
			delete(t.running, before.AgentId)
		}
	}
}
