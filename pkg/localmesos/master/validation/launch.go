package validation

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/spec"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Launch is what the rules for tasks and task groups need to know of the
// master's state.
type Launch struct {
	FrameworkID string
	AgentID     string
	// Offered is what is left of the accepted offers.
	Offered resource.Resources
	// Running returns the framework's executor of that ID on the agent, or nil.
	Running func(executorID string) *mesos.ExecutorInfo
	// Known tells whether the framework has a task of that ID, and whether that
	// one is unreachable.
	Known func(taskID string) (known, unreachable bool)
	// Shares returns the share_cgroups of the tasks under the executor, and
	// whether there are any.
	Shares func(executorID string) (share, any bool)
	// Dump prints an executor for the message that two of them differ.
	Dump func(*mesos.ExecutorInfo) string
}

// The least that an executor of a task group needs.
const (
	minCPUs = resource.Milli(10)
	minMem  = resource.Milli(32 * 1000)
)

// Task looks at a task of a LAUNCH operation.
func (l *Launch) Task(task *mesos.TaskInfo) error {
	if err := l.task(task); err != nil {
		return err
	}
	if err := l.taskExecutor(task); err != nil {
		return err
	}
	if !SharesCgroups(task.Container) {
		return errors.New("Only tasks in a task group may have 'share_cgroups' set to 'false'")
	}
	return nil
}

func (l *Launch) taskExecutor(task *mesos.TaskInfo) error {
	if (task.Executor != nil) == (task.Command != nil) {
		return errors.New("Task should have at least one (but not both) of CommandInfo or ExecutorInfo present")
	}
	total, err := resource.FromMesos(task.Resources)
	if err != nil {
		return err
	}
	if executor := task.Executor; executor != nil {
		if err := l.executor(executor); err != nil {
			return err
		}
		if executor.Type != mesos.ExecutorInfo_CUSTOM && executor.Type != mesos.ExecutorInfo_UNKNOWN {
			return errors.New("'ExecutorInfo.type' must be 'CUSTOM'")
		}
		if executor.Command == nil {
			return errors.New("'ExecutorInfo.command' must be set")
		}
		own, err := resource.FromMesos(executor.Resources)
		if err != nil {
			return err
		}
		if !own.Shared().Empty() {
			return fmt.Errorf("Executor resources %s should not contain any shared resources", own)
		}
		if executorSharesCgroups(executor) {
			return errShareOnExecutor
		}
		if overlap([]resource.Resources{total, own}) {
			return fmt.Errorf("There are overlapping resources in the task resources %s and executor resources %s", total, own)
		}
		if err := together("Task and its executor", task.Resources, executor.Resources); err != nil {
			return err
		}
		if l.Running(executor.ExecutorID.Value) == nil {
			total = total.Add(own)
		}
	}
	if !l.Offered.Contains(total) {
		return fmt.Errorf("Total resources %s required by task and its executor is more than available %s", total, l.Offered)
	}
	return nil
}

// Group looks at a LAUNCH_GROUP operation. typed tells whether the executor's
// type was set to something known, UNKNOWN included; its Go type cannot tell.
func (l *Launch) Group(executor *mesos.ExecutorInfo, typed bool, group *mesos.TaskGroupInfo) error {
	for i := range group.Tasks {
		task := &group.Tasks[i]
		err := l.groupTask(task)
		if err == nil && slices.ContainsFunc(group.Tasks[:i], func(t mesos.TaskInfo) bool { return t.TaskID == task.TaskID }) {
			// A real master of 1.12 ends itself here; this is what it says of
			// duplicates elsewhere.
			err = fmt.Errorf("Task has duplicate ID: %s", task.TaskID.Value)
		}
		if err != nil {
			return fmt.Errorf("Task '%s' is invalid: %w", task.TaskID.Value, err)
		}
	}
	if err := l.groupExecutor(executor, typed, group); err != nil {
		return err
	}
	return l.shareCgroups(executor, group)
}

func (l *Launch) groupTask(task *mesos.TaskInfo) error {
	if err := l.task(task); err != nil {
		return err
	}
	if c := task.Container; c != nil {
		if h := task.HealthCheck; len(c.NetworkInfos) > 0 && h != nil && (h.Type == mesos.HealthCheck_HTTP || h.Type == mesos.HealthCheck_TCP) {
			return errors.New("HTTP and TCP health checks are not supported for nested containers not joining parent's network")
		}
		if c.GetType() == mesos.ContainerInfo_DOCKER {
			return errors.New("Docker ContainerInfo is not supported on the task")
		}
	}
	if len(task.Limits) > 0 && SharesCgroups(task.Container) {
		return errors.New("Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set to 'false'.")
	}
	return nil
}

