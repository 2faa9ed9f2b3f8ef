package secret

import (
	"fmt"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// Reveal returns a call in which the tasks' secrets have their values, by what
// value says. The given call stays as it is, and is returned where it names
// none. Mesos carries such a variable to the executor, and shows neither it nor
// any other part of a task's command (TaskInfo.command is no part of the Task
// that masters and agents keep, show and write to their disks).
func Reveal(call *scheduler.Call, value func(name string) ([]byte, error)) (*scheduler.Call, error) {
	if call.Accept == nil {
		return call, nil
	}
	var operations []mesos.Offer_Operation
	for i := range call.Accept.Operations {
		group := call.Accept.Operations[i].LaunchGroup
		if group == nil {
			continue
		}
		tasks, err := revealTasks(group.TaskGroup.Tasks, value)
		if err != nil {
			return nil, err
		}
		if tasks == nil {
			continue
		}
		if operations == nil {
			operations = append(operations, call.Accept.Operations...)
		}
		revealed := *group
		revealed.TaskGroup = mesos.TaskGroupInfo{Tasks: tasks}
		operations[i].LaunchGroup = &revealed
	}
	if operations == nil {
		return call, nil
	}
	accept := *call.Accept
	accept.Operations = operations
	revealed := *call
	revealed.Accept = &accept
	return &revealed, nil
}

// revealTasks returns a list of its own, or nil where no task names a secret.
func revealTasks(given []mesos.TaskInfo, value func(string) ([]byte, error)) ([]mesos.TaskInfo, error) {
	var tasks []mesos.TaskInfo
	for i := range given {
		var variables []mesos.Environment_Variable
		all := given[i].Command.GetEnvironment().GetVariables()
		for n := range all {
			if all[n].Secret.GetReference() == nil {
				continue
			}
			data, err := value(all[n].Secret.Reference.Name)
			if err != nil {
				return nil, fmt.Errorf("variable %s: %w", all[n].Name, err)
			}
			if variables == nil {
				variables = append(variables, all...)
			}
			variables[n].Secret = &mesos.Secret{Type: mesos.Secret_VALUE, Value: &mesos.Secret_Value{Data: data}}
		}
		if variables == nil {
			continue
		}
		if tasks == nil {
			tasks = append(tasks, given...)
		}
		command := *given[i].Command
		command.Environment = &mesos.Environment{Variables: variables}
		tasks[i].Command = &command
	}
	return tasks, nil
}
