package loop

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

// HopelessError is an error of Options.Subscribe after which there is no use in
// trying again. Its text says what to do.
type HopelessError struct{ Err error }

// Error implements error.
func (e *HopelessError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *HopelessError) Unwrap() error { return e.Err }

// Complete says what is wrong with a state in which there are launches but not
// who made them: registering anew over it would launch everything once more.
func Complete(saved state.Snapshot) error {
	open := 0 // after a teardown there are none
	for _, a := range saved.Attempts {
		if a.Ended == nil {
			open++
		}
	}
	if saved.Framework.GetFrameworkId() != "" || open == 0 {
		return nil
	}
	return fmt.Errorf("the state has %d attempts that have not ended, but not the framework that they were launched by: it is not complete. "+
		"Put a complete copy of it back; or begin anew with another state (--state)", open)
}

// Origin is what a state says of the cluster that it belongs to.
//
// A real master takes in a framework ID that it has never heard of as one that
// had registered with the master before it (Master::_subscribe), so that whoever
// confuses two clusters would be let in, hear that all tasks are gone, and launch
// them again beside those that run. What tells clusters apart is the IDs: each
// begins with that of the master that gave it.
type Origin struct {
	framework string
	// agents counts those that tasks run on.
	agents int
	// masters are those that have given out an ID of the state's.
	masters map[string]bool
}

// OriginOf returns where what was saved comes from.
func OriginOf(saved state.Snapshot) Origin {
	o := Origin{framework: saved.Framework.GetFrameworkId(), masters: map[string]bool{}}
	o.masters[issuer(o.framework)] = true
	agents := map[string]bool{}
	for _, a := range saved.Attempts {
		if a.Ended == nil && a.AgentId != "" && !agents[a.AgentId] {
			agents[a.AgentId], o.masters[issuer(a.AgentId)] = true, true
		}
	}
	o.agents = len(agents)
	return o
}

// Recognizes reports whether one of the IDs of agents and frameworks was given
// out by a master that has given out one of the state's.
func (o Origin) Recognizes(ids []string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return o.masters[issuer(id)] })
}

// Foreign returns why the state cannot be that of the cluster whose master knows
// these agents and frameworks, or nil when it may be. Where no task runs nothing
// can be doubled, and a cluster without agents and frameworks says nothing.
func (o Origin) Foreign(known []string) error {
	if o.agents == 0 || len(known) == 0 || o.Recognizes(known) {
		return nil
	}
	return fmt.Errorf("the master knows neither framework %s, whose the state is, nor any of the %d agents that its tasks run on, nor any other "+
		"of their cluster: the state belongs to another cluster. Check --master; or give this cluster a state of its own (--state); "+
		"or, when the other cluster is no more, take the state over with --new-cluster, and everything is started anew",
		o.framework, o.agents)
}

// issuer is the ID of the master that gave an ID, which reads
// <master>-0001 for a framework and <master>-S12 for an agent.
func issuer(id string) string {
	if i := strings.LastIndexByte(id, '-'); i > 0 {
		return id[:i]
	}
	return id
}
