package task

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// defaultPath is the PATH that a Mesos agent gives to its executors.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Place is what a task's environment tells of where it runs.
type Place struct {
	FrameworkID string
	// Hostname is the agent's, as Mesos knows it.
	Hostname string
	// IP is that of the executor's container; empty where it is not known.
	IP string
	// Dir is the task's directory, as the machine has it.
	Dir string
	// Sandbox is the executor's.
	Sandbox string
}

// Environment returns the whole environment of a task, sorted. Nothing of the
// executor's own gets into it. In the order of precedence:
//
//   - MESOS_SANDBOX, MESOS_TASK_ID, MESOS_FRAMEWORK_ID, and as Mesos's own default
//     executor has them MESOS_CONTAINER_IP and MESOS_ALLOCATION_ROLE: what the
//     system says;
//   - the command's environment;
//   - PORT0, PORT1 … and PORT_<NAME>, the name in capitals with _ for all that
//     is neither letter nor digit;
//   - that of the task's bundle, as name=value;
//   - HOST, the agent's hostname; HOME, which is the task's directory; and PATH,
//     which is a Mesos agent's own.
func Environment(task *mesos.TaskInfo, bundle []string, at Place) ([]string, error) {
	variables := map[string]string{
		"PATH": defaultPath,
		"HOME": at.Dir,
		"HOST": at.Hostname,
	}
	for _, e := range bundle {
		name, value, _ := strings.Cut(e, "=")
		variables[name] = value
	}
	for name, number := range ports(task) {
		variables[name] = fmt.Sprint(number)
	}
	if err := command(task.Command.GetEnvironment(), variables); err != nil {
		return nil, err
	}
	variables["MESOS_SANDBOX"] = at.Dir
	variables["MESOS_TASK_ID"] = task.TaskID.Value
	variables["MESOS_FRAMEWORK_ID"] = at.FrameworkID
	if at.IP != "" {
		variables["MESOS_CONTAINER_IP"] = at.IP
	}
	if len(task.Resources) > 0 && task.Resources[0].AllocationInfo != nil {
		// One role for all: a master lets no task mix them.
		variables["MESOS_ALLOCATION_ROLE"] = task.Resources[0].AllocationInfo.GetRole()
	}
	return list(variables), nil
}

// WithCommand returns an environment in which that of one more command, such as
// a check's, comes before the task's own.
func WithCommand(environment []string, c *mesos.CommandInfo) ([]string, error) {
	if len(c.GetEnvironment().GetVariables()) == 0 {
		return environment, nil
	}
	variables := make(map[string]string, len(environment))
	for _, e := range environment {
		name, value, _ := strings.Cut(e, "=")
		variables[name] = value
	}
	if err := command(c.Environment, variables); err != nil {
		return nil, err
	}
	return list(variables), nil
}

func list(variables map[string]string) []string {
	all := make([]string, 0, len(variables))
	for name, value := range variables {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	return all
}

// command adds the variables of a command. Secrets must have been resolved by
// the agent or the scheduler: an executor has no secret store to ask.
func command(environment *mesos.Environment, variables map[string]string) error {
	for _, v := range environment.GetVariables() {
		value := v.GetValue()
		if v.GetType() == mesos.Environment_Variable_SECRET {
			if v.Secret.GetValue() == nil {
				return fmt.Errorf("its variable %s is a reference to a secret, which this executor cannot resolve: give the secret by value", v.Name)
			}
			value = string(v.Secret.Value.Data)
		}
		switch {
		case v.Name == "" || strings.ContainsAny(v.Name, "=\x00"):
			return fmt.Errorf("its environment has a variable named %q", v.Name)
		case strings.ContainsRune(value, 0):
			return errors.New("its variable " + v.Name + " has a value with a zero byte")
		}
		variables[v.Name] = value
	}
	return nil
}

// ports returns the variables that tell a task its ports. Their order is that
// of the task's discovery information, where it names them; then come those
// among its resources that are not named there.
func ports(task *mesos.TaskInfo) map[string]uint32 {
	all, seen := map[string]uint32{}, map[uint32]bool{}
	var numbers []uint32
	for _, p := range task.Discovery.GetPorts().GetPorts() {
		numbers = append(numbers, p.Number)
		seen[p.Number] = true
		if name := p.GetName(); name != "" {
			all["PORT_"+capitals(name)] = p.Number
		}
	}
	for _, r := range task.Resources {
		if r.Name != "ports" {
			continue
		}
		for _, span := range r.GetRanges().GetRange() {
			// A range that is not one of ports must not fill the environment.
			for n := span.Begin; n <= min(span.End, 65535); n++ {
				if !seen[uint32(n)] {
					numbers = append(numbers, uint32(n))
					seen[uint32(n)] = true
				}
			}
		}
	}
	for i, n := range numbers {
		all[fmt.Sprintf("PORT%d", i)] = n
	}
	return all
}

func capitals(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, name)
}
