package convert

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

const (
	noImage = "left out: images are not pulled; bring the program by fetch, or the image's files for linux.root"
	noOrder = "left out: jobs do not wait for each other; let programs retry what they depend on"
	noPort  = "left out: a workload listens on the agent's own ports, so let it bind $%s"
)

// group converts a group of apps, pods and groups.
func group(o object, parent string, all *[]Converted) error {
	id := parent
	if name := o.text("id"); name != "" && name != "/" {
		id, _ = path(parent, name)
	}
	first := len(*all)
	for _, key := range []string{"apps", "pods", "groups"} {
		for _, entry := range o.list(key) {
			inner, ok := asObject(entry)
			if !ok {
				return fmt.Errorf("an entry of %s is not an object", key)
			}
			switch key {
			case "apps":
				*all = append(*all, app(inner, id))
			case "pods":
				*all = append(*all, pod(inner, id))
			default:
				if err := group(inner, id, all); err != nil {
					return err
				}
			}
		}
	}
	o.at = "group " + id
	o.leave("dependencies", noOrder)
	o.forget("id", "version")
	o.rest()
	for i := range (*all)[first:] {
		(*all)[first+i].Remarks = append((*all)[first+i].Remarks, *o.remarks...)
	}
	return nil
}

// app converts a Marathon app: one workload.
func app(o object, parent string) Converted {
	job := &tandemv1.Job{Type: tandemv1.JobType_JOB_TYPE_SERVICE}
	job.Id = jobID(o, parent)
	job.Instances = proto.Int32(o.whole("instances", 1))
	job.User = o.text("user")
	job.Labels = labels(o)
	job.Constraints = constraints(o)
	restarts(o, "backoffSeconds", "backoffFactor", "maxLaunchDelaySeconds", job)
	upgrade(o.inside("upgradeStrategy"), job)
	unreachable(o, job)

	segments := strings.Split(job.Id, "/")
	w := &tandemv1.Workload{Name: segments[len(segments)-1]}
	job.Workloads = []*tandemv1.Workload{w}
	w.Resources = resources(o, 1, 128)
	w.Limits = limits(o)
	w.Ports = appPorts(o)
	program(o, w)
	secrets := o.inside("secrets")
	w.Env = environment(o, "env", secrets)
	secrets.rest()
	w.Fetch = fetches(o, "fetch")
	for _, uri := range o.words("uris") {
		w.Fetch = append(w.Fetch, &tandemv1.Fetch{Uri: uri})
	}
	healthChecks(o, w)
	readiness(o, w)
	if o.has("taskKillGracePeriodSeconds") {
		w.Kill = &tandemv1.KillSettings{GracePeriod: o.seconds("taskKillGracePeriodSeconds", 0)}
	}
	if c := o.inside("container"); len(c.keys) > 0 {
		volumes(c, o.inside("residency"), job)
		container(c)
	}
	networks(o)
	o.leave("dependencies", noOrder)
	o.leave("acceptedResourceRoles", "left out: the scheduler takes what is offered to its own role")
	o.leave("role", "left out: each team's scheduler has its own role")
	o.forget("residency") // it means nothing without volumes
	o.leave("storeUrls", "left out: use fetch")
	if e := o.text("executor"); e != "" && e != "//cmd" {
		o.remark("executor", "left out: workloads are run by Tandem's own executor")
	}
	o.forget("version", "versionInfo", "killSelection", "tasksStaged", "tasksRunning", "tasksHealthy",
		"tasksUnhealthy", "deployments", "tasks", "lastTaskFailure", "tty")
	o.rest()
	return Converted{Job: job, Remarks: *o.remarks}
}

func jobID(o object, parent string) string {
	name := o.text("id")
	id, changed := path(parent, name)
	if changed {
		o.remark("id", "became %s: job IDs have lower-case letters, digits and hyphens", id)
	}
	return id
}

// labels takes labels as an object, or as a list of {key, value} or of KEY=VALUE.
func labels(o object) map[string]string {
	all := map[string]string{}
	if list, ok := o.keys["labels"].([]any); ok {
		o.forget("labels")
		for _, entry := range list {
			if l, ok := asObject(entry); ok {
				all[l.text("key")] = l.text("value")
			} else if key, value, _ := strings.Cut(scalar(entry), "="); key != "" {
				all[key] = value
			}
		}
		return all
	}
	inner := o.inside("labels")
	for key := range inner.keys {
		all[key] = inner.text(key)
	}
	return all
}

