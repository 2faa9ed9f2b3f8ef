package master

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
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
		return &change{"update_quota", call.UpdateQuota != nil, http.StatusOK, nil, func(c *core) error { return c.updateQuota(call.UpdateQuota, who) }}
	case mesosmaster.Call_UPDATE_WEIGHTS:
		return &change{"update_weights", call.UpdateWeights != nil, http.StatusOK, nil, func(c *core) error {
			return c.updateWeights(call.UpdateWeights.GetWeightInfos(), who)
		}}
	case mesosmaster.Call_TEARDOWN:
		return &change{"teardown", call.Teardown != nil, http.StatusOK, nil, func(c *core) error {
			return c.teardown(frameworkID(call.Teardown.FrameworkID.Value), who)
		}}
	case mesosmaster.Call_DRAIN_AGENT:
		sent := call.GetDrainAgent()
		id := sent.GetAgentID()
		return &change{"drain_agent", sent != nil, http.StatusOK, nil, func(c *core) error {
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
		return &change{"deactivate_agent", call.DeactivateAgent != nil, http.StatusOK, nil, func(c *core) error {
			if err := who.allowedAny(acl.DeactivateAgents); err != nil {
				return err
			}
			return c.deactivateAgent(agentID(id.Value))
		}}
	case mesosmaster.Call_REACTIVATE_AGENT:
		id := call.GetReactivateAgent().GetAgentID()
		return &change{"reactivate_agent", call.ReactivateAgent != nil, http.StatusOK, nil, func(c *core) error {
			if err := who.allowedAny(acl.ReactivateAgents); err != nil {
				return err
			}
			return c.reactivateAgent(agentID(id.Value))
		}}
	case mesosmaster.Call_MARK_AGENT_GONE:
		id := call.GetMarkAgentGone().GetAgentID()
		return &change{"mark_agent_gone", call.MarkAgentGone != nil, http.StatusOK, nil, func(c *core) error {
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
	return maintenanceChange(call, who)
}

// serveChange makes a change and answers.
func (m *Master) serveChange(w http.ResponseWriter, changed *change) error {
	if !changed.present {
		return wire.BadRequest("Failed to validate master::Call: Expecting '%s' to be present", changed.field)
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
// whose parameters are in a form: the agent, and resources as JSON.
func (m *Master) serveOperation(parameter string, make func(agent mesos.AgentID, list []mesos.Resource) *mesosmaster.Call) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodPost {
			return wire.MethodNotAllowed(r.Method, http.MethodPost)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return wire.Internal("failed to decode body")
		}
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return wire.BadRequest("Unable to decode query string: %s", err)
		}
		for _, name := range []string{"slaveId", parameter} {
			if !values.Has(name) {
				return wire.BadRequest("Missing '%s' query parameter in the request body", name)
			}
		}
		// The list is read as a part of a message that has one.
		var list mesosmaster.Call
		text := []byte(values.Get(parameter))
		wrapped := append(append([]byte(`{"type":"CREATE_VOLUMES","create_volumes":{"agent_id":{"value":""},"volumes":`), text...), "}}"...)
		if !json.Valid(text) {
			err = errors.New("it is no JSON")
		} else {
			_, err = m.options.Schema.Decode(wire.JSON, wrapped, &list, "resources")
		}
		if err != nil {
			return wire.BadRequest("Error in parsing '%s' query parameter in the request body: %s", parameter, err)
		}
		return m.serveChange(w, changeOf(make(mesos.AgentID{Value: values.Get("slaveId")}, list.GetCreateVolumes().GetVolumes()), m.viewer(r)))
	}
}

func drainConfig(call *mesosmaster.Call_DrainAgent) mesos.DrainConfig {
	config := mesos.DrainConfig{MarkGone: new(call.GetMarkGone())}
	if grace := call.GetMaxGracePeriod(); grace != nil {
		config.MaxGracePeriod = &mesos.DurationInfo{Nanoseconds: grace.Seconds*int64(time.Second) + int64(grace.Nanos)}
	}
	return config
}
