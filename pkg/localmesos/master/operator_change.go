package master

import (
	"net/http"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// change is a call of the operator API that changes something. It is answered
// with nothing but a status.
type change struct {
	field   string // of the call, which must be present
	present bool
	status  int
	// resources are looked at first.
	resources []mesos.Resource
	make      func(c *core) error
	wrong     string // with a call that has what it is about; empty for nothing
}

// changeOf returns what a call of an operator changes; nil if it changes nothing.
func changeOf(call *mesosmaster.Call, who viewer) *change {
	operation := func(field string, present bool, on mesos.AgentID, op *mesos.Offer_Operation) *change {
		return &change{field: field, present: present, status: http.StatusAccepted, make: func(c *core) error {
			return c.operate(agentID(on.Value), op, who)
		}}
	}
	switch call.Type {
	case mesosmaster.Call_UPDATE_QUOTA:
		return &change{field: "update_quota", present: call.UpdateQuota != nil, status: http.StatusOK, make: func(c *core) error { return c.updateQuota(call.UpdateQuota, who) }}
	case mesosmaster.Call_SET_QUOTA:
		return &change{field: "set_quota", present: call.SetQuota != nil, status: http.StatusOK, make: func(c *core) error {
			return c.setQuotaOf(&call.SetQuota.QuotaRequest, who)
		}}
	case mesosmaster.Call_REMOVE_QUOTA:
		return &change{field: "remove_quota", present: call.RemoveQuota != nil, status: http.StatusOK, make: func(c *core) error {
			return c.removeQuota(call.RemoveQuota.Role, who)
		}}
	case mesosmaster.Call_UPDATE_WEIGHTS:
		return &change{field: "update_weights", present: call.UpdateWeights != nil, status: http.StatusOK, make: func(c *core) error {
			return c.updateWeights(call.UpdateWeights.GetWeightInfos(), who)
		}}
	case mesosmaster.Call_TEARDOWN:
		return &change{field: "teardown", present: call.Teardown != nil, status: http.StatusOK, make: func(c *core) error {
			return c.teardown(frameworkID(call.Teardown.FrameworkID.Value), who)
		}}
	case mesosmaster.Call_DRAIN_AGENT:
		sent := call.GetDrainAgent()
		id := sent.GetAgentID()
		return &change{field: "drain_agent", present: sent != nil, status: http.StatusOK, make: func(c *core) error {
			err := who.allowedAny(acl.DrainAgents)
			if err == nil && sent.GetMarkGone() {
				err = who.allowedAny(acl.MarkAgentsGone)
			}
			if err != nil {
				return err
			}
			return c.drainAgent(agentID(id.Value), drainConfig(sent))
		}}
	case mesosmaster.Call_DEACTIVATE_AGENT:
		id := call.GetDeactivateAgent().GetAgentID()
		return &change{field: "deactivate_agent", present: call.DeactivateAgent != nil, status: http.StatusOK, make: func(c *core) error {
			if err := who.allowedAny(acl.DeactivateAgents); err != nil {
				return err
			}
			return c.deactivateAgent(agentID(id.Value))
		}}
	case mesosmaster.Call_REACTIVATE_AGENT:
		id := call.GetReactivateAgent().GetAgentID()
		return &change{field: "reactivate_agent", present: call.ReactivateAgent != nil, status: http.StatusOK, make: func(c *core) error {
			if err := who.allowedAny(acl.ReactivateAgents); err != nil {
				return err
			}
			return c.reactivateAgent(agentID(id.Value))
		}}
	case mesosmaster.Call_MARK_AGENT_GONE:
		id := call.GetMarkAgentGone().GetAgentID()
		return &change{field: "mark_agent_gone", present: call.MarkAgentGone != nil, status: http.StatusOK, make: func(c *core) error {
			if err := who.allowedAny(acl.MarkAgentsGone); err != nil {
				return err
			}
			return c.markGone(agentID(id.Value))
		}}
	case mesosmaster.Call_RESERVE_RESOURCES:
		sent := call.GetReserveResources()
		made := operation("reserve_resources", sent != nil, sent.GetAgentID(), &mesos.Offer_Operation{
			Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Source: sent.GetSource(), Resources: sent.GetResources()},
		})
		made.resources = sent.GetResources()
		return made
	case mesosmaster.Call_UNRESERVE_RESOURCES:
		sent := call.GetUnreserveResources()
		made := operation("unreserve_resources", sent != nil, sent.GetAgentID(), &mesos.Offer_Operation{
			Type: mesos.Offer_Operation_UNRESERVE, Unreserve: &mesos.Offer_Operation_Unreserve{Resources: sent.GetResources()},
		})
		made.resources = sent.GetResources()
		return made
	case mesosmaster.Call_CREATE_VOLUMES:
		sent := call.GetCreateVolumes()
		return operation("create_volumes", sent != nil, sent.GetAgentID(), &mesos.Offer_Operation{
			Type: mesos.Offer_Operation_CREATE, Create: &mesos.Offer_Operation_Create{Volumes: sent.GetVolumes()},
		})
	case mesosmaster.Call_DESTROY_VOLUMES:
		sent := call.GetDestroyVolumes()
		return operation("destroy_volumes", sent != nil, sent.GetAgentID(), &mesos.Offer_Operation{
			Type: mesos.Offer_Operation_DESTROY, Destroy: &mesos.Offer_Operation_Destroy{Volumes: sent.GetVolumes()},
		})
	}
	if resizing := resizeOf(call, operation); resizing != nil {
		return resizing
	}
	return maintenanceChange(call, who)
}