// constraints takes Marathon's tuples and the objects of pods.
func constraints(o object) []*tandemv1.Constraint {
	var all []*tandemv1.Constraint
	for i, entry := range o.list("constraints") {
		var tuple []string
		if list, ok := entry.([]any); ok {
			for _, v := range list {
				tuple = append(tuple, scalar(v))
			}
		} else {
			c := o.below(fmt.Sprintf("constraints[%d]", i), entry)
			tuple = []string{c.text("fieldName"), c.text("operator"), c.text("value")}
		}
		for len(tuple) < 3 {
			tuple = append(tuple, "")
		}
		operator := tandemv1.ConstraintOperator_value["CONSTRAINT_OPERATOR_"+strings.ToUpper(tuple[1])]
		if operator == 0 {
			o.remark(fmt.Sprintf("constraints[%d]", i), "left out: there is no operator %q", tuple[1])
			continue
		}
		attribute := tuple[0]
		if attribute == "hostname" {
			attribute = "@hostname"
		}
		all = append(all, &tandemv1.Constraint{
			Attribute: attribute, Operator: tandemv1.ConstraintOperator(operator), Value: tuple[2],
		})
	}
	return all
}

// restarts takes the delays between launches. Marathon never gives up, and so
// does a service here, once every maxDelay.
func restarts(o object, first, factor, longest string, job *tandemv1.Job) {
	if !o.has(first) && !o.has(factor) && !o.has(longest) {
		return
	}
	job.Restart = &tandemv1.RestartPolicy{
		Delay: o.seconds(first, time.Second), Factor: o.number(factor, 1.15), MaxDelay: o.seconds(longest, time.Hour),
	}
	// Marathon takes no delay; here a crash loop has to be slowed down.
	job.Restart.Delay = atLeast(job.Restart.Delay, time.Second)
	job.Restart.MaxDelay = atLeast(job.Restart.MaxDelay, job.Restart.Delay.AsDuration())
	job.Restart.Factor = math.Max(job.Restart.Factor, 1)
}

func upgrade(o object, job *tandemv1.Job) {
	if len(o.keys) == 0 {
		return
	}
	least := o.number("minimumHealthCapacity", 1)
	parallel := int32(math.Floor(float64(job.GetInstances()) * (1 - least)))
	job.Update = &tandemv1.UpdatePolicy{MaxParallel: max(parallel, 1)}
	if parallel < 1 && job.GetInstances() > 0 {
		o.remark("minimumHealthCapacity", "one instance at a time is replaced, and is missing meanwhile; with update.canary new ones are started beside the old")
	}
	o.leave("maximumOverCapacity", "left out: instances are replaced in place, update.canary starts new ones first")
	o.rest()
}

func unreachable(o object, job *tandemv1.Job) {
	if o.keys["unreachableStrategy"] == "disabled" {
		o.forget("unreachableStrategy")
		o.remark("unreachableStrategy", "an instance out of reach is replaced after 365 days")
		year := 365 * 24 * time.Hour
		job.Unreachable = &tandemv1.UnreachablePolicy{InactiveAfter: duration(year), ExpungeAfter: duration(year)}
		return
	}
	s := o.inside("unreachableStrategy")
	if len(s.keys) == 0 {
		return
	}
	job.Unreachable = &tandemv1.UnreachablePolicy{
		InactiveAfter: s.seconds("inactiveAfterSeconds", 0), ExpungeAfter: s.seconds("expungeAfterSeconds", 0),
	}
	s.rest()
}

// limits takes what is enforced beyond the resources. A processor without a limit is the
// default here, and memory is always limited.
func limits(o object) *tandemv1.Limits {
	given := o.inside("resourceLimits")
	limit := func(key, unlimited string) *float64 {
		if given.keys[key] == "unlimited" {
			given.forget(key)
			if unlimited != "" {
				given.remark(key, "%s", unlimited)
			}
			return nil
		}
		if n := given.number(key, 0); n > 0 {
			return &n
		}
		return nil
	}
	l := &tandemv1.Limits{Cpus: limit("cpus", ""), Mem: limit("mem", "left out: memory is always limited, to resources.mem unless limits.mem says more")}
	given.rest()
	if l.Cpus == nil && l.Mem == nil {
		return nil
	}
	return l
}

func resources(o object, cpus, mem float64) *tandemv1.Resources {
	return &tandemv1.Resources{
		Cpus: o.number("cpus", cpus), Mem: o.number("mem", mem), Disk: o.number("disk", 0), Gpus: o.number("gpus", 0),
	}
}

// program takes cmd and args, and Marathon's $PORT, which is the first port.
func program(o object, w *tandemv1.Workload) {
	w.Cmd = firstPort(o, "cmd", o.text("cmd"))
	if args := o.words("args"); len(args) > 0 {
		if w.Cmd == "" {
			w.Args = args
		} else {
			o.remark("args", "left out: there is a cmd as well")
		}
	}
	for _, text := range append([]string{w.Cmd}, w.Args...) {
		if strings.Contains(text, "MARATHON_") {
			o.remark("cmd", "uses a variable of Marathon, which is not there; see the environment in docs/jobs.md")
			break
		}
	}
}

