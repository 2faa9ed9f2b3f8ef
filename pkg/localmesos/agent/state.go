package agent

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// capabilities are what a real agent of this version says it can do.
var capabilities = []string{
	"MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT", "RESOURCE_PROVIDER",
	"RESIZE_VOLUME", "AGENT_OPERATION_FEEDBACK", "AGENT_DRAINING", "TASK_RESOURCE_LIMITS",
}

// object writes JSON objects a member at a time.
type object struct{ *wire.Writer }

func (o object) text(name, value string) {
	o.Key(name)
	o.String(value)
}

func (o object) number(name string, value float64) {
	o.Key(name)
	o.Double(value)
}

func (o object) bool(name string, value bool) {
	o.Key(name)
	o.Bool(value)
}

func (o object) texts(name string, values []string) {
	o.Key(name)
	o.BeginArray()
	for _, v := range values {
		o.String(v)
	}
	o.EndArray()
}

// writeState writes what /state answers to an operator.
func (a *Agent) writeState(out *wire.Writer, who operator) error {
	v, err := a.view()
	if err != nil {
		return err
	}
	o := object{out}
	o.BeginObject()
	o.text("version", a.options.Version)
	writeBuild(o)
	o.number("start_time", float64(a.started.UnixMicro())/1e6)
	if v.Info.ID != nil {
		o.text("id", v.Info.ID.Value)
	}
	o.text("pid", a.pid())
	o.text("hostname", v.Info.Hostname)
	o.texts("capabilities", capabilities)
	if v.Info.Domain != nil {
		o.Key("domain")
		if err := a.options.Schema.WriteJSON(out, v.Info.Domain); err != nil {
			return err
		}
	}
	if err := a.writeResources(o, v); err != nil {
		return err
	}
	o.Key("resource_providers")
	o.BeginArray()
	o.EndArray()
	o.Key("attributes")
	o.BeginObject()
	for _, attribute := range v.Info.Attributes {
		writeAttribute(o, attribute)
	}
	o.EndObject()
	if name, _ := ask(a, func(time.Time) string { return a.masterName }); name != "" {
		o.text("master_hostname", name)
	}
	if who.seesFlags() {
		o.Key("flags")
		a.writeFlags(out)
	}
	v = who.seen(v)
	for _, list := range []struct {
		name string
		all  []core.FrameworkView
	}{{"frameworks", v.Frameworks}, {"completed_frameworks", v.Completed}} {
		o.Key(list.name)
		o.BeginArray()
		for _, f := range list.all {
			if err := a.writeFramework(o, v, f); err != nil {
				return err
			}
		}
		o.EndArray()
	}
	o.EndObject()
	return nil
}

// writeResources writes the agent's resources: all, by role, and as allocated.
func (a *Agent) writeResources(o object, v core.View) error {
	reserved := map[string][]mesos.Resource{}
	var free []mesos.Resource
	for _, r := range v.Info.Resources {
		if role := reservedFor(r); role != "" {
			reserved[role] = append(reserved[role], r)
		} else {
			free = append(free, r)
		}
	}
	o.Key("resources")
	writeSum(o, v.Info.Resources)
	o.Key("reserved_resources")
	o.BeginObject()
	for _, role := range sortedKeys(reserved) {
		o.Key(role)
		writeSum(o, reserved[role])
	}
	o.EndObject()
	o.Key("unreserved_resources")
	writeSum(o, free)
	o.Key("reserved_resources_full")
	o.BeginObject()
	for _, role := range sortedKeys(reserved) {
		o.Key(role)
		if err := a.writeFull(o, reserved[role]); err != nil {
			return err
		}
	}
	o.EndObject()
	o.Key("unreserved_resources_full")
	if err := a.writeFull(o, free); err != nil {
		return err
	}
	var allocated []mesos.Resource
	for _, f := range v.Frameworks {
		for _, e := range f.Executors {
			allocated = append(allocated, allocation(e)...)
		}
	}
	held := map[string][]mesos.Resource{}
	free = nil
	for _, r := range allocated {
		if role := reservedFor(r); role != "" {
			held[role] = append(held[role], r)
		} else {
			free = append(free, r)
		}
	}
	o.Key("reserved_resources_allocated")
	o.BeginObject()
	for _, role := range sortedKeys(held) {
		o.Key(role)
		writeSum(o, held[role])
	}
	o.EndObject()
	o.Key("unreserved_resources_allocated")
	writeSum(o, free)
	return nil
}

