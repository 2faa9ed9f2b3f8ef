package master

import (
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/master/validation"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// The JSON of the older operator endpoints is written by hand in a real master
// (src/common/http.cpp, src/master/readonly_handler.cpp), and so it is here.
// Members are in its order; what it keeps in hash maps is in order of arrival.

// view writes the core's state as JSON. It runs in the loop.
type view struct {
	*wire.Writer
	core   *core
	viewer viewer
}

func (v view) message(m wire.Message) {
	if err := v.core.options.Schema.WriteJSON(v.Writer, m); err != nil {
		// The text would be broken from here on; an empty object is not.
		v.core.options.Logger.WithError(err).Error("cannot show a message")
		v.BeginObject()
		v.EndObject()
	}
}

func (v view) text(key, value string) { v.Key(key); v.String(value) }

func (v view) list(key string, write func()) {
	v.Key(key)
	v.BeginArray()
	write()
	v.EndArray()
}

func (v view) texts(key string, values []string) {
	v.list(key, func() {
		for _, s := range values {
			v.String(s)
		}
	})
}

// amounts writes resources as sums by name; these four are never left out.
func (v view) amounts(key string, r resource.Resources) {
	v.Key(key)
	v.BeginObject()
	revocable := r.Revocable()
	firm, err := r.Subtract(revocable)
	if err != nil {
		firm = r
	}
	always := []string{"disk", "mem", "gpus", "cpus"}
	for _, name := range always {
		v.Key(name)
		v.Double(firm.Scalar(name).Float())
	}
	for _, name := range firm.Names() {
		if !slices.Contains(always, name) {
			v.amount(name, name, firm)
		}
	}
	for _, name := range revocable.Names() {
		v.amount(name+"_revocable", name, revocable)
	}
	v.EndObject()
}

func (v view) amount(key, name string, r resource.Resources) {
	v.Key(key)
	if set := r.Set(name); set != nil {
		v.String(r.Named(name).String())
	} else if ranges := r.Ranges(name); ranges != nil {
		v.String(ranges.String())
	} else {
		v.Double(r.Scalar(name).Float())
	}
}

// full writes resources as messages, in the form that endpoints use.
func (v view) full(key string, r resource.Resources) {
	v.list(key, func() {
		list := v.viewer.resources(r)
		for i := range list {
			v.message(&list[i])
		}
	})
}

// endpointForm brings resources into the form that endpoints show
// (convertResourceFormat of src/common/resources_utils.cpp), with both forms of a
// single reservation.
func endpointForm(list []mesos.Resource) []mesos.Resource {
	for i := range list {
		if n := len(list[i].Reservations); n == 1 {
			list[i].Role = list[i].Reservations[0].Role
			if reservation := list[i].Reservations[0]; reservation.GetType() == mesos.Resource_ReservationInfo_DYNAMIC {
				list[i].Reservation = &mesos.Resource_ReservationInfo{Principal: reservation.Principal, Labels: reservation.Labels}
			}
		} else if n == 0 {
			list[i].Role = new(resource.AnyRole)
		}
	}
	return list
}

func (v view) labels(l *mesos.Labels) {
	if l == nil {
		return
	}
	v.list("labels", func() {
		for i := range l.Labels {
			v.message(&l.Labels[i])
		}
	})
}

func (v view) attributes(attributes []mesos.Attribute) {
	v.Key("attributes")
	v.BeginObject()
	for i := range attributes {
		a := &attributes[i]
		v.Key(a.Name)
		switch a.Type {
		case mesos.SCALAR:
			v.Double(a.GetScalar().GetValue())
		case mesos.RANGES:
			var ranges resource.Ranges
			for _, r := range a.GetRanges().GetRange() {
				ranges = append(ranges, resource.Range{Begin: r.Begin, End: r.End})
			}
			v.String(ranges.String())
		default:
			v.String(a.GetText().GetValue())
		}
	}
	v.EndObject()
}

// frameworkSummary writes what all endpoints show of a framework.
func (v view) frameworkSummary(f *framework) {
	v.text("id", string(f.id))
	v.text("name", f.info.Name)
	v.amounts("used_resources", f.used())
	v.amounts("offered_resources", offered(f.offers))
	v.list("capabilities", func() {
		for _, capability := range f.info.Capabilities {
			v.String(capability.Type.String())
		}
	})
	v.text("hostname", f.info.GetHostname())
	v.text("webui_url", f.info.GetWebUiURL())
	v.flag("active", f.connected)
	v.flag("connected", f.connected)
	v.flag("recovered", f.recovered)
}

func (v view) flag(key string, b bool) { v.Key(key); v.Bool(b) }

func (v view) double(key string, d float64) { v.Key(key); v.Double(d) }

// framework writes a whole framework.
func (v view) framework(f *framework) {
	v.BeginObject()
	v.frameworkSummary(f)
	v.text("user", f.info.User)
	v.double("failover_timeout", f.info.GetFailoverTimeout())
	v.flag("checkpoint", f.info.GetCheckpoint())
	v.double("registered_time", timestamp(f.registered))
	v.double("unregistered_time", timestamp(f.unregistered))
	if f.info.Principal != nil {
		v.text("principal", *f.info.Principal)
	}
	v.amounts("resources", f.used().Add(offered(f.offers)))
	if !f.reregistered.IsZero() {
		v.double("reregistered_time", timestamp(f.reregistered))
	}
	if validation.HasCapability(&f.info, mesos.FrameworkInfo_Capability_MULTI_ROLE) {
		v.texts("roles", f.info.Roles)
	} else {
		v.text("role", f.info.GetRole())
	}
	v.tasks("tasks", v.viewer.tasks(f, sortedTasks(f.tasks)))
	v.tasks("unreachable_tasks", v.viewer.tasks(f, f.unreachable))
	v.tasks("completed_tasks", v.viewer.tasks(f, f.finished))
	v.list("offers", func() {
		for _, o := range sortedOffers(f.offers) {
			v.offer(o)
		}
	})
	v.list("executors", func() {
		for _, e := range f.sortedExecutors() {
			if v.viewer.seesExecutor(f, e) {
				v.executor(e)
			} else {
				v.BeginObject()
				v.EndObject()
			}
		}
	})
	v.labels(f.info.Labels)
	v.Key("offer_constraints")
	if f.constraints == nil {
		v.BeginObject()
		v.EndObject()
	} else {
		v.Raw(f.constraints.shown)
	}
	v.EndObject()
}

func (v view) tasks(key string, tasks []*task) {
	v.list(key, func() {
		for _, t := range tasks {
			v.task(t)
		}
	})
}

func (v view) task(t *task) {
	v.BeginObject()
	v.text("id", t.info.TaskID.Value)
	v.text("name", t.info.Name)
	v.text("framework_id", t.info.FrameworkID.Value)
	v.text("executor_id", t.info.ExecutorID.GetValue())
	v.text("slave_id", t.info.AgentID.Value)
	v.text("state", t.state().String())
	v.amounts("resources", t.resources)
	if len(t.limits) > 0 {
		v.Key("limits")
		v.BeginObject()
		for _, name := range []string{"cpus", "mem"} {
			if limit, ok := t.limits[name]; ok {
				v.double(name, limit.Value)
			}
		}
		v.EndObject()
	}
	role := ""
	if len(t.info.Resources) > 0 {
		role = t.info.Resources[0].AllocationInfo.GetRole()
	}
	v.text("role", role)
	v.list("statuses", func() {
		for i := range t.info.Statuses {
			v.status(&t.info.Statuses[i])
		}
	})
	if t.info.User != nil {
		v.text("user", *t.info.User)
	}
	v.labels(t.info.Labels)
	if t.info.Discovery != nil {
		v.Key("discovery")
		v.message(t.info.Discovery)
	}
	if t.info.Container != nil {
		v.Key("container")
		v.message(t.info.Container)
	}
	if t.info.HealthCheck != nil {
		v.Key("health_check")
		v.message(t.info.HealthCheck)
	}
	v.EndObject()
}

func (v view) status(s *mesos.TaskStatus) {
	v.BeginObject()
	v.text("state", s.GetState().String())
	v.double("timestamp", s.GetTimestamp())
	v.labels(s.Labels)
	if s.ContainerStatus != nil {
		shown := *s.ContainerStatus
		shown.ExecutorPID = nil
		v.Key("container_status")
		v.message(&shown)
	}
	if s.Healthy != nil {
		v.flag("healthy", *s.Healthy)
	}
	v.EndObject()
}

func (v view) offer(o *offer) {
	v.BeginObject()
	v.text("id", string(o.id))
	v.text("framework_id", string(o.framework))
	v.Key("allocation_info")
	v.message(&mesos.Resource_AllocationInfo{Role: &o.role})
	v.text("slave_id", string(o.agent))
	v.amounts("resources", o.resources)
	v.EndObject()
}

func (v view) executor(e *executor) {
	v.BeginObject()
	v.text("executor_id", e.info.ExecutorID.Value)
	v.text("name", e.info.GetName())
	v.text("framework_id", e.info.FrameworkID.GetValue())
	v.Key("command")
	v.command(e.info.Command)
	v.amounts("resources", e.resources)
	if len(e.info.Resources) > 0 {
		v.text("role", e.info.Resources[0].AllocationInfo.GetRole())
	}
	v.labels(e.info.Labels)
	if e.info.Type != mesos.ExecutorInfo_UNKNOWN {
		v.text("type", e.info.Type.String())
	}
	v.text("slave_id", string(e.agent))
	v.EndObject()
}

func (v view) command(c *mesos.CommandInfo) {
	v.BeginObject()
	if c != nil && c.Shell != nil {
		v.flag("shell", *c.Shell)
	}
	if c != nil && c.Value != nil {
		v.text("value", *c.Value)
	}
	v.texts("argv", c.GetArguments())
	if c != nil && c.Environment != nil {
		v.Key("environment")
		v.message(c.Environment)
	}
	v.list("uris", func() {
		for _, uri := range c.GetURIs() {
			v.BeginObject()
			v.text("value", uri.Value)
			v.flag("executable", uri.GetExecutable())
			v.EndObject()
		}
	})
	v.EndObject()
}

// agentCapabilities are those of a real agent of this version.
var agentCapabilities = []mesos.AgentInfo_Capability_Type{
	mesos.AgentInfo_Capability_MULTI_ROLE, mesos.AgentInfo_Capability_HIERARCHICAL_ROLE,
	mesos.AgentInfo_Capability_RESERVATION_REFINEMENT, mesos.AgentInfo_Capability_RESOURCE_PROVIDER,
	mesos.AgentInfo_Capability_RESIZE_VOLUME, mesos.AgentInfo_Capability_AGENT_OPERATION_FEEDBACK,
	mesos.AgentInfo_Capability_AGENT_DRAINING, mesos.AgentInfo_Capability_TASK_RESOURCE_LIMITS,
}

func (v view) domain(d *mesos.DomainInfo) {
	if d != nil {
		v.Key("domain")
		v.message(d)
	}
}

// agent writes the members of an agent.
func (v view) agent(a *agent) {
	v.text("id", string(a.id))
	v.text("hostname", a.info.Hostname)
	v.Key("port")
	v.Int(int64(a.info.GetPort()))
	v.attributes(a.info.Attributes)
	v.domain(a.info.Domain)
	v.text("pid", a.pid)
	v.double("registered_time", timestamp(a.registered))
	if !a.reregistered.IsZero() {
		v.double("reregistered_time", timestamp(a.reregistered))
	}
	v.amounts("resources", a.total)
	v.amounts("used_resources", a.used())
	v.amounts("offered_resources", offered(a.offers))
	v.Key("reserved_resources")
	v.BeginObject()
	for _, role := range a.total.Reservations() {
		if v.viewer.seesRole(role) {
			v.amounts(role, a.total.ReservedFor(role))
		}
	}
	v.EndObject()
	v.amounts("unreserved_resources", a.total.Unreserved())
	v.flag("active", v.core.usable(a))
	v.flag("deactivated", v.core.deactivated[a.id])
	v.text("version", a.version)
	v.list("capabilities", func() {
		for _, capability := range agentCapabilities {
			v.String(capability.String())
		}
	})
	if info := v.core.draining[a.id]; info != nil {
		v.Key("drain_info")
		v.message(info)
		if !a.drainStart.IsZero() {
			v.double("estimated_drain_start_time_seconds", timestamp(a.drainStart))
		}
	}
}

// agentInFull writes what /slaves shows beyond that.
func (v view) agentInFull(a *agent) {
	v.BeginObject()
	v.agent(a)
	v.Key("reserved_resources_full")
	v.BeginObject()
	for _, role := range a.total.Reservations() {
		if v.viewer.seesRole(role) {
			v.full(role, a.total.ReservedFor(role))
		}
	}
	v.EndObject()
	v.full("unreserved_resources_full", a.total.Unreserved())
	v.full("used_resources_full", a.used())
	v.full("offered_resources_full", offered(a.offers))
	v.EndObject()
}

// used is what a framework's executors and live tasks use.
func (f *framework) used() resource.Resources {
	var sum resource.Sum
	for _, t := range sortedTasks(f.tasks) {
		if !t.freed {
			sum.Add(t.resources)
		}
	}
	for _, e := range f.sortedExecutors() {
		sum.Add(e.resources)
	}
	return sum.Total()
}

// used is what runs on an agent uses.
func (a *agent) used() resource.Resources {
	var sum resource.Sum
	for _, tasks := range a.tasks {
		for _, t := range sortedTasks(tasks) {
			if !t.freed {
				sum.Add(t.resources)
			}
		}
	}
	for _, executors := range a.executors {
		for _, e := range executors {
			sum.Add(e.resources)
		}
	}
	return sum.Total()
}

func offered(offers map[offerID]*offer) resource.Resources {
	var sum resource.Resources
	for _, o := range sortedOffers(offers) {
		sum = sum.Add(o.resources)
	}
	return sum
}

// sortedExecutors returns a framework's executors by ID, agent by agent.
func (f *framework) sortedExecutors() []*executor {
	var out []*executor
	for _, executors := range f.executors {
		for _, e := range executors {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *executor) int {
		if d := compare(a.info.ExecutorID.Value, b.info.ExecutorID.Value); d != 0 {
			return d
		}
		return compare(a.agent, b.agent)
	})
	return out
}
