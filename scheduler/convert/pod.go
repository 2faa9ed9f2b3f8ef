package convert

import (
	"maps"
	"strings"

	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// pod converts a Marathon pod: one workload for each container, all essential,
// as a pod ends with any of its containers.
func pod(o object, parent string) Converted {
	job := &tandemv1.Job{Type: tandemv1.JobType_JOB_TYPE_SERVICE, Id: jobID(o, parent), User: o.text("user"), Labels: labels(o)}
	scaling := o.inside("scaling")
	if fixed := scaling.inside("fixed"); len(fixed.keys) > 0 {
		scaling = fixed
	}
	job.Instances = proto.Int32(scaling.whole("instances", 1))
	scaling.forget("kind", "maxInstances")
	scaling.rest()

	scheduling := o.inside("scheduling")
	backoff := scheduling.inside(oneOf(scheduling, "backoff", "backoffStrategy"))
	restarts(backoff, "backoff", "backoffFactor", "maxLaunchDelay", job)
	backoff.rest()
	upgrade(scheduling.inside(oneOf(scheduling, "upgrade", "upgradeStrategy")), job)
	unreachable(scheduling, job)
	placement := scheduling.inside("placement")
	job.Constraints = constraints(placement)
	placement.leave("acceptedResourceRoles", "left out: the scheduler takes what is offered to its own role")
	placement.rest()
	scheduling.forget("killSelection")
	scheduling.rest()

	if executor := o.inside("executorResources"); len(executor.keys) > 0 {
		job.Executor = &tandemv1.ExecutorSettings{Resources: resources(executor, 0.1, 32)}
		executor.rest()
	}
	secrets := o.inside("secrets")
	shared := environment(o, "environment", secrets)
	for _, c := range o.objects("containers") {
		job.Workloads = append(job.Workloads, podContainer(c, shared, secrets))
	}
	secrets.rest()
	networks(o)
	o.leave("volumes", "left out: see volumes in docs/jobs.md for what there is")
	o.leave("role", "left out: each team's scheduler has its own role")
	o.leave("linuxInfo", "left out: see linux in docs/jobs.md for what there is")
	o.forget("version")
	o.rest()
	return Converted{Job: job, Remarks: *o.remarks}
}

func oneOf(o object, a, b string) string {
	if o.has(a) {
		return a
	}
	return b
}

func podContainer(c object, shared map[string]*tandemv1.EnvValue, secrets object) *tandemv1.Workload {
	name := c.text("name")
	w := &tandemv1.Workload{Name: word(name), User: c.text("user"), Essential: proto.Bool(true)}
	if w.Name != name {
		c.remark("name", "became %s", w.Name)
	}
	amounts := c.inside("resources")
	w.Resources = resources(amounts, 1, 128)
	amounts.rest()
	w.Limits = limits(c)
	for _, e := range c.objects("endpoints") {
		// A pod on the host's network listens on its host ports.
		w.Ports = append(w.Ports, &tandemv1.Port{Name: word(e.text("name")), HostPort: e.whole("hostPort", 0)})
		if e.number("containerPort", 0) != 0 {
			e.remark("containerPort", noPort, "PORT_"+strings.ToUpper(strings.ReplaceAll(w.Ports[len(w.Ports)-1].Name, "-", "_")))
		}
		e.leave("labels", "left out: ports have no labels; use the job's")
		e.forget("protocol", "networkNames")
		e.rest()
	}
	exec := c.inside("exec")
	switch command := exec.take("command").(type) {
	case string:
		w.Cmd = command
	case nil:
		if !c.has("image") {
			c.remark("exec", "is missing: say in cmd or args what is run")
		}
	default:
		inner := exec.below("command", command)
		w.Cmd = inner.text("shell")
		w.Args = inner.words("argv")
		inner.rest()
	}
	if strings.Contains(w.Cmd, "ENDPOINT_") {
		exec.remark("command", "uses $ENDPOINT_NAME, which is $PORT_NAME here")
	}
	exec.forget("overrideEntrypoint")
	exec.rest()
	c.leave("image", noImage)
	w.Env = maps.Clone(shared)
	maps.Copy(w.Env, environment(c, "environment", secrets))
	w.Fetch = fetches(c, "artifacts")
	if check := c.inside("healthCheck"); len(check.keys) > 0 {
		podCheck(check, w)
	}
	if lifecycle := c.inside("lifecycle"); lifecycle.has("killGracePeriodSeconds") {
		w.Kill = &tandemv1.KillSettings{GracePeriod: lifecycle.seconds("killGracePeriodSeconds", 0)}
	}
	c.leave("labels", "left out: labels are the job's")
	c.leave("volumeMounts", "left out: see volumes in docs/jobs.md for what there is")
	c.leave("linuxInfo", "left out: see linux in docs/jobs.md for what there is")
	c.forget("tty")
	c.rest()
	return w
}

func podCheck(c object, w *tandemv1.Workload) {
	check := timing(c)
	switch {
	case c.has("http"):
		h := c.inside("http")
		check.Kind = &tandemv1.HealthCheck_Http{Http: &tandemv1.HttpCheck{
			Port: word(h.text("endpoint")), Path: h.text("path"), Scheme: strings.ToLower(h.text("scheme")),
		}}
		h.rest()
	case c.has("tcp"):
		t := c.inside("tcp")
		check.Kind = &tandemv1.HealthCheck_Tcp{Tcp: &tandemv1.TcpCheck{Port: word(t.text("endpoint"))}}
		t.rest()
	case c.has("exec"):
		command := c.inside("exec").inside("command")
		cmd := command.text("shell")
		if argv := command.words("argv"); cmd == "" && len(argv) > 0 {
			cmd = quoted(argv)
		}
		check.Kind = &tandemv1.HealthCheck_Command{Command: &tandemv1.CommandCheck{Cmd: cmd}}
	default:
		c.remark("", "left out: it is none of http, tcp and exec")
		return
	}
	c.rest()
	w.HealthCheck = check
}

// quoted returns a command line for a shell that runs the arguments as they are.
func quoted(argv []string) string {
	all := make([]string, len(argv))
	for i, arg := range argv {
		all[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return strings.Join(all, " ")
}
