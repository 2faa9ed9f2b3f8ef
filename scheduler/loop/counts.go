package loop

import (
	"maps"
	"slices"

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
	instances phases
	// running counts the attempts on each agent that have not ended; an agent
	// without any is not in it.
	running map[string]int
}

func newTally() tally {
	return tally{map[tandemv1.JobPhase]int{}, phases{}, map[string]int{}}
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

// phases is how many instances are in each phase.
type phases map[tandemv1.InstancePhase]int

func (p phases) instance(before, now *tandemv1.InstanceRecord) {
	if before != nil {
		p[before.Phase]--
	}
	if now != nil {
		p[now.Phase]++
	}
}

// of is how a job's phases are told.
func (p phases) of(job string) *tandemv1.InstanceCounts {
	counts := &tandemv1.InstanceCounts{JobId: job}
	for _, phase := range slices.Sorted(maps.Keys(p)) {
		if n := p[phase]; n > 0 {
			counts.Phases = append(counts.Phases, &tandemv1.PhaseCount{Phase: phase, Count: int32(n)})
		}
	}
	return counts
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
