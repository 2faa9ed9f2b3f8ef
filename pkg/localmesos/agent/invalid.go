package agent

import (
	"fmt"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tandem-mesos/tandem/pkg/localmesos/spec"
)

// What is wrong with calls of the operator API about containers
// (src/slave/validation.cpp in the Mesos sources).

// invalidID says what is wrong with a container's ID, or nothing.
func invalidID(call string, id mesos.ContainerID, nested bool) string {
	text := ""
	for at, prefix := &id, ""; at != nil && text == ""; at, prefix = at.Parent, prefix+"'ContainerID.parent' is invalid: " {
		if text = invalidName(at.Value); text != "" {
			text = prefix + text
		}
	}
	if text != "" {
		return "'" + call + ".container_id' is invalid: " + text
	}
	if nested && id.Parent == nil {
		return "Expecting '" + call + ".container_id.parent' to be present"
	}
	return ""
}

// invalidName says what is wrong with one part of a container's ID.
func invalidName(v string) string {
	const longest = 242
	if err := spec.ID(v); err != nil {
		return err.Error()
	}
	switch {
	case len(v) > longest:
		return fmt.Sprintf("'ContainerID.value' '%s' exceeds the maximum length (%d)", v, longest)
	case strings.ContainsAny(v, ". "):
		return "'ContainerID.value' '" + v + "' contains invalid characters"
	}
	return ""
}

// invalidLaunch says what is wrong with what a call is to launch, or nothing.
func invalidLaunch(call *mesosagent.Call) string {
	switch call.Type {
	case mesosagent.Call_LAUNCH_NESTED_CONTAINER:
		c := call.LaunchNestedContainer
		text := invalidSpec("launch_nested_container", c.Command, c.Container)
		if text == "" && ownCgroups(c.Container) && c.ContainerID.Parent.Parent != nil {
			text = "'launch_nested_container' is invalid: containers nested at the second level or greater cannot set 'share_cgroups' to 'false'"
		}
		return text
	case mesosagent.Call_LAUNCH_NESTED_CONTAINER_SESSION:
		c := call.LaunchNestedContainerSession
		text := invalidSpec("launch_nested_container_session", c.Command, c.Container)
		if text == "" && ownCgroups(c.Container) {
			text = "'launch_nested_container_session.container.linux_info' is invalid: 'share_cgroups' cannot be set to 'false' for nested container sessions"
		}
		return text
	case mesosagent.Call_LAUNCH_CONTAINER:
		return invalidContainer(call.LaunchContainer)
	}
	return ""
}

// invalidSpec says what is wrong with a command, or the description of its
// container.
func invalidSpec(call string, command *mesos.CommandInfo, container *mesos.ContainerInfo) string {
	if command != nil {
		if err := spec.Command(command); err != nil {
			return "'" + call + ".command' is invalid: " + err.Error()
		}
	}
	if container != nil {
		if err := spec.Container(container); err != nil {
			return "'" + call + ".container' is invalid: " + err.Error()
		}
	}
	return ""
}

// invalidContainer says what is wrong with a LAUNCH_CONTAINER call.
func invalidContainer(c *mesosagent.Call_LaunchContainer) string {
	alone := c.ContainerID.Parent == nil
	for _, r := range c.Resources {
		switch {
		case !alone:
		case reservedFor(r) != "", r.GetRole() != "" && r.GetRole() != "*":
			return "'launch_container.resources' must be unreserved"
		case r.GetDisk().GetPersistence() != nil:
			return "'launch_container.resources' may not use persistent volumes"
		case r.Revocable != nil:
			return "'launch_container.resources' must be non-revocable"
		}
	}
	if text := invalidSpec("launch_container", c.Command, c.Container); text != "" {
		return text
	}
	deep := !alone && c.ContainerID.Parent.Parent != nil
	share := c.Container.GetLinuxInfo().GetShareCgroups()
	switch {
	case deep && len(c.Resources) > 0:
		return "'launch_container' is invalid: containers nested at the second level or greater cannot specify resources"
	case deep && len(c.Limits) > 0:
		return "'launch_container' is invalid: containers nested at the second level or greater cannot specify resource limits"
	case deep && ownCgroups(c.Container):
		return "'launch_container' is invalid: containers nested at the second level or greater cannot set 'share_cgroups' to 'false'"
	case alone && c.Container.GetLinuxInfo() != nil && c.Container.LinuxInfo.ShareCgroups != nil && share:
		return "'launch_container' is invalid: containers without a parent cannot set 'share_cgroups' to 'true'"
	}
	return ""
}
