package core

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// launch makes the next attempt of an instance, which Match has placed, and adds the
// operations that make its volumes and launch it. It returns what is left of what
// was free. After an error nothing has changed.
func (c *Core) launch(in *instance, p *pool, free resource.Resources, ports []uint64) (resource.Resources, error) {
	v := in.job.version(in.rec.JobVersion)
	if v == nil {
		return free, errors.New("its version is not kept")
	}
	plan := c.plan(v)
	number := in.rec.Attempt + 1
	name := state.TaskName{Job: in.job.id(), Slot: in.slot, Attempt: number, Workload: "x"}
	prefix := strings.TrimSuffix(name.String(), "x")
	executorID := strings.TrimSuffix(prefix, ".")

	executor := c.executorFor(v, p, executorID, strings.TrimPrefix(in.job.id(), "/")+" "+strconv.Itoa(int(in.slot)))
	volumes, free, err := c.mountVolumes(in, v, p, free, number)
	if err != nil {
		return free, err
	}
	wants, own := plan.requests(v, ports, executor.joined)
	taken, free, err := free.Take(wants...)
	if err != nil {
		return free, err
	}
	if !executor.joined {
		if err := executor.brought(taken[0]); err != nil {
			return free, err
		}
		taken = taken[1:]
	}
	executor.info.Resources = append(executor.info.Resources, volumes.resources...)
	rec := &tandemv1.AttemptRecord{
		JobId: in.job.id(), Slot: in.slot, Attempt: number, JobVersion: v.number,
		AgentId: p.agent.id, Hostname: p.agent.place.Hostname, ExecutorId: executor.info.ExecutorID.Value, Executor: executor.encoded, Created: c.stamp,
		Tasks:      make([]*tandemv1.TaskRecord, len(plan.tasks)),
		Attributes: ruledAttributes(v, p.agent),
		AgentUrl:   agentURL(p.offers[0], c.cfg.AgentsTLS),

		ExecutorDigest: c.digestOf(p.agent.id, executor.info.ExecutorID.Value, executorID),
		Volumes:        volumes.ids,
	}
	group := &mesos.Offer_Operation_LaunchGroup{
		Executor:  executor.info,
		TaskGroup: mesos.TaskGroupInfo{Tasks: make([]mesos.TaskInfo, len(plan.tasks))},
	}
	for i := range plan.tasks {
		t := &plan.tasks[i]
		id := prefix + t.workload.Name
		group.TaskGroup.Tasks[i] = c.taskInfo(in, t, id, number, p, taken[i], own[i].Ports)
		rec.Tasks[i] = &tandemv1.TaskRecord{
			TaskId: id, Workload: t.workload.Name, State: tandemv1.TaskState_TASK_STAGING,
			Updated: c.stamp, Ports: namedPorts(t.workload, own[i].Ports),
		}
	}
	for _, made := range volumes.made {
		c.newVolume(made)
	}
	c.begin(in, v, rec)
	p.operations = append(append(p.operations, volumes.operations...),
		mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH_GROUP, LaunchGroup: group})
	return free, nil
}

// requests are what the executor takes, unless one that is there is joined, and each
// task, with the ports that Match has found; own are those of the tasks.
func (p *launchPlan) requests(v *version, ports []uint64, joined bool) (all, own []resource.Request) {
	all = make([]resource.Request, 0, 1+len(p.tasks))
	if !joined {
		all = append(all, p.executor)
	}
	fixed, others := ports[:len(v.need.Ports.Fixed)], ports[len(v.need.Ports.Fixed):]
	for i := range p.tasks {
		q := p.tasks[i].request
		for _, port := range p.tasks[i].workload.Ports {
			from := &others
			if port.HostPort != 0 {
				from = &fixed
			}
			q.Ports = append(q.Ports, (*from)[0])
			*from = (*from)[1:]
		}
		all = append(all, q)
	}
	return all, all[len(all)-len(p.tasks):]
}

