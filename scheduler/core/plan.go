package core

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
)

// settingsMagic marks TaskInfo.data as a TaskSettings.
const settingsMagic = 0x746e646d

// launchPlan is what all launches of a version have in common. Its messages go
// into calls as they are, and are never changed.
type launchPlan struct {
	executor        resource.Request
	executorCommand *mesos.CommandInfo
	limited         bool // some limit is above its request
	tasks           []taskPlan
}

type taskPlan struct {
	name        string // TaskInfo.name
	workload    *tandemv1.Workload
	request     resource.Request
	command     mesos.CommandInfo // without the environment
	environment []mesos.Environment_Variable
	portNames   []portNames // of the workload's ports, in their order
	labels      *mesos.Labels
	killPolicy  *mesos.KillPolicy
	completion  *mesos.DurationInfo
	limits      map[string]mesos.Value_Scalar
	container   *mesos.ContainerInfo
	settings    *tandemv1.TaskSettings
	data        []byte // settings encoded, where no port is part of them
}

// portNames are the variables that a port is told by.
type portNames struct{ byPlace, byName string }

// needOf is what one copy of a job's group takes.
func (c *Core) needOf(spec *tandemv1.Job) match.Need {
	var n match.Need
	n.Amount = amountOf(c.executorResources(spec)).Plus(workloadsAmount(spec))
	for _, v := range spec.Volumes {
		addVolumeNeed(&n, v)
	}
	for _, w := range spec.Workloads {
		for _, p := range w.Ports {
			if p.HostPort != 0 {
				n.Ports.Fixed = append(n.Ports.Fixed, uint64(p.HostPort))
			} else {
				n.Ports.Any++
			}
		}
	}
	return n
}

// workloadsAmount is what a job's group takes without its executor.
func workloadsAmount(spec *tandemv1.Job) match.Amount {
	var a match.Amount
	for _, w := range spec.Workloads {
		a = a.Plus(amountOf(w.Resources))
	}
	return a
}

func (c *Core) executorResources(spec *tandemv1.Job) *tandemv1.Resources {
	if r := spec.GetExecutor().GetResources(); r != nil {
		return r
	}
	return c.cfg.Executor.Resources
}

func amountOf(r *tandemv1.Resources) match.Amount {
	return match.Amount{
		CPUs: resource.Thousandths(r.GetCpus()), Mem: resource.Thousandths(r.GetMem()),
		Disk: resource.Thousandths(r.GetDisk()), GPUs: resource.Thousandths(r.GetGpus()),
	}
}

func requestOf(r *tandemv1.Resources) resource.Request {
	a := amountOf(r)
	return resource.Request{CPUs: a.CPUs, Mem: a.Mem, Disk: a.Disk, GPUs: a.GPUs}
}

// plan returns the launch plan of a version.
func (c *Core) plan(v *version) *launchPlan {
	if v.launch != nil {
		return v.launch
	}
	e := &c.cfg.Executor
	shell := true
	command := &mesos.CommandInfo{Shell: &shell, Value: &e.Command, URIs: e.URIs}
	if e.User != "" {
		command.User = &e.User
	}
	if len(e.Environment) > 0 {
		command.Environment = &mesos.Environment{}
		for _, name := range slices.Sorted(maps.Keys(e.Environment)) {
			command.Environment.Variables = append(command.Environment.Variables, variable(name, e.Environment[name]))
		}
	}
	p := &launchPlan{executor: requestOf(c.executorResources(v.spec)), executorCommand: command}
	for _, w := range v.spec.Workloads {
		t := c.planTask(v.spec, w)
		p.limited = p.limited || len(t.limits) > 0
		p.tasks = append(p.tasks, t)
	}
	if p.limited {
		// Mesos takes limits in a group only where the tasks share no cgroup, and
		// wants the same of all tasks of an executor.
		share := false
		kind := mesos.ContainerInfo_MESOS
		container := &mesos.ContainerInfo{Type: &kind, LinuxInfo: &mesos.LinuxInfo{ShareCgroups: &share}}
		for i := range p.tasks {
			p.tasks[i].container = container
		}
	}
	v.launch = p
	return p
}

