package master

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/master/allocator"
	"github.com/tandem-mesos/tandem/pkg/localmesos/process"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// metrics counts what /metrics/snapshot shows.
type metrics struct {
	messages map[string]int // calls and messages received, by name
	states   map[mesos.TaskState]int
	counters counters
	// allocations is how often the allocator has run.
	allocations int
	// runs are how long it took, waits how long it had been due, and stores how
	// long it took to note what the registry has.
	runs, waits, stores timings
}

func (m *metrics) init() {
	m.messages = make(map[string]int)
	for _, name := range []string{
		"decline_offers", "executor_to_framework", "exited_executor", "framework_to_executor", "kill_task", "launch_tasks",
		"reconcile_tasks", "register_slave", "reregister_slave", "resource_request", "revive_offers", "status_update",
		"status_update_acknowledgement", "suppress_offers", "unregister_slave", "register_framework", "reregister_framework",
		"operation_status_update", "operation_status_update_acknowledgement", "reconcile_operations",
		"update_slave",
		// What nobody sends here.
		"authenticate", "deactivate_framework", "unregister_framework",
	} {
		m.messages[name] = 0
	}
	m.states = make(map[mesos.TaskState]int)
	m.counters = newCounters()
}

// serveMetrics serves /metrics/snapshot.
func (m *Master) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	if err := process.Timeout(r); err != nil {
		return err
	}
	return m.show(func(v view, _ url.Values) {
		values := v.core.snapshot()
		v.BeginObject()
		for _, name := range slices.Sorted(maps.Keys(values)) {
			v.double(name, values[name])
		}
		v.EndObject()
	})(w, r)
}

// getMetrics is the answer to GET_METRICS.
func (c *core) getMetrics() *mesosmaster.Response_GetMetrics {
	values := c.snapshot()
	out := new(mesosmaster.Response_GetMetrics)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out.Metrics = append(out.Metrics, mesos.Metric{Name: name, Value: new(values[name])})
	}
	return out
}

// snapshot is what the counters and gauges are now, by the names of a real
// master's, which has some more.
func (c *core) snapshot() map[string]float64 {
	values := map[string]float64{
		"master/elected":                 1,
		"master/uptime_secs":             c.now().Sub(c.started).Seconds(),
		"master/slaves_connected":        0,
		"master/slaves_disconnected":     0,
		"master/slaves_active":           0,
		"master/slaves_inactive":         0,
		"master/slaves_unreachable":      float64(len(c.unreachable)),
		"master/outstanding_offers":      float64(len(c.offers)),
		"master/frameworks_connected":    0,
		"master/frameworks_disconnected": 0,

		"master/operator_event_stream_subscribers": float64(len(c.watchers)),
		// Nothing waits in a queue, is dropped, or comes out of a cache.
		"master/event_queue_dispatches":          0,
		"master/event_queue_http_requests":       0,
		"master/event_queue_messages":            0,
		"master/dropped_messages":                0,
		"master/http_cache_hits":                 0,
		"allocator/event_queue_dispatches":       0,
		"allocator/mesos/event_queue_dispatches": 0,
		"registrar/queued_operations":            0,
		"registrar/state_fetch_ms":               0,
		"registrar/log/ensemble_size":            1,
		"registrar/log/recovered":                1,
		"allocator/mesos/allocation_runs":        float64(c.metrics.allocations),
	}
	for _, f := range c.frameworks {
		if f.connected {
			values["master/frameworks_connected"]++
		} else {
			values["master/frameworks_disconnected"]++
		}
		for _, t := range f.tasks {
			values["master/tasks_"+stateName(t.state())]++
		}
	}
	values["master/frameworks_active"] = values["master/frameworks_connected"]
	values["master/frameworks_inactive"] = values["master/frameworks_disconnected"]
	var total, used resource.Resources
	for _, a := range c.agents {
		if a.connected {
			values["master/slaves_connected"]++
		} else {
			values["master/slaves_disconnected"]++
		}
		if c.usable(a) {
			values["master/slaves_active"]++
		} else {
			values["master/slaves_inactive"]++
		}
		total, used = total.Add(a.total.Scalars()), used.Add(a.used().Scalars())
	}
	for _, name := range []string{"cpus", "gpus", "mem", "disk"} {
		// Nobody estimates what could be lent here.
		for _, kind := range []string{"total", "used", "percent"} {
			values["master/"+name+"_revocable_"+kind] = 0
		}
		all, some := total.Scalar(name).Float(), used.Scalar(name).Float()
		values["master/"+name+"_total"], values["master/"+name+"_used"] = all, some
		values["master/"+name+"_percent"] = 0
		if all > 0 {
			values["master/"+name+"_percent"] = some / all
		}
	}
	for _, state := range []mesos.TaskState{mesos.TASK_STAGING, mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_KILLING, mesos.TASK_UNREACHABLE} {
		values["master/tasks_"+stateName(state)] += 0
	}
	for _, state := range []mesos.TaskState{
		mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_LOST, mesos.TASK_ERROR, mesos.TASK_DROPPED, mesos.TASK_GONE,
		mesos.TASK_GONE_BY_OPERATOR,
	} {
		values["master/tasks_"+stateName(state)] = float64(c.metrics.states[state])
	}
	for name, n := range c.metrics.counters {
		values["master/"+name] = n
	}
	for name, n := range c.metrics.messages {
		values["master/messages_"+name] = float64(n)
	}
	c.frameworkMetrics(values)
	c.allocatorMetrics(values)
	c.metrics.runs.show(values, "allocator/mesos/allocation_run_ms")
	c.metrics.waits.show(values, "allocator/mesos/allocation_run_latency_ms")
	c.metrics.stores.show(values, "registrar/state_store_ms")
	maps.Copy(values, process.Metrics())
	return values
}

// allocatorMetrics adds what the allocator has to share, and of roles with quotas
// and all others what they have of it.
func (c *core) allocatorMetrics(values map[string]float64) {
	var total, held resource.Sum
	for _, a := range c.agents {
		total.Add(a.total.Scalars())
		held.Add(a.used().Scalars())
		held.Add(offered(a.offers).Scalars())
	}
	all, taken := total.Total(), held.Total()
	for _, name := range []string{"cpus", "mem", "disk"} {
		values["allocator/mesos/resources/"+name+"/total"] = all.Scalar(name).Float()
		values["allocator/mesos/resources/"+name+"/offered_or_allocated"] = taken.Scalar(name).Float()
	}
	for role, share := range c.allocator.Shares() {
		values["allocator/mesos/roles/"+role+"/shares/dominant"] = share
	}
	// The role that all others are within has no name.
	everything := allocator.Quantities{}
	for _, role := range c.roles() {
		consumed := c.consumedQuota(role)
		if !strings.Contains(role, "/") {
			addTo(everything, consumed)
		}
		tellConsumed(values, role, consumed)
	}
	tellConsumed(values, "", everything)
	for role, n := range c.allocator.Filters() {
		values["allocator/mesos/offer_filters/roles/"+role+"/active"] = float64(n)
	}
	size := c.info.Size()
	for _, a := range c.agents {
		size += a.info.Size()
	}
	values["registrar/registry_size_bytes"] = float64(size)
}

func tellConsumed(values map[string]float64, role string, consumed allocator.Quantities) {
	for name, n := range consumed {
		values["allocator/mesos/quota/roles/"+role+"/resources/"+name+"/consumed"] = n.Float()
	}
}

func stateName(s mesos.TaskState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "TASK_"))
}
