package core

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/tandem-mesos/tandem/pkg/confine"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// settingsMagic marks TaskInfo.data as TaskSettings.
const settingsMagic = 0x746e646d

// launched takes in a group. A task that cannot be run as it is described is
// TASK_ERROR, and its group ends with it.
func (c *Core) launched(infos []mesos.TaskInfo) {
	g := &group{}
	added, refusals := make([]*task, 0, len(infos)), make([]string, 0, len(infos))
	if len(c.tasks) == 0 { // None is moved as they grow.
		c.tasks, c.runs = make(map[string]*task, len(infos)), make(map[Run]*task, len(infos))
	}
	var before *task
	for i := range infos {
		info := &infos[i]
		id := info.TaskID.Value
		if c.tasks[id] != nil {
			c.note(Warn, nil, "ignored a second launch of task %s", id)
			continue
		}
		t := newTask(info)
		c.lastRun++
		t.run, t.order = c.lastRun, c.lastRun
		refusal := t.accept(before)
		before = t
		c.tasks[id], c.runs[t.run] = t, t
		c.live++
		g.add(t)
		added = append(added, t)
		refusals = append(refusals, refusal)
	}
	if len(added) == 0 {
		return
	}
	c.hadTasks = true
	if c.closing != nil {
		g.failed = true // Each is refused for itself.
		for _, t := range added {
			c.finish(t, verdict{state: c.droppedState(), message: "Not started: the executor ends: " + c.closing.reason})
		}
		return
	}
	for i, t := range added {
		if refusals[i] != "" {
			c.finish(t, verdict{state: mesos.TASK_ERROR, reason: mesos.REASON_TASK_INVALID.Enum(), message: refusals[i]})
		}
	}
	c.queue = append(c.queue, added...)
	if c.config.HeadStart > 0 && len(added) > 1 {
		c.ahead = ahead{until: c.now.Add(c.config.HeadStart), starting: c.starting + 1}
	}
}

// droppedState is how a task is reported that will not be run, in a state that
// the framework understands.
func (c *Core) droppedState() mesos.TaskState {
	if c.capabilities[mesos.FrameworkInfo_Capability_PARTITION_AWARE] {
		return mesos.TASK_DROPPED
	}
	return mesos.TASK_LOST
}

func newTask(info *mesos.TaskInfo) *task {
	return &task{
		id:        info.TaskID.Value,
		info:      info,
		lifecycle: tandemv1.Lifecycle_LIFECYCLE_MAIN,
		essential: true,
	}
}

// accept reads the task's settings, and returns why it cannot be run, if so. Tasks of a
// group that are the same have them in common: they are read once, and kept once.
func (t *task) accept(before *task) string {
	var settings *tandemv1.TaskSettings
	if before != nil && before.settings != nil && bytes.Equal(before.info.Data, t.info.Data) {
		settings = before.settings
	} else {
		var err error
		if settings, err = readSettings(t.info); err != nil {
			return err.Error()
		}
	}
	if settings != nil {
		t.settings = settings
		t.essential = settings.GetEssential()
		if l := settings.GetLifecycle(); l != tandemv1.Lifecycle_LIFECYCLE_UNSPECIFIED {
			t.lifecycle = l
		}
		if name := settings.GetKillSignal(); name != "" && unix.SignalNum(name) == 0 {
			return fmt.Sprintf("unknown kill signal %q: give a name such as SIGTERM", name)
		}
	}
	return t.refuse()
}

