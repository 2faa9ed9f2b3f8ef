package core_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// admitted judges an agent by offer constraints as Mesos does
// (src/master/allocator/mesos/offer_constraints_filter.cpp), for what the
// simulation uses of them: text attributes and hostnames.
func admitted(constraints []byte, a *simAgent) bool {
	entries := fields(constraints, 1)
	if len(entries) == 0 {
		return true
	}
	for _, groups := range fields(entries[0], 2) { // of the one role there is
		for _, group := range fields(groups, 1) {
			all := true
			for _, c := range fields(group, 1) {
				all = all && satisfies(c, a)
			}
			if all {
				return true
			}
		}
	}
	return false
}

func satisfies(c []byte, a *simAgent) bool {
	value := a.host
	if name := fields(fields(c, 1)[0], 2); len(name) > 0 {
		if string(name[0]) != "rack" {
			return false
		}
		value = a.rack
	}
	predicate := fields(c, 2)[0]
	for number := protowire.Number(3); number <= 6; number++ {
		for _, p := range fields(predicate, number) {
			want := string(fields(p, 1)[0])
			switch number {
			case 3:
				return value == want
			case 4:
				return value != want
			case 5:
				return regexp.MustCompile("^(?:" + want + ")$").MatchString(value)
			default:
				return !regexp.MustCompile("^(?:" + want + ")$").MatchString(value)
			}
		}
	}
	return true
}

// fields returns the values of a field of bytes in a message.
func fields(b []byte, number protowire.Number) [][]byte {
	var found [][]byte
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return found
		}
		b = b[size:]
		size = protowire.ConsumeFieldValue(n, typ, b)
		if size < 0 {
			return found
		}
		if n == number && typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b)
			found = append(found, value)
		}
		b = b[size:]
	}
	return found
}

// narrowTrust is how long a master may have constraints that something which waits does
// not want: a call that fails is made again.
const narrowTrust = 30 * time.Second

// notNarrowed: no constraints keep an agent from us that something which waits may go to.
func (k *checks) notNarrowed() {
	w := k.s.w
	hidden := ""
	if w.master.stream != nil && !k.s.down && len(w.master.constraints) > 0 {
		hidden = k.hidden()
	}
	switch {
	case hidden == "":
		k.narrow = time.Time{}
	case k.narrow.IsZero():
		k.narrow = w.now
	case w.now.Sub(k.narrow) > narrowTrust:
		w.fail("%s", hidden)
	}
}

// hidden names an instance that waits, and an agent that is kept from it.
func (k *checks) hidden() string {
	var found []string
	for key, r := range k.s.store[state.KindInstance] {
		in := r.record.(*tandemv1.InstanceRecord)
		v, ok := k.s.store[state.KindVersion][state.VersionKey(in.JobId, in.JobVersion)]
		if !ok || in.Phase != tandemv1.InstancePhase_INSTANCE_PHASE_WAITING || k.waitsForAPerson(in) {
			continue
		}
		likes := slices.ContainsFunc(v.record.(*tandemv1.VersionRecord).Spec.Constraints, func(c *tandemv1.Constraint) bool {
			return c.Operator == tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_LIKE
		})
		for _, a := range k.s.w.agents {
			if (!likes || strings.Contains("r0 r1", a.rack)) && !admitted(k.s.w.master.constraints, a) {
				found = append(found, fmt.Sprintf("instance %s waits, and agent %s is kept from it by constraints", key, a.id))
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}

// roomIn reports whether an agent that is there has what a copy of the job needs,
// and satisfies its constraint.
func (k *checks) roomIn(spec *tandemv1.Job) bool {
	for _, a := range k.s.w.agents {
		known := k.s.w.master.agents[a.id]
		switch {
		case a.dead || known == nil || known.state != registered || known.deactivated:
			continue
		case unique(spec) && known.runs(spec.Id), !unique(spec) && !strings.Contains("r0 r1", a.rack):
			continue
		}
		if k.s.w.master.hasRoom(known, spec) {
			return true
		}
	}
	return false
}

// hasRoom reports whether an agent has what a copy of the job needs.
func (m *simMaster) hasRoom(a *masterAgent, spec *tandemv1.Job) bool {
	cpus, ports := 0.1, uint64(0)
	for _, w := range spec.Workloads {
		cpus += w.Resources.Cpus
		ports += uint64(len(w.Ports))
	}
	free := m.free(a)
	return free.Scalar("cpus") >= resource.Thousandths(cpus) && free.Ranges("ports").Len() >= ports
}

// runs reports whether a task of the job is on the agent.
func (a *masterAgent) runs(job string) bool {
	for _, t := range a.tasks {
		if name, ok := state.ParseTaskName(t.id); ok && name.Job == job && !terminal(t.state) {
			return true
		}
	}
	return false
}