// resizeOf returns what a call changes that makes a volume larger or smaller; nil
// if it does not.
func resizeOf(call *mesosmaster.Call, operation func(string, bool, mesos.AgentID, *mesos.Offer_Operation) *change) *change {
	var made *change
	var agent *mesos.AgentID
	switch call.Type {
	case mesosmaster.Call_GROW_VOLUME:
		sent := call.GetGrowVolume()
		agent = sent.GetAgentID()
		made = operation("grow_volume", sent != nil, agentIDOf(agent), &mesos.Offer_Operation{
			Type:       mesos.Offer_Operation_GROW_VOLUME,
			GrowVolume: &mesos.Offer_Operation_GrowVolume{Volume: sent.GetVolume(), Addition: sent.GetAddition()},
		})
	case mesosmaster.Call_SHRINK_VOLUME:
		sent := call.GetShrinkVolume()
		agent = sent.GetAgentID()
		made = operation("shrink_volume", sent != nil, agentIDOf(agent), &mesos.Offer_Operation{
			Type:         mesos.Offer_Operation_SHRINK_VOLUME,
			ShrinkVolume: &mesos.Offer_Operation_ShrinkVolume{Volume: sent.GetVolume(), Subtract: sent.GetSubtract()},
		})
	default:
		return nil
	}
	if agent == nil {
		made.wrong = "Expecting 'agent_id' to be present; only agent default resources are supported right now"
	}
	return made
}

// agentIDOf returns an ID that may be missing.
func agentIDOf(id *mesos.AgentID) mesos.AgentID {
	if id == nil {
		return mesos.AgentID{}
	}
	return *id
}

// serveChange makes a change and answers.
func (m *Master) serveChange(w http.ResponseWriter, changed *change) error {
	if !changed.present {
		return wire.BadRequest("Failed to validate master::Call: Expecting '%s' to be present", changed.field)
	}
	if changed.wrong != "" {
		return wire.BadRequest("Failed to validate master::Call: %s", changed.wrong)
	}
	if _, err := resource.FromMesos(changed.resources); err != nil {
		return wire.BadRequest("Failed to validate master::Call: %s", err)
	}
	if err := m.do(func() error { return changed.make(m.core) }); err != nil {
		return err
	}
	wire.WriteEmpty(w, changed.status)
	return nil
}

// teardown removes a framework. One without a principal is any principal's.
func (c *core) teardown(id frameworkID, who viewer) error {
	f := c.frameworks[id]
	if f == nil {
		return wire.BadRequest("No framework found with specified ID")
	}
	err := who.allowedAny(acl.TeardownFrameworks)
	if principal := f.info.Principal; principal != nil {
		err = who.allowed(acl.TeardownFrameworks, *principal)
	}
	if err != nil {
		return err
	}
	c.removeFramework(f)
	return nil
}

// serveOperation serves one of the older endpoints for operations on resources,
// whose parameters are in a form: the agent, and resources as JSON. words begin
// the refusal of what is none.
func (m *Master) serveOperation(parameter, words string, make func(agent mesos.AgentID, list []mesos.Resource) *mesosmaster.Call) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		values, err := wire.PostedForm(r, "slaveId", parameter)
		if err != nil {
			return err
		}
		var list []mesos.Resource
		parsed, err := wire.ParseArray([]byte(values[parameter]))
		if err == nil {
			list, err = wire.ConvertList[mesos.Resource](m.options.Schema, parsed)
		}
		if err != nil {
			return wire.BadRequest("%s '%s' query parameter in the request body: %s", words, parameter, err)
		}
		return m.serveChange(w, changeOf(make(mesos.AgentID{Value: values["slaveId"]}, list), m.viewer(r)))
	}
}

func drainConfig(call *mesosmaster.Call_DrainAgent) mesos.DrainConfig {
	config := mesos.DrainConfig{MarkGone: new(call.GetMarkGone())}
	if grace := call.GetMaxGracePeriod(); grace != nil {
		config.MaxGracePeriod = &mesos.DurationInfo{Nanoseconds: grace.Seconds*int64(time.Second) + int64(grace.Nanos)}
	}
	return config
}