// refuse says what of the task's description this executor cannot do.
func (t *task) refuse() string {
	switch {
	case t.info.Command == nil:
		return "the task has no command, and this executor runs commands only: launch it with LAUNCH_GROUP, " +
			"the one operation in which Mesos takes a command together with an executor"
	case t.info.Command.GetValue() == "":
		// A bundle may say what runs.
		asked, err := confine.Parse(t.settings.GetOciConfinement())
		if err != nil {
			return err.Error()
		}
		if asked.Bundle == "" || t.info.Command.GetShell() {
			return "the task's command has no value: give a command line, or with shell: false a program"
		}
	}
	if h := t.info.HealthCheck; h != nil {
		if _, ok := healthSpec(h); !ok {
			return fmt.Sprintf("the task's health check is of type %s, and does not say what that takes: HTTP, TCP or a command", h.Type)
		}
	}
	if k := t.info.Check; k != nil {
		if _, ok := statusSpec(k); !ok {
			return fmt.Sprintf("the task's check is of type %s, and does not say what that takes: HTTP, TCP or a command", k.Type)
		}
	}
	return refuseContainer(t.info.Container)
}

// refuseContainer says what of a container this executor cannot do. What it can,
// capabilities and resource limits, package task does.
func refuseContainer(container *mesos.ContainerInfo) string {
	if container == nil {
		return ""
	}
	linux := container.LinuxInfo
	switch {
	case container.Docker != nil:
		return "the task asks for a Docker container: this executor runs commands only"
	case container.GetMesos().GetImage() != nil:
		return "the task asks for an image: this executor runs commands only"
	case len(container.Volumes) > 0:
		return "the task asks for volumes: give them to the executor's container"
	case len(container.NetworkInfos) > 0:
		return "the task asks for a network: give it to the executor's container"
	case container.GetHostname() != "":
		return "the task asks for a host name: give it to the executor's container"
	case container.TTYInfo != nil:
		return "the task asks for a terminal: this executor has none"
	case linux.GetSeccomp().GetProfileName() != "":
		return "the task asks for a seccomp profile of the agent's, which an executor cannot find: give it to the executor's container"
	case linux.GetIPCMode() == mesos.LinuxInfo_PRIVATE || linux.GetSHMSize() > 0:
		return "the task asks for an IPC namespace or a /dev/shm of its own by its container: give that to the executor's container"
	}
	return ""
}

// settingsPrefix is what data that hold TaskSettings begin with: the key of
// the field magic, and its value.
var settingsPrefix = append([]byte{1<<3 | 5}, binary.LittleEndian.AppendUint32(nil, settingsMagic)...)

// readSettings returns the TaskSettings in a task's data, and nil when the data are
// none of ours. An error is a message for the task's status.
func readSettings(info *mesos.TaskInfo) (*tandemv1.TaskSettings, error) {
	if !bytes.HasPrefix(info.Data, settingsPrefix) {
		return nil, nil
	}
	settings := &tandemv1.TaskSettings{}
	if err := proto.Unmarshal(info.Data, settings); err != nil {
		return nil, errors.New("the task's data begin like TaskSettings and cannot be read: is the scheduler newer than this executor?")
	}
	if unknown := unknownField(settings.ProtoReflect(), "TaskSettings"); unknown != "" {
		return nil, fmt.Errorf("the task asks for something that this executor does not know (%s), "+
			"as the scheduler is newer: upgrade the executor, or let it end, and launch the task again", unknown)
	}
	return settings, nil
}

// unknownField names a field of a message, or of one in it, of which this program
// knows the number only. Fields at their defaults are not sent: somebody asks for
// what it stands for, and would not have it.
func unknownField(m protoreflect.Message, name string) (found string) {
	if unknown := m.GetUnknown(); len(unknown) > 0 {
		number, _, _ := protowire.ConsumeTag(unknown)
		return fmt.Sprintf("field %d of %s", number, name)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		inner := name + "." + string(f.Name())
		switch {
		case f.Message() == nil || f.IsMap(): // No map in them holds messages.
		case f.IsList():
			for i := 0; i < v.List().Len() && found == ""; i++ {
				found = unknownField(v.List().Get(i).Message(), inner)
			}
		default:
			found = unknownField(v.Message(), inner)
		}
		return found == ""
	})
	return found
}
