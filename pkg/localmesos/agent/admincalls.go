package agent

import (
	"net/http"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// admin serves the calls that change the agent; known is false for others. There
// are no images to remove and no resource providers, and the answers are those of a
// real agent that is configured so.
func (a *Agent) admin(call *mesosagent.Call, who operator) (known bool, err error) {
	switch call.Type {
	case mesosagent.Call_SET_LOGGING_LEVEL:
		c := call.SetLoggingLevel
		if c == nil {
			return true, missing("set_logging_level")
		}
		if err := who.needs(acl.SetLogLevel); err != nil {
			return true, err
		}
		a.process.SetLevel(int(c.Level), time.Duration(c.Duration.Nanoseconds))
		return true, nil
	case mesosagent.Call_PRUNE_IMAGES:
		return true, who.needs(acl.PruneImages)
	case mesosagent.Call_MARK_RESOURCE_PROVIDER_GONE:
		if call.MarkResourceProviderGone == nil {
			return true, missing("mark_resource_provider_gone")
		}
		return true, who.needs(acl.MarkResourceProvidersGone)
	case mesosagent.Call_ADD_RESOURCE_PROVIDER_CONFIG:
		if call.AddResourceProviderConfig == nil {
			return true, missing("add_resource_provider_config")
		}
		return true, provide("add_resource_provider_config", &call.AddResourceProviderConfig.Info, who)
	case mesosagent.Call_UPDATE_RESOURCE_PROVIDER_CONFIG:
		if call.UpdateResourceProviderConfig == nil {
			return true, missing("update_resource_provider_config")
		}
		return true, provide("update_resource_provider_config", &call.UpdateResourceProviderConfig.Info, who)
	case mesosagent.Call_REMOVE_RESOURCE_PROVIDER_CONFIG:
		if call.RemoveResourceProviderConfig == nil {
			return true, missing("remove_resource_provider_config")
		}
		if err := who.needs(acl.ModifyResourceProviderConfigs); err != nil {
			return true, err
		}
		return true, errNoProviders
	}
	return false, nil
}

// errNoProviders is a real agent's answer without the flag.
var errNoProviders = &wire.Error{Status: http.StatusInternalServerError, Text: "Missing required flag --resource_provider_config_dir"}

// storageProvider is the one type of resource provider that Mesos has.
const storageProvider = "org.apache.mesos.rp.local.storage"

// provide refuses the description of a resource provider.
func provide(field string, info *mesos.ResourceProviderInfo, who operator) error {
	if info.ID != nil {
		return wire.BadRequest("Failed to validate agent::Call: Expecting '%s.info.id' to be unset", field)
	}
	if err := who.needs(acl.ModifyResourceProviderConfigs); err != nil {
		return err
	}
	text := ""
	switch {
	case info.Type != storageProvider:
		text = "Unknown local resource provider type '" + info.Type + "'"
	case info.Storage == nil:
		text = "'ResourceProviderInfo.storage' must be set"
	default:
		return errNoProviders
	}
	return wire.BadRequest("Failed to validate resource provider config with type '%s' and name '%s': %s", info.Type, info.Name, text)
}

// missing refuses a call without what it is about.
func missing(field string) error {
	return wire.BadRequest("Failed to validate agent::Call: Expecting '%s' to be present", field)
}
