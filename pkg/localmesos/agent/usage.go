package agent

import (
	"encoding/binary"
	"net/http"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/container"
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

// kernelMemory is what mesos-go's statistics have no room for, of the n-th of those
// at the end of the path.
func kernelMemory(of func(n int) *container.Container, path ...string) []wire.Addition {
	field := func(name string, choose func(all, tcp *uint64) *uint64) wire.Addition {
		return wire.Addition{Path: path, Field: name, Value: func(n int) []byte {
			c := of(n)
			if c == nil {
				return nil
			}
			if bytes := choose(c.KernelMemory()); bytes != nil {
				return binary.AppendUvarint(nil, *bytes)
			}
			return nil
		}}
	}
	return []wire.Addition{
		field("mem_kmem_usage_bytes", func(all, _ *uint64) *uint64 { return all }),
		field("mem_kmem_tcp_usage_bytes", func(_, tcp *uint64) *uint64 { return tcp }),
	}
}

func (e runningExecutor) status() mesos.ContainerStatus {
	pid := uint32(e.container.PID())
	return mesos.ContainerStatus{ContainerID: &mesos.ContainerID{Value: e.worker.id()}, ExecutorPID: &pid}
}

// serveContainers serves /containers: those that an operator may see, or of
// these the container, the framework's, or the executor's that the query names.
func (a *Agent) serveContainers(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	container, framework, executor := query["container_id"], query["framework_id"], query["executor_id"]
	if container != nil && (framework != nil || executor != nil) || container == nil && framework == nil && executor != nil {
		return wire.BadRequest("Supported query parameters are container_id only, framework_id only, or executor_id and framework_id only")
	}
	all, err := a.runningExecutors()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(e runningExecutor) bool {
		is := func(asked []string, id string) bool { return asked == nil || asked[len(asked)-1] == id }
		return !is(container, e.worker.id()) || !is(framework, e.worker.launch.Framework.ID.Value) ||
			!is(executor, e.worker.launch.Executor.ExecutorID.Value)
	})
	return a.json(func(out *wire.Writer, who operator) error { return a.writeContainers(out, all, who, true) })(w, r)
}

// writeStatistics writes /monitor/statistics: /containers of all, without the
// containers' names and status.
func (a *Agent) writeStatistics(out *wire.Writer, who operator) error {
	all, err := a.runningExecutors()
	if err != nil {
		return err
	}
	return a.writeContainers(out, all, who, false)
}

// writeContainers writes a list of running containers, and what they use.
func (a *Agent) writeContainers(out *wire.Writer, all []runningExecutor, who operator, full bool) error {
	o := object{out}
	o.BeginArray()
	for _, e := range all {
		if full && !who.may(acl.ViewContainers, e.worker.user()) {
			continue
		}
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
		more, err := a.schema.Extend(&usage, kernelMemory(func(int) *container.Container { return e.container })...)
		if err != nil {
			return err
		}
		if err := a.schema.WriteJSON(out, more); err != nil {
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