func (l *Launch) groupExecutor(executor *mesos.ExecutorInfo, typed bool, group *mesos.TaskGroupInfo) error {
	if err := l.executor(executor); err != nil {
		return err
	}
	if !typed {
		return errors.New("'ExecutorInfo.type' must be set")
	}
	if executor.Type == mesos.ExecutorInfo_UNKNOWN {
		return errors.New("Unknown executor type")
	}
	if executor.Container != nil && executor.Container.GetType() == mesos.ContainerInfo_DOCKER {
		return errors.New("Docker ContainerInfo is not supported on the executor")
	}
	id := executor.ExecutorID.Value
	for i := range group.Tasks {
		if own := group.Tasks[i].Executor; own != nil && !SameExecutor(own, executor) {
			return fmt.Errorf("The `ExecutorInfo` of task '%s' is different from executor '%s'", group.Tasks[i].TaskID.Value, id)
		}
	}
	own, err := resource.FromMesos(executor.Resources)
	if err != nil {
		return err
	}
	if cpus := own.Scalar("cpus"); cpus < minCPUs {
		return fmt.Errorf("Executor '%s' uses less CPUs (%s) than the minimum required (%s)", id, noneOr(cpus, cpus.String()), minCPUs)
	}
	if mem := own.Scalar("mem"); mem < minMem {
		return fmt.Errorf("Executor '%s' uses less memory (%s) than the minimum required (%s)", id, noneOr(mem, megabytes(mem)), megabytes(minMem))
	}
	if own.Scalar("disk") == 0 {
		return fmt.Errorf("Executor '%s' uses no disk", id)
	}
	lists := [][]mesos.Resource{executor.Resources}
	for i := range group.Tasks {
		lists = append(lists, group.Tasks[i].Resources)
	}
	if err := together("Task group and executor", lists...); err != nil {
		return err
	}
	var total resource.Resources
	parts := make([]resource.Resources, 0, len(group.Tasks)+1)
	for i := range group.Tasks {
		r, err := resource.FromMesos(group.Tasks[i].Resources)
		if err != nil {
			return err
		}
		parts, total = append(parts, r), total.Add(r)
	}
	if parts = append(parts, own); overlap(parts) {
		return fmt.Errorf("There are overlapping resources in the task group's task resources %s and/or executor resources %s", parts[:len(parts)-1], own)
	}
	if l.Running(id) == nil {
		total = total.Add(own)
	}
	if !l.Offered.Contains(total) {
		return fmt.Errorf("Total resources %s required by task group and its executor are more than available %s", total, l.Offered)
	}
	return nil
}

var errShareOnExecutor = errors.New("The 'share_cgroups' field cannot be set to 'true' on executor containers")

func executorSharesCgroups(executor *mesos.ExecutorInfo) bool {
	linux := executor.Container.GetLinuxInfo()
	return linux != nil && linux.ShareCgroups != nil && *linux.ShareCgroups
}

// SharesCgroups returns a container's share_cgroups, which is true by default.
func SharesCgroups(c *mesos.ContainerInfo) bool {
	linux := c.GetLinuxInfo()
	return linux == nil || linux.ShareCgroups == nil || *linux.ShareCgroups
}

func (l *Launch) shareCgroups(executor *mesos.ExecutorInfo, group *mesos.TaskGroupInfo) error {
	if executorSharesCgroups(executor) {
		return errShareOnExecutor
	}
	if len(group.Tasks) == 0 {
		return nil
	}
	share := SharesCgroups(group.Tasks[0].Container)
	running, any := l.Shares(executor.ExecutorID.Value)
	differs := slices.ContainsFunc(group.Tasks, func(t mesos.TaskInfo) bool { return SharesCgroups(t.Container) != share })
	if differs || any && running != share {
		return errors.New("If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a single executor")
	}
	return nil
}

// executor holds the rules for every executor.
func (l *Launch) executor(executor *mesos.ExecutorInfo) error {
	if err := executorType(executor); err != nil {
		return err
	}
	if err := spec.ID(executor.ExecutorID.Value); err != nil {
		return err
	}
	if grace := executor.ShutdownGracePeriod; grace != nil && grace.Nanoseconds < 0 {
		return errors.New("ExecutorInfo's 'shutdown_grace_period' must be non-negative")
	}
	if executor.Command != nil {
		if err := spec.Command(executor.Command); err != nil {
			return fmt.Errorf("Executor's `CommandInfo` is invalid: %w", err)
		}
	}
	if executor.Container != nil {
		if err := spec.Container(executor.Container); err != nil {
			return fmt.Errorf("Executor's `ContainerInfo` is invalid: %w", err)
		}
	}
	if executor.FrameworkID == nil {
		return errors.New("'ExecutorInfo.framework_id' must be set")
	}
	if id := executor.FrameworkID.Value; id != l.FrameworkID {
		return fmt.Errorf("ExecutorInfo has an invalid FrameworkID (Actual: %s vs Expected: %s)", id, l.FrameworkID)
	}
	if err := resources(executor.Resources, "Executor", "Invalid executor resources"); err != nil {
		return err
	}
	if running := l.Running(executor.ExecutorID.Value); running != nil && !SameExecutor(running, executor) {
		const rule = "------------------------------------------------------------\n"
		return fmt.Errorf("ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n"+
			rule+"Existing ExecutorInfo:\n%s\n"+rule+"ExecutorInfo:\n%s\n"+rule, l.Dump(running), l.Dump(executor))
	}
	return nil
}

