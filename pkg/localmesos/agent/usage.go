package agent

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/container"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// runningExecutor is an executor whose container runs.
type runningExecutor struct {
	worker    *worker
	container *container.Container
}

// runningExecutors asks the loop for them.
func (a *Agent) runningExecutors() ([]runningExecutor, error) {
	all, ok := ask(a, func(time.Time) []runningExecutor {
		var all []runningExecutor
		for _, id := range sortedKeys(a.containers) {
			if w := a.containers[id]; w.running != nil {
				all = append(all, runningExecutor{w, w.running})
			}
		}
		return all
	})
	if !ok {
		return nil, wire.Unavailable("Agent has not finished recovery")
	}
	return all, nil
}

func (e runningExecutor) usage(now time.Time) (mesos.ResourceStatistics, error) {
	usage, err := e.container.Usage()
	usage.Timestamp = float64(now.UnixMicro()) / 1e6
	return usage, err
}

func (e runningExecutor) status() mesos.ContainerStatus {
	pid := uint32(e.container.PID())
	return mesos.ContainerStatus{ContainerID: &mesos.ContainerID{Value: e.worker.id()}, ExecutorPID: &pid}
}

// writeContainers writes a list of the running containers and what they use.
// /monitor/statistics is the same without the containers' names and status.
func (a *Agent) writeContainers(out *wire.Writer, full bool) error {
	all, err := a.runningExecutors()
	if err != nil {
		return err
	}
	o := object{out}
	o.BeginArray()
	for _, e := range all {
		usage, err := e.usage(a.options.Clock.Now())
		if err != nil {
			continue // it ended meanwhile
		}
		info := e.worker.launch.Executor
		o.BeginObject()
		if full {
			o.text("container_id", e.worker.id())
		}
		o.text("executor_id", info.ExecutorID.Value)
		o.text("executor_name", info.GetName())
		o.text("framework_id", e.worker.launch.Framework.ID.Value)
		o.text("source", info.GetSource())
		o.Key("statistics")
		if err := a.schema.WriteJSON(out, &usage); err != nil {
			return err
		}
		if full {
			status := e.status()
			o.Key("status")
			if err := a.schema.WriteJSON(out, &status); err != nil {
				return err
			}
		}
		o.EndObject()
	}
	o.EndArray()
	return nil
}

// writeMetrics writes what /metrics/snapshot answers.
func (a *Agent) writeMetrics(out *wire.Writer) error {
	v, err := a.view()
	if err != nil {
		return err
	}
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
	}
	if v.Phase == core.Registered {
		m["slave/registered"] = 1
	}
	for state, name := range countedStates {
		m["slave/tasks_"+name] = float64(v.Metrics.Tasks[state])
	}
	for _, f := range v.Frameworks {
		for _, e := range f.Executors {
			if e.Registered {
				m["slave/executors_running"]++
			} else {
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
	for _, name := range []string{
		"slave/executors_running", "slave/executors_registering", "slave/tasks_staging",
		"slave/tasks_starting", "slave/tasks_running", "slave/tasks_killing",
	} {
		m[name] += 0 // there even when nothing counts
	}
	o := object{out}
	o.BeginObject()
	for _, name := range sortedKeys(m) {
		o.number(name, m[name])
	}
	o.EndObject()
	return nil
}

// countedStates are the terminal states that metrics count, and their names.
var countedStates = map[mesos.TaskState]string{
	mesos.TASK_FINISHED: "finished", mesos.TASK_FAILED: "failed", mesos.TASK_KILLED: "killed",
	mesos.TASK_LOST: "lost", mesos.TASK_GONE: "gone",
}
