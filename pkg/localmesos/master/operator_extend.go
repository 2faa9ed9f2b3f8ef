package master

import (
	"slices"

	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// extend adds to a response what mesos-go's types have no room for: the offer
// constraints of frameworks, and that agents checkpoint.
func (c *core) extend(call mesosmaster.Call_Type, response *mesosmaster.Response, who viewer) (wire.Message, error) {
	switch call {
	case mesosmaster.Call_GET_FRAMEWORKS:
		return c.options.Schema.Extend(response, c.frameworkAdditions(who, "get_frameworks")...)
	case mesosmaster.Call_GET_AGENTS:
		return c.options.Schema.Extend(response, agentAdditions("get_agents")...)
	case mesosmaster.Call_GET_STATE:
		return c.options.Schema.Extend(response, c.stateAdditions(who, "get_state")...)
	}
	return response, nil
}

// stateAdditions is for a message that has a GetState at the end of the path.
func (c *core) stateAdditions(who viewer, path ...string) []wire.Addition {
	return append(c.frameworkAdditions(who, append(path, "get_frameworks")...), agentAdditions(append(path, "get_agents")...)...)
}

// frameworkAdditions follows the order of getFrameworks.
func (c *core) frameworkAdditions(who viewer, path ...string) []wire.Addition {
	of := func(list string, frameworks []*framework) wire.Addition {
		return wire.Addition{Path: append(slices.Clone(path), list), Field: "offer_constraints", Value: func(n int) []byte {
			if f := frameworks[n]; f.constraints != nil {
				return f.constraints.raw
			}
			return []byte{}
		}}
	}
	return []wire.Addition{
		of("frameworks", who.frameworks(c.sortedFrameworks())), of("completed_frameworks", who.frameworks(c.completed)),
	}
}

func agentAdditions(path ...string) []wire.Addition {
	always := func(int) []byte { return []byte{1} }
	return []wire.Addition{
		{Path: append(slices.Clone(path), "agents", "agent_info"), Field: "checkpoint", Value: always},
		{Path: append(slices.Clone(path), "recovered_agents"), Field: "checkpoint", Value: always},
	}
}
