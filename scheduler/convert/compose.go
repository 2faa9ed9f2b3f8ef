package convert

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// compose converts a compose file as mesos-compose takes it: each service is a
// job of one workload, in the order of their names.
func compose(o object) []Converted {
	services := o.inside("services")
	var all []Converted
	for _, name := range slices.Sorted(maps.Keys(services.keys)) {
		s := services.below(name, services.keys[name])
		s.at, s.remarks = "services."+name, new([]Remark)
		all = append(all, service(s, name))
	}
	// Networks and volumes are spoken of where a service uses them.
	o.forget("version", "networks", "volumes")
	o.rest()
	if len(all) > 0 {
		all[0].Remarks = append(*o.remarks, all[0].Remarks...)
	}
	return all
}

func service(s object, name string) Converted {
	id, _ := path("", word(name))
	w := &tandemv1.Workload{Name: word(name)}
	job := &tandemv1.Job{Id: id, Labels: labels(s), Workloads: []*tandemv1.Workload{w}}
	switch restart := s.text("restart"); restart {
	case "no", "false":
		job.Type = tandemv1.JobType_JOB_TYPE_BATCH
	case "on-failure":
		job.Type = tandemv1.JobType_JOB_TYPE_BATCH
		job.Restart = &tandemv1.RestartPolicy{Attempts: proto.Int32(10)}
	case "always", "unless-stopped", "":
		job.Type = tandemv1.JobType_JOB_TYPE_SERVICE
	default:
		s.remark("restart", "left out: %q is not known; the job is a service", restart)
	}
	job.User = s.text("user")
	serviceProgram(s, w)
	w.Env = environment(s, "environment", object{read: map[string]bool{}, remarks: s.remarks})
	serviceDeploy(s, job, w)
	servicePorts(s, w)
	serviceLimits(s, w)
	serviceCheck(s.inside("healthcheck"), w)

	m := s.inside("mesos")
	w.Fetch = fetches(m, "fetch")
	m.leave("executer", "left out: workloads are run by Tandem's own executor")
	m.leave("executor", "left out: workloads are run by Tandem's own executor")
	m.leave("task_name", "left out: tasks are named by job, instance, attempt and workload")
	m.rest()
	s.leave("image", noImage)
	s.leave("volumes", "left out: see volumes in docs/jobs.md for what there is")
	s.leave("depends_on", noOrder)
	s.leave("gpus", "left out: give their number in resources.gpus")
	if mode := s.text("network_mode"); mode != "" && !strings.EqualFold(mode, "host") {
		s.remark("network_mode", "left out: workloads use the agent's own network, as host does")
	}
	for key := range job.Labels {
		if strings.HasPrefix(key, "biz.aventer.mesos_compose.") {
			s.remark("labels."+key, "is carried over as a label, and does nothing")
		}
	}
	s.forget("network", "networks", "hostname", "container_name", "container_type", "pull_policy")
	s.rest()
	return Converted{Job: job, Remarks: *s.remarks}
}

// serviceProgram takes command and arguments. With shell the command is a
// command line; without it is a program.
func serviceProgram(s object, w *tandemv1.Workload) {
	shell := !s.has("shell") || s.yes("shell")
	s.forget("shell")
	command, list := s.words("command"), false
	if _, list = s.keys["command"].([]any); !list && len(command) == 1 && len(s.list("arguments")) == 0 && shell {
		w.Cmd = command[0]
		return
	}
	w.Args = append(command, s.words("arguments")...)
	if len(w.Args) == 0 && s.has("image") {
		s.remark("command", "is missing, as the image has it: say in cmd or args what is run")
	}
}

