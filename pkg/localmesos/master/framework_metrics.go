package master

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/localmesos/master/validation"
)

// What /metrics/snapshot shows of each framework, those included that are
// completed (src/master/metrics.cpp).

// countedOperations are the operations that are counted.
var countedOperations = []string{
	"create", "create_disk", "destroy", "destroy_disk", "grow_volume", "launch", "launch_group", "reserve", "shrink_volume", "unreserve",
}

// newCounts are the counters of a framework, all of which show from the start.
func newCounts() map[string]int {
	counts := map[string]int{
		"calls": 0, "events": 0, "operations": 0,
		"offers/sent": 0, "offers/accepted": 0, "offers/declined": 0, "offers/rescinded": 0,
	}
	for number, name := range scheduler.Call_Type_name {
		if scheduler.Call_Type(number) != scheduler.Call_UNKNOWN {
			counts["calls/"+strings.ToLower(name)] = 0
		}
	}
	for number, name := range scheduler.Event_Type_name {
		if scheduler.Event_Type(number) != scheduler.Event_UNKNOWN {
			counts["events/"+strings.ToLower(name)] = 0
		}
	}
	for _, name := range countedOperations {
		counts["operations/"+name] = 0
	}
	for number, name := range mesos.TaskState_name {
		if state := mesos.TaskState(number); terminal(state) {
			counts["tasks/terminal/"+strings.ToLower(name)] = 0
		}
	}
	return counts
}

// count adds one to the counter of a kind, such as calls, and to its sum.
func (f *framework) count(kind, name string) {
	f.counts[kind]++
	f.counts[kind+"/"+strings.ToLower(name)]++
}

// countSent counts an event on its way to the framework.
func (f *framework) countSent(e *scheduler.Event) {
	f.count("events", e.Type.String())
	switch e.Type {
	case scheduler.Event_OFFERS:
		f.counts["offers/sent"] += len(e.Offers.Offers)
	case scheduler.Event_RESCIND:
		f.counts["offers/rescinded"]++
	}
}

// countEnded counts a task that has come to its end.
func (f *framework) countEnded(state mesos.TaskState) {
	if terminal(state) {
		f.counts["tasks/terminal/"+strings.ToLower(state.String())]++
	}
}

// frameworkMetrics adds what is known of all frameworks.
func (c *core) frameworkMetrics(values map[string]float64) {
	for _, f := range slices.Concat(c.sortedFrameworks(), c.completed) {
		prefix := "master/frameworks/" + encodeName(f.info.Name) + "/" + string(f.id) + "/"
		for name, n := range f.counts {
			values[prefix+name] = float64(n)
		}
		values[prefix+"subscribed"] = 0
		if f.connected {
			values[prefix+"subscribed"] = 1
		}
		for _, state := range []mesos.TaskState{
			mesos.TASK_KILLING, mesos.TASK_RUNNING, mesos.TASK_STAGING, mesos.TASK_STARTING, mesos.TASK_UNKNOWN, mesos.TASK_UNREACHABLE,
		} {
			values[prefix+"tasks/active/"+strings.ToLower(state.String())] = 0
		}
		for _, t := range slices.AppendSeq(slices.Clone(f.unreachable), maps.Values(f.tasks)) {
			if !terminal(t.state()) {
				values[prefix+"tasks/active/"+strings.ToLower(t.state().String())]++
			}
		}
		suppressed := c.allocator.Suppressed(string(f.id))
		for _, role := range validation.Roles(&f.info) {
			values[prefix+"roles/"+role+"/suppressed"] = 0
			if slices.Contains(suppressed, role) {
				values[prefix+"roles/"+role+"/suppressed"] = 1
			}
		}
	}
}

// encodeName percent-encodes a name as libprocess does (http::encode).
func encodeName(name string) string {
	var out strings.Builder
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c > 0x7f || strings.IndexByte("$&+,/:;=?@\"<>#%{}|\\^~[]`", c) >= 0 {
			fmt.Fprintf(&out, "%%%02X", c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}
