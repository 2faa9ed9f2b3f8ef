package agent

import (
	"maps"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/process"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// writeMetrics writes what /metrics/snapshot answers.
func (a *Agent) writeMetrics(out *wire.Writer) error {
	m, err := a.metrics()
	if err != nil {
		return err
	}
	o := object{out}
	o.BeginObject()
	for _, name := range sortedKeys(m) {
		o.number(name, m[name])
	}
	o.EndObject()
	return nil
}

// getMetrics answers GET_METRICS.
func (a *Agent) getMetrics(call *mesosagent.Call_GetMetrics) (*mesosagent.Response, error) {
	if call == nil {
		return nil, wire.BadRequest("Failed to validate agent::Call: Expecting 'get_metrics' to be present")
	}
	m, err := a.metrics()
	if err != nil {
		return nil, err
	}
	out := &mesosagent.Response_GetMetrics{}
	for _, name := range sortedKeys(m) {
		out.Metrics = append(out.Metrics, mesos.Metric{Name: name, Value: new(m[name])})
	}
	return &mesosagent.Response{Type: mesosagent.Response_GET_METRICS, GetMetrics: out}, nil
}

// metrics are the numbers under the names of a real agent's, as far as there is
// something to count; what there cannot be is zero.
func (a *Agent) metrics() (map[string]float64, error) {
	v, err := a.view()
	if err != nil {
		return nil, err
	}
	fetched := a.fetcher.Stats()
	m := map[string]float64{
		"slave/uptime_secs":                a.options.Clock.Now().Sub(a.started).Seconds(),
		"slave/registered":                 0,
		"slave/container_launch_errors":    float64(v.Metrics.LaunchErrors),
		"slave/executors_terminated":       float64(v.Metrics.ExecutorsTerminated),
		"slave/valid_status_updates":       float64(v.Metrics.ValidUpdates),
		"slave/invalid_status_updates":     float64(v.Metrics.InvalidUpdates),
		"slave/valid_framework_messages":   float64(v.Metrics.ValidFrameworkMsgs),
		"slave/invalid_framework_messages": float64(v.Metrics.InvalidFrameworkMsgs),
		"slave/frameworks_active":          float64(len(v.Frameworks)),
		"slave/executors_preempted":        0,
		"slave/recovery_errors":            0,
		"slave/recovery_time_secs":         0,

		"containerizer/fetcher/cache_size_total_bytes":              float64(fetched.CacheBytes),
		"containerizer/fetcher/cache_size_used_bytes":               float64(fetched.UsedBytes),
		"containerizer/fetcher/task_fetches_failed":                 float64(fetched.Failed),
		"containerizer/fetcher/task_fetches_succeeded":              float64(fetched.Succeeded),
		"containerizer/mesos/container_destroy_errors":              float64(a.destroyErrors.Load()),
		"containerizer/mesos/filesystem/containers_new_rootfs":      0,
		"containerizer/mesos/provisioner/bind/remove_rootfs_errors": 0,
		"containerizer/mesos/provisioner/remove_container_errors":   0,
		"resource_provider_manager/events/disconnect":               0,
		"resource_provider_manager/events/subscribe":                0,
		"resource_provider_manager/subscribed":                      0,
	}
	if v.Phase == core.Registered {
		m["slave/registered"] = 1
	}
	ask(a, func(time.Time) struct{} {
		m["gc/path_removals_pending"] = float64(len(a.discarded))
		m["gc/path_removals_succeeded"], m["gc/path_removals_failed"] = float64(a.gc.succeeded), float64(a.gc.failed)
		return struct{}{}
	})
	if used, err := a.options.DiskUsage(); err == nil {
		m["slave/executor_directory_max_allowed_age_secs"] = maxAge(a.options.GCDelay, used).Seconds()
	}
	countTasks(m, v)
	countResources(m, v)
	maps.Copy(m, process.Metrics())
	return m, nil
}

// countTasks counts the executors and tasks by how far they are.
func countTasks(m map[string]float64, v core.View) {
	for _, name := range []string{
		"slave/executors_running", "slave/executors_registering", "slave/executors_terminating", "slave/tasks_staging",
		"slave/tasks_starting", "slave/tasks_running", "slave/tasks_killing",
	} {
		m[name] = 0 // there even when nothing counts
	}
	for state, name := range countedStates {
		m["slave/tasks_"+name] = float64(v.Metrics.Tasks[state])
	}
	for _, f := range v.Frameworks {
		for _, e := range f.Executors {
			switch {
			case e.Ending:
				m["slave/executors_terminating"]++
			case e.Registered:
				m["slave/executors_running"]++
			default:
				m["slave/executors_registering"]++
			}
			m["slave/tasks_staging"] += float64(len(e.Queued))
			for _, t := range e.Tasks {
				switch t.GetState() {
				case mesos.TASK_STAGING:
					m["slave/tasks_staging"]++
				case mesos.TASK_STARTING:
					m["slave/tasks_starting"]++
				case mesos.TASK_KILLING:
					m["slave/tasks_killing"]++
				default:
					m["slave/tasks_running"]++
				}
			}
		}
	}
}

// countedStates are the terminal states that metrics count, and their names.
var countedStates = map[mesos.TaskState]string{
	mesos.TASK_FINISHED: "finished", mesos.TASK_FAILED: "failed", mesos.TASK_KILLED: "killed",
	mesos.TASK_LOST: "lost", mesos.TASK_GONE: "gone",
}

// countResources tells what there is and what is used of each resource; nothing is
// revocable.
func countResources(m map[string]float64, v core.View) {
	var used []mesos.Resource
	for _, f := range v.Frameworks {
		for _, e := range f.Executors {
			used = append(used, allocation(e)...)
		}
	}
	for _, name := range []string{"cpus", "gpus", "mem", "disk"} {
		total, taken := scalarSum(v.Info.Resources, name), scalarSum(used, name)
		prefix := "slave/" + name + "_"
		m[prefix+"total"], m[prefix+"used"], m[prefix+"percent"] = total, taken, 0
		if total > 0 {
			m[prefix+"percent"] = taken / total
		}
		m[prefix+"revocable_total"], m[prefix+"revocable_used"], m[prefix+"revocable_percent"] = 0, 0, 0
	}
}

func scalarSum(rs []mesos.Resource, name string) float64 {
	sum := 0.0
	for i := range rs {
		if rs[i].Name == name && rs[i].Scalar != nil {
			sum += rs[i].Scalar.Value
		}
	}
	return sum
}