func serviceDeploy(s object, job *tandemv1.Job, w *tandemv1.Workload) {
	d := s.inside("deploy")
	job.Instances = proto.Int32(d.whole("replicas", 1))
	limits := d.inside("resources").inside("limits")
	w.Resources = &tandemv1.Resources{Cpus: limits.number("cpus", s.number("cpus", 0.1)), Mem: megabytes(limits, "memory", megabytes(s, "mem_limit", 64))}
	limits.rest()
	placement := d.inside("placement")
	for i, text := range placement.words("constraints") {
		c, ok := placementRule(text)
		if !ok {
			placement.remark(fmt.Sprintf("constraints[%d]", i), "left out: %q has no counterpart", text)
			continue
		}
		job.Constraints = append(job.Constraints, c)
	}
	// They stand in either place, by the version of mesos-compose.
	for _, text := range append(placement.words("attributes"), d.words("attributes")...) {
		name, value, _ := strings.Cut(text, ":")
		job.Constraints = append(job.Constraints, &tandemv1.Constraint{
			Attribute: strings.TrimSpace(name), Value: strings.TrimSpace(value),
			Operator: tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_IS,
		})
	}
	d.leave("runtime", "left out: workloads are processes in cgroups of their own")
	placement.rest()
	d.rest()
}

func placementRule(text string) (*tandemv1.Constraint, bool) {
	if text == "unique" {
		return &tandemv1.Constraint{
			Attribute: "@hostname", Operator: tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_UNIQUE,
		}, true
	}
	name, value, found := strings.Cut(text, "==")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !found || value == "" {
		return nil, false
	}
	// The programs of agents tell what they run on by attributes only.
	switch name {
	case "node.hostname":
		name = "@hostname"
	case "node.platform.os":
		name = "os"
	case "node.platform.arch":
		name = "arch"
	default:
		return nil, false
	}
	return &tandemv1.Constraint{
		Attribute: name, Value: value, Operator: tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_IS,
	}, true
}

// megabytes takes bare MiB, or compose's sizes such as 50M and 1g.
func megabytes(o object, key string, byDefault float64) float64 {
	text := strings.ToLower(strings.TrimSuffix(strings.ToLower(scalarOrNothing(o.keys[key])), "b"))
	factor := 1.0
	switch {
	case strings.HasSuffix(text, "g"):
		factor = 1024
	case strings.HasSuffix(text, "k"):
		factor = 1.0 / 1024
	}
	n, err := strconv.ParseFloat(strings.TrimRight(text, "gmk"), 64)
	if err != nil || text == "" {
		return o.number(key, byDefault)
	}
	o.forget(key)
	return n * factor
}

// servicePorts takes HOST:CONTAINER/PROTOCOL and CONTAINER/PROTOCOL.
func servicePorts(s object, w *tandemv1.Workload) {
	for i, text := range s.words("ports") {
		at := fmt.Sprintf("ports[%d]", i)
		numbers, _, _ := strings.Cut(text, "/")
		host, inside, mapped := strings.Cut(numbers, ":")
		port := &tandemv1.Port{Name: fmt.Sprintf("port%d", i)}
		if mapped {
			if n, err := strconv.ParseUint(host, 10, 16); err == nil && n != 0 {
				s.remark(at, "the host port %s became any free one, as mesos-compose takes one from its range too", host)
			}
		} else {
			inside = host
		}
		w.Ports = append(w.Ports, port)
		s.remark(at, "left out is the container's port %s: a workload listens on the agent's own ports, so let it bind $PORT%d", inside, i)
	}
}

func serviceLimits(s object, w *tandemv1.Workload) {
	limits := s.inside("ulimits")
	if files := limits.inside("nofile"); len(files.keys) > 0 {
		if n := files.whole("hard", 0); n > 0 {
			w.Limits = &tandemv1.Limits{Nofile: proto.Int64(int64(n))}
		}
		files.forget("soft")
		files.rest()
	}
	limits.leave("memlock", "left out: see linux in docs/jobs.md for what there is")
	limits.rest()
	s.leave("cap_add", "left out: see linux in docs/jobs.md for what there is")
}