// firstPort writes $PORT as $PORT0.
func firstPort(o object, key, cmd string) string {
	var b strings.Builder
	changed := false
	for rest := cmd; ; {
		i := strings.Index(rest, "$")
		if i < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:i])
		rest = rest[i:]
		switch {
		case strings.HasPrefix(rest, "${PORT}"):
			b.WriteString("${PORT0}")
			rest, changed = rest[len("${PORT}"):], true
		case strings.HasPrefix(rest, "$PORT") && !(len(rest) > 5 && nameByte(rest[5])):
			b.WriteString("$PORT0")
			rest, changed = rest[len("$PORT"):], true
		default:
			b.WriteByte('$')
			rest = rest[1:]
		}
	}
	if changed {
		o.remark(key, "$PORT became $PORT0, which is the first port here")
	}
	return b.String()
}

func nameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// environment takes variables as an object, a list of {name, value} or one of
// KEY=VALUE; secrets is what {secret: name} refers to.
func environment(o object, key string, secrets object) map[string]*tandemv1.EnvValue {
	all := map[string]*tandemv1.EnvValue{}
	set := func(name string, v any) {
		if reserved(name) {
			o.remark(key+"."+name, "left out: the system sets variables of this name")
			return
		}
		if s, ok := asObject(v); ok {
			secret := s.text("secret")
			if source := secrets.inside(secret).text("source"); source != "" {
				secret = source
			}
			clean := word(secret)
			o.remark(key+"."+name, "put the value where the scheduler finds its secrets, under the name %s", clean)
			all[name] = &tandemv1.EnvValue{Source: &tandemv1.EnvValue_Secret{Secret: clean}}
			return
		}
		all[name] = &tandemv1.EnvValue{Source: &tandemv1.EnvValue_Value{Value: scalarOrNothing(v)}}
	}
	if list, ok := o.take(key).([]any); ok {
		for _, entry := range list {
			if e, ok := asObject(entry); ok {
				if e.has("secret") {
					set(e.text("name"), map[string]any{"secret": e.text("secret")})
				} else {
					set(e.text("name"), e.take("value"))
				}
			} else if name, value, found := strings.Cut(scalar(entry), "="); name != "" {
				if !found {
					o.remark(key+"."+name, "has no value, which was that of the shell: state it")
				}
				set(name, value)
			}
		}
		return all
	}
	inner := o.inside(key)
	for _, name := range slices.Sorted(maps.Keys(inner.keys)) {
		set(name, inner.keys[name])
	}
	return all
}

func scalarOrNothing(v any) string {
	if v == nil {
		return ""
	}
	return scalar(v)
}

func reserved(name string) bool {
	for _, prefix := range []string{"MESOS_", "LIBPROCESS_", "TANDEM_", "PORT_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	_, err := strconv.Atoi(strings.TrimPrefix(name, "PORT"))
	return err == nil && strings.HasPrefix(name, "PORT")
}

func fetches(o object, key string) []*tandemv1.Fetch {
	var all []*tandemv1.Fetch
	for _, f := range o.objects(key) {
		uri := f.text("uri")
		if uri == "" {
			uri = f.text("value")
		}
		one := &tandemv1.Fetch{
			Uri: uri, Executable: f.yes("executable"), Cache: f.yes("cache"), DestPath: f.text("destPath"),
		}
		if one.DestPath == "" {
			one.DestPath = f.text("output_file")
		}
		if f.has("extract") {
			one.Extract = proto.Bool(f.yes("extract"))
		}
		f.rest()
		all = append(all, one)
	}
	return all
}

// container says what becomes of a container's parts. Its ports were taken
// with the others, and its volumes before.
func container(c object) {
	image := c.inside("docker")
	image.leave("image", noImage)
	image.forget("forcePullImage", "network")
	image.leave("privileged", "left out")
	image.leave("parameters", "left out with the image")
	image.leave("credential", "left out with the image")
	image.leave("pullConfig", "left out with the image")
	for _, at := range []object{c, image} {
		for _, m := range at.objects("portMappings") {
			if m.number("containerPort", 0) != 0 {
				m.remark("containerPort", noPort, "PORT0 and its like")
			}
			m.leave("servicePort", "left out: it is one for load balancers")
			m.leave("labels", "left out: ports have no labels; use the job's")
			m.forget("name", "hostPort", "protocol", "networkNames")
			m.rest()
		}
	}
	image.rest()
	c.leave("linuxInfo", "left out: see linux in docs/jobs.md for what there is")
	c.forget("type")
	c.rest()
}

func networks(o object) {
	for _, n := range o.objects("networks") {
		if mode := n.text("mode"); mode != "host" {
			n.remark("mode", "left out: workloads use the agent's own network, as mode host does")
		}
		n.leave("labels", "left out with the network")
		n.leave("name", "left out with the network")
		n.rest()
	}
	o.leave("ipAddress", "left out: workloads use the agent's own network")
}