// writeFull writes resources as messages, with the role in the form of before
// reservation refinement, as endpoints show it.
func (a *Agent) writeFull(o object, rs []mesos.Resource) error {
	o.BeginArray()
	for _, r := range rs {
		if n := len(r.Reservations); n == 0 {
			r.Role = new("*")
		} else if n == 1 {
			r.Role = r.Reservations[0].Role
		}
		if err := a.schema.WriteJSON(o.Writer, &r); err != nil {
			return err
		}
	}
	o.EndArray()
	return nil
}

func reservedFor(r mesos.Resource) string {
	if n := len(r.Reservations); n > 0 {
		return r.Reservations[n-1].GetRole()
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// allocation is what an executor and its live tasks hold.
func allocation(e core.ExecutorView) []mesos.Resource {
	all := slices.Clone(e.Info.Resources)
	for _, t := range e.Tasks {
		all = append(all, t.Resources...)
	}
	for _, t := range e.Queued {
		all = append(all, t.Resources...)
	}
	return all
}

// writeSum writes resources as an object of name and amount. The usual scalars
// are always there.
func writeSum(o object, rs []mesos.Resource) {
	scalars := map[string]float64{"cpus": 0, "gpus": 0, "mem": 0, "disk": 0}
	ranges := map[string][]string{}
	for _, r := range rs {
		switch r.GetType() {
		case mesos.SCALAR:
			scalars[r.Name] = math.Round((scalars[r.Name]+r.Scalar.GetValue())*1000) / 1000
		case mesos.RANGES:
			for _, s := range r.Ranges.GetRange() {
				ranges[r.Name] = append(ranges[r.Name], strconv.FormatUint(s.Begin, 10)+"-"+strconv.FormatUint(s.End, 10))
			}
		}
	}
	o.BeginObject()
	for _, name := range sortedKeys(scalars) {
		o.number(name, scalars[name])
	}
	for _, name := range sortedKeys(ranges) {
		o.text(name, "["+strings.Join(ranges[name], ", ")+"]")
	}
	o.EndObject()
}

func writeAttribute(o object, a mesos.Attribute) {
	switch a.Type {
	case mesos.SCALAR:
		o.number(a.Name, a.Scalar.GetValue())
	case mesos.TEXT:
		o.text(a.Name, a.Text.GetValue())
	case mesos.RANGES:
		var parts []string
		for _, r := range a.Ranges.GetRange() {
			parts = append(parts, strconv.FormatUint(r.Begin, 10)+"-"+strconv.FormatUint(r.End, 10))
		}
		o.text(a.Name, "["+strings.Join(parts, ", ")+"]")
	case mesos.SET:
		o.text(a.Name, "{"+strings.Join(a.Set.GetItem(), ", ")+"}")
	}
}

func (a *Agent) writeFramework(o object, v core.View, f core.FrameworkView) error {
	o.BeginObject()
	o.text("id", f.Info.ID.Value)
	o.text("name", f.Info.Name)
	o.text("user", f.Info.User)
	o.number("failover_timeout", f.Info.GetFailoverTimeout())
	o.bool("checkpoint", f.Info.GetCheckpoint())
	o.text("hostname", f.Info.GetHostname())
	o.texts("roles", f.Info.Roles)
	for _, list := range []struct {
		name string
		all  []core.ExecutorView
	}{{"executors", f.Executors}, {"completed_executors", f.Completed}} {
		o.Key(list.name)
		o.BeginArray()
		for _, e := range list.all {
			if err := a.writeExecutor(o, v, f, e); err != nil {
				return err
			}
		}
		o.EndArray()
	}
	o.EndObject()
	return nil
}

func (a *Agent) writeExecutor(o object, v core.View, f core.FrameworkView, e core.ExecutorView) error {
	p := sandbox.Path{
		WorkDir: a.options.WorkDir, Framework: f.Info.ID.Value,
		Executor: e.Info.ExecutorID.Value, Container: e.Container,
	}
	if v.Info.ID != nil {
		p.Agent = v.Info.ID.Value
	}
	o.BeginObject()
	o.text("id", e.Info.ExecutorID.Value)
	o.text("name", e.Info.GetName())
	o.text("source", e.Info.GetSource())
	o.text("container", e.Container)
	o.text("directory", p.Dir())
	o.Key("resources")
	writeSum(o, allocation(e))
	o.text("role", roleOf(e.Info.Resources))
	o.text("type", e.Info.Type.String())
	for _, list := range []struct {
		name string
		all  []mesos.Task
	}{{"tasks", e.Tasks}, {"queued_tasks", queued(f, e)}, {"completed_tasks", slices.Concat(e.Completed, e.Ended)}} {
		o.Key(list.name)
		o.BeginArray()
		for i := range list.all {
			if err := a.writeTask(o, &list.all[i]); err != nil {
				return err
			}
		}
		o.EndArray()
	}
	o.EndObject()
	return nil
}

// queued gives the queued tasks the form of the others.
func queued(f core.FrameworkView, e core.ExecutorView) []mesos.Task {
	var ts []mesos.Task
	for _, t := range e.Queued {
		ts = append(ts, mesos.Task{
			Name: t.Name, TaskID: t.TaskID, FrameworkID: *f.Info.ID, ExecutorID: &e.Info.ExecutorID,
			AgentID: t.AgentID, State: mesos.TASK_STAGING.Enum(), Resources: t.Resources, Labels: t.Labels,
		})
	}
	return ts
}

func roleOf(rs []mesos.Resource) string {
	for _, r := range rs {
		if r.AllocationInfo != nil {
			return r.AllocationInfo.GetRole()
		}
	}
	return "*"
}

func (a *Agent) writeTask(o object, t *mesos.Task) error {
	o.BeginObject()
	o.text("id", t.TaskID.Value)
	o.text("name", t.Name)
	o.text("framework_id", t.FrameworkID.Value)
	o.text("executor_id", t.ExecutorID.GetValue())
	o.text("slave_id", t.AgentID.Value)
	o.text("state", t.GetState().String())
	o.Key("resources")
	writeSum(o, t.Resources)
	o.text("role", roleOf(t.Resources))
	o.Key("statuses")
	o.BeginArray()
	for i := range t.Statuses {
		if err := a.writeStatus(o, &t.Statuses[i]); err != nil {
			return err
		}
	}
	o.EndArray()
	if t.Labels != nil {
		o.Key("labels")
		o.BeginArray()
		for i := range t.Labels.Labels {
			if err := a.schema.WriteJSON(o.Writer, &t.Labels.Labels[i]); err != nil {
				return err
			}
		}
		o.EndArray()
	}
	if t.Discovery != nil {
		o.Key("discovery")
		if err := a.schema.WriteJSON(o.Writer, t.Discovery); err != nil {
			return err
		}
	}
	o.EndObject()
	return nil
}

func (a *Agent) writeStatus(o object, s *mesos.TaskStatus) error {
	o.BeginObject()
	o.text("state", s.GetState().String())
	o.number("timestamp", s.GetTimestamp())
	if s.ContainerStatus != nil {
		shown := *s.ContainerStatus
		shown.ExecutorPID = nil
		o.Key("container_status")
		if err := a.schema.WriteJSON(o.Writer, &shown); err != nil {
			return err
		}
	}
	if s.Healthy != nil {
		o.bool("healthy", s.GetHealthy())
	}
	o.EndObject()
	return nil
}