func (c *Core) planTask(spec *tandemv1.Job, w *tandemv1.Workload) taskPlan {
	t := taskPlan{
		name:       strings.TrimPrefix(spec.Id, "/") + "/" + w.Name,
		workload:   w,
		request:    requestOf(w.Resources),
		killPolicy: &mesos.KillPolicy{GracePeriod: duration(w.GetKill().GetGracePeriod())},
		limits:     mesosLimits(w),
		settings:   c.taskSettings(spec, w),
	}
	shell := w.Cmd != ""
	t.command.Shell = &shell
	if shell {
		t.command.Value = &w.Cmd
	} else if len(w.Args) > 0 {
		t.command.Value, t.command.Arguments = &w.Args[0], w.Args
	}
	if user := cmp.Or(w.User, spec.User); user != "" {
		t.command.User = &user
	}
	for _, name := range slices.Sorted(maps.Keys(w.Env)) {
		switch e := w.Env[name].GetSource().(type) {
		case *tandemv1.EnvValue_Secret:
			t.environment = append(t.environment, secretVariable(name, e.Secret))
		case *tandemv1.EnvValue_Value:
			t.environment = append(t.environment, variable(name, e.Value))
		}
	}
	for i, port := range w.Ports {
		t.portNames = append(t.portNames, portNames{
			"PORT" + strconv.Itoa(i), "PORT_" + strings.ToUpper(strings.ReplaceAll(port.Name, "-", "_")),
		})
	}
	if len(spec.Labels) > 0 {
		t.labels = &mesos.Labels{}
		for _, key := range slices.Sorted(maps.Keys(spec.Labels)) {
			value := spec.Labels[key]
			t.labels.Labels = append(t.labels.Labels, mesos.Label{Key: key, Value: &value})
		}
	}
	if w.MaxRunTime != nil {
		t.completion = duration(w.MaxRunTime)
	}
	if t.settings.PreStopHttp == nil && t.settings.ReadinessCheck == nil {
		t.data = encodeSettings(t.settings)
	}
	return t
}

func duration(d *durationpb.Duration) *mesos.DurationInfo {
	return &mesos.DurationInfo{Nanoseconds: int64(d.AsDuration())}
}

func seconds(d *durationpb.Duration) *float64 {
	s := d.AsDuration().Seconds()
	return &s
}

func variable(name, value string) mesos.Environment_Variable {
	return mesos.Environment_Variable{Name: name, Value: &value}
}

// mesosLimits are the limits that the agent has to know of, because they are
// above what it allocates: it would hold the whole container to that.
func mesosLimits(w *tandemv1.Workload) map[string]mesos.Value_Scalar {
	if w.Limits == nil {
		return nil
	}
	limits := map[string]mesos.Value_Scalar{}
	above := func(name string, limit *float64, request float64) {
		if limit != nil && (math.IsInf(*limit, 1) || resource.Thousandths(*limit) > resource.Thousandths(request)) {
			limits[name] = mesos.Value_Scalar{Value: *limit}
		}
	}
	above("cpus", w.Limits.Cpus, w.GetResources().GetCpus())
	above("mem", w.Limits.Mem, w.GetResources().GetMem())
	if len(limits) == 0 {
		return nil
	}
	return limits
}

// fetches are a workload's, by addresses that agents reach.
func (c *Core) fetches(w *tandemv1.Workload) []*tandemv1.Fetch {
	out := make([]*tandemv1.Fetch, len(w.Fetch))
	for i, f := range w.Fetch {
		out[i] = proto.CloneOf(f)
		out[i].Uri = jobspec.AddressOf(f.Uri, c.cfg.Artifacts)
	}
	return out
}

// taskSettings is what the executor is told beside the TaskInfo. Ports are
// filled in at each launch.
func (c *Core) taskSettings(spec *tandemv1.Job, w *tandemv1.Workload) *tandemv1.TaskSettings {
	s := &tandemv1.TaskSettings{
		Magic:          settingsMagic,
		Limits:         w.Limits,
		Lifecycle:      w.Lifecycle,
		Essential:      w.GetEssential(),
		KillSignal:     w.GetKill().GetSignal(),
		PreStopHttp:    w.GetKill().GetPreStopHttp(),
		PreStopCommand: w.GetKill().GetPreStopCommand(),
		Logs:           w.Logs,
		Fetch:          c.fetches(w),
		ReadinessCheck: w.ReadinessCheck,
	}
	for _, v := range spec.Volumes {
		s.Volumes = append(s.Volumes, v.Name)
	}
	if w.Restart != nil {
		s.Restart = w.Restart
		forever := spec.Type == tandemv1.JobType_JOB_TYPE_SERVICE || spec.Type == tandemv1.JobType_JOB_TYPE_DAEMON
		s.RestartFinished = forever &&
			(w.Lifecycle == tandemv1.Lifecycle_LIFECYCLE_MAIN || w.Lifecycle == tandemv1.Lifecycle_LIFECYCLE_SIDECAR)
	}
	if fields := w.GetLinux().GetResources(); fields != nil {
		// A Struct holds nothing that JSON cannot.
		s.OciResources, _ = json.Marshal(fields.AsMap())
	}
	s.OciConfinement = jobspec.Confinement(w.GetLinux())
	return s
}