func executorType(executor *mesos.ExecutorInfo) error {
	switch executor.Type {
	case mesos.ExecutorInfo_DEFAULT:
		if executor.Command != nil {
			return errors.New("'ExecutorInfo.command' must not be set for 'DEFAULT' executor")
		}
		if c := executor.Container; c != nil {
			if c.GetType() != mesos.ContainerInfo_MESOS {
				return errors.New("'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor")
			}
			if c.GetMesos().GetImage() != nil {
				return errors.New("'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor")
			}
		}
	case mesos.ExecutorInfo_CUSTOM:
		if executor.Command == nil {
			return errors.New("'ExecutorInfo.command' must be set for 'CUSTOM' executor")
		}
	}
	return nil
}

// SameExecutor tells whether two descriptions are of one executor: labels do
// not count, nor does the order of resources.
func SameExecutor(a, b *mesos.ExecutorInfo) bool {
	x, y := *a, *b
	x.Labels, y.Labels = nil, nil
	x.Resources, y.Resources = nil, nil
	if !x.Equal(&y) {
		return false
	}
	one, err := resource.FromMesos(a.Resources)
	if err != nil {
		return false
	}
	other, err := resource.FromMesos(b.Resources)
	return err == nil && one.Equal(other)
}

// task holds the rules for every task.
func (l *Launch) task(task *mesos.TaskInfo) error {
	id := task.TaskID.Value
	if err := spec.ID(id); err != nil {
		return err
	}
	switch known, unreachable := l.Known(id); {
	case unreachable:
		return fmt.Errorf("Task reuses the ID of an unreachable task: %s", id)
	case known:
		return fmt.Errorf("Task has duplicate ID: %s", id)
	}
	if task.AgentID.Value != l.AgentID {
		return fmt.Errorf("Task uses invalid agent %s while agent %s is expected", task.AgentID.Value, l.AgentID)
	}
	if grace := task.KillPolicy.GetGracePeriod(); grace != nil && grace.Nanoseconds < 0 {
		return errors.New("Task's 'kill_policy.grace_period' must be non-negative")
	}
	if limit := task.MaxCompletionTime; limit != nil && limit.Nanoseconds < 0 {
		return errors.New("Task's `max_completion_time` must be non-negative")
	}
	if task.Check != nil {
		if err := spec.Check(task.Check); err != nil {
			return fmt.Errorf("Task uses invalid check: %w", err)
		}
	}
	if task.HealthCheck != nil {
		if err := spec.HealthCheck(task.HealthCheck); err != nil {
			return fmt.Errorf("Task uses invalid health check: %w", err)
		}
	}
	if len(task.Resources) == 0 {
		return errors.New("Task uses no resources")
	}
	if err := resources(task.Resources, "Task", "Invalid task resources"); err != nil {
		return err
	}
	if task.Command != nil {
		if err := spec.Command(task.Command); err != nil {
			return fmt.Errorf("Task's `CommandInfo` is invalid: %w", err)
		}
	}
	if task.Container != nil {
		if err := spec.Container(task.Container); err != nil {
			return fmt.Errorf("Task's `ContainerInfo` is invalid: %w", err)
		}
	}
	return limits(task)
}

func limits(task *mesos.TaskInfo) error {
	if len(task.Limits) == 0 {
		return nil
	}
	for name := range task.Limits {
		if name != "cpus" && name != "mem" {
			return errors.New("Only cpus and mem may be included in a task's resource limits")
		}
	}
	request, err := resource.FromMesos(task.Resources)
	if err != nil {
		return err
	}
	if limit, ok := task.Limits["cpus"]; ok {
		cpus := request.Scalar("cpus")
		if cpus == 0 {
			return errors.New("When a CPU limit is specified, a CPU request must also be specified")
		}
		if limit.Value < cpus.Float() {
			return errors.New("The cpu limit must be greater than or equal to the cpu request")
		}
	}
	if limit, ok := task.Limits["mem"]; ok {
		mem := request.Scalar("mem")
		if mem == 0 {
			return errors.New("When a memory limit is specified, a memory request must also be specified")
		}
		if !math.IsInf(limit.Value, 0) && limit.Value < mem.Float() {
			return errors.New("The memory limit must be greater than or equal to the memory request")
		}
	}
	return nil
}

// noneOr returns the text, or None for a quantity that is not there.
func noneOr(quantity resource.Milli, text string) string {
	if quantity == 0 {
		return "None"
	}
	return text
}

// megabytes prints a memory quantity as stout prints bytes: in the largest unit
// that divides it.
func megabytes(mem resource.Milli) string {
	bytes, unit := uint64(mem.Float()*(1<<20)), 0
	units := [...]string{"B", "KB", "MB", "GB", "TB"}
	for unit+1 < len(units) && bytes > 0 && bytes%1024 == 0 {
		bytes, unit = bytes/1024, unit+1
	}
	return strconv.FormatUint(bytes, 10) + units[unit]
}