// begin makes an attempt the instance's live one.
func (c *Core) begin(in *instance, v *version, rec *tandemv1.AttemptRecord) {
	c.editInstance(in).Attempt = rec.Attempt
	a := newAttempt(in, rec)
	a.version, a.edited = v, c.step
	c.attempts = append(c.attempts, a)
	c.join(a)
	c.occupy(a)
	if in.live != nil {
		in.next = a
		in.rec.LiveAttempt = in.live.rec.Attempt // edited above
	} else {
		in.live = a
	}
	for i := range rec.Tasks {
		a.unanswered |= 1 << i
	}
	a.askAt = c.now.Add(c.cfg.AnswerTimeout).UnixNano()
	c.arm(a)
	c.launched(in, v)
	if in.next == a {
		c.settle(in) // it stays what it is
	} else {
		c.setPhase(in, launching, "on agent "+rec.Hostname)
	}
	c.noticeAttempt(Debug, a, "launching on %s", rec.Hostname)
}

// agentURL is where the agent of an offer answers, as its master says, which leaves
// TLS out (src/master/master.cpp). An agent with a certificate is asked for by the name
// that stands in it.
func agentURL(o *mesos.Offer, secure bool) string {
	u := o.URL
	if u == nil {
		return ""
	}
	scheme, host := u.Scheme, u.Address.GetIP()
	if secure || scheme == "https" {
		scheme, host = "https", cmp.Or(u.Address.GetHostname(), host)
	}
	host = cmp.Or(host, u.Address.GetHostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return scheme + "://" + host + ":" + strconv.Itoa(int(u.Address.Port))
}

// ruledAttributes are those attributes of an agent that the job's rules speak
// of, those of its other versions included, so that its instances can be counted
// after the agent is gone.
func ruledAttributes(v *version, a *agent) map[string]string {
	var m map[string]string
	for _, name := range slices.Concat(v.rules.Attributes(), v.job.spread.Attributes()) {
		if name == "@hostname" {
			continue
		}
		if value, ok := a.place.Value(name); ok {
			if m == nil {
				m = map[string]string{}
			}
			m[name] = value
		}
	}
	return m
}

func namedPorts(w *tandemv1.Workload, ports []uint64) map[string]int32 {
	if len(ports) == 0 {
		return nil
	}
	m := make(map[string]int32, len(ports))
	for i, p := range ports {
		m[w.Ports[i].Name] = int32(p)
	}
	return m
}

func (c *Core) taskInfo(in *instance, t *taskPlan, id string, attempt uint64, p *pool, resources []mesos.Resource, ports []uint64) mesos.TaskInfo {
	w := t.workload
	command := t.command
	env := make([]mesos.Environment_Variable, 0, len(t.environment)+5+2*len(ports))
	env = append(env, t.environment...)
	// The values are pointed to, and so lie in one list that never grows.
	values := make([]string, 0, cap(env)-len(env))
	add := func(name, value string) {
		values = append(values, value)
		env = append(env, mesos.Environment_Variable{Name: name, Value: &values[len(values)-1]})
	}
	add("TANDEM_JOB", in.job.id())
	add("TANDEM_INSTANCE", strconv.Itoa(int(in.slot)))
	add("TANDEM_ATTEMPT", strconv.FormatUint(attempt, 10))
	add("TANDEM_WORKLOAD", w.Name)
	if _, own := w.Env["HOST"]; !own {
		add("HOST", p.agent.place.Hostname)
	}
	for i, port := range ports {
		number := strconv.FormatUint(port, 10)
		add(t.portNames[i].byPlace, number)
		add(t.portNames[i].byName, number)
	}
	command.Environment = &mesos.Environment{Variables: env}
	info := mesos.TaskInfo{
		Name:              t.name,
		TaskID:            mesos.TaskID{Value: id},
		AgentID:           mesos.AgentID{Value: p.agent.id},
		Resources:         resources,
		Command:           &command,
		Container:         t.container,
		HealthCheck:       healthCheck(w, ports),
		KillPolicy:        t.killPolicy,
		Data:              t.data,
		Labels:            t.labels,
		Discovery:         discovery(in, w, ports),
		MaxCompletionTime: t.completion,
		Limits:            t.limits,
	}
	if info.Data == nil {
		info.Data = settingsWithPorts(t.settings, w, ports)
	}
	return info
}

// discovery tells other programs that read Mesos's state where to find the
// workload.
func discovery(in *instance, w *tandemv1.Workload, ports []uint64) *mesos.DiscoveryInfo {
	if len(ports) == 0 {
		return nil
	}
	d := &struct {
		info  mesos.DiscoveryInfo
		ports mesos.Ports
		name  string
	}{name: strings.TrimPrefix(in.job.id(), "/")}
	d.ports.Ports = make([]mesos.Port, len(ports))
	for i, p := range ports {
		d.ports.Ports[i] = mesos.Port{Number: uint32(p), Name: &w.Ports[i].Name, Protocol: &tcp}
	}
	d.info = mesos.DiscoveryInfo{Visibility: mesos.FRAMEWORK, Name: &d.name, Ports: &d.ports}
	return &d.info
}

var tcp = "tcp"

// portOf resolves the port of a check: the named one, or else the first.
func portOf(w *tandemv1.Workload, name string, ports []uint64) uint32 {
	for i, p := range w.Ports {
		if i < len(ports) && (name == "" || p.Name == name) {
			return uint32(ports[i])
		}
	}
	return 0
}

func healthCheck(w *tandemv1.Workload, ports []uint64) *mesos.HealthCheck {
	h := w.HealthCheck
	if h == nil {
		return nil
	}
	failures := uint32(h.MaxConsecutiveFailures)
	m := &mesos.HealthCheck{
		DelaySeconds: seconds(h.Delay), IntervalSeconds: seconds(h.Interval), TimeoutSeconds: seconds(h.Timeout),
		GracePeriodSeconds: seconds(h.GracePeriod), ConsecutiveFailures: &failures,
	}
	switch kind := h.Kind.(type) {
	case *tandemv1.HealthCheck_Http:
		m.Type = mesos.HealthCheck_HTTP
		m.HTTP = &mesos.HealthCheck_HTTPCheckInfo{
			Scheme: &kind.Http.Scheme, Path: &kind.Http.Path, Port: portOf(w, kind.Http.Port, ports),
		}
	case *tandemv1.HealthCheck_Tcp:
		m.Type = mesos.HealthCheck_TCP
		m.TCP = &mesos.HealthCheck_TCPCheckInfo{Port: portOf(w, kind.Tcp.Port, ports)}
	case *tandemv1.HealthCheck_Command:
		shell := true
		m.Type = mesos.HealthCheck_COMMAND
		m.Command = &mesos.CommandInfo{Shell: &shell, Value: &kind.Command.Cmd}
	}
	return m
}

func settingsWithPorts(base *tandemv1.TaskSettings, w *tandemv1.Workload, ports []uint64) []byte {
	s := &tandemv1.TaskSettings{}
	proto.Merge(s, base)
	if s.PreStopHttp != nil {
		s.PreStopPort = int32(portOf(w, s.PreStopHttp.Port, ports))
	}
	if r := s.ReadinessCheck; r != nil {
		switch kind := r.Kind.(type) {
		case *tandemv1.HealthCheck_Http:
			s.ReadinessPort = int32(portOf(w, kind.Http.Port, ports))
		case *tandemv1.HealthCheck_Tcp:
			s.ReadinessPort = int32(portOf(w, kind.Tcp.Port, ports))
		}
	}
	return encodeSettings(s)
}

func encodeSettings(s *tandemv1.TaskSettings) []byte {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(s)
	if err != nil {
		// Only text that is not UTF-8 fails, which no validated job holds.
		return nil
	}
	return data
}
