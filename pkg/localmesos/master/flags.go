package master

import (
	"maps"
	"net"
	"strconv"
	"strings"
)

// fixedFlags are flags of a real master whose defaults hold here, or mean nothing
// here, and cannot be changed.
var fixedFlags = map[string]string{
	"allocator":                              "hierarchical",
	"allocator_agent_recovery_factor":        "0.8",
	"allocator_recovery_timeout":             "10mins",
	"authenticate_agents":                    "false",
	"authenticate_frameworks":                "false",
	"authentication_v0_timeout":              "15secs",
	"authenticators":                         "crammd5",
	"authorizers":                            "local",
	"filter_gpu_resources":                   "true",
	"framework_sorter":                       "drf",
	"help":                                   "false",
	"hostname_lookup":                        "true",
	"http_authenticators":                    "basic",
	"initialize_driver_logging":              "true",
	"log_auto_initialize":                    "true",
	"logbufsecs":                             "0",
	"logging_level":                          "INFO",
	"max_operator_event_stream_subscribers":  "1000",
	"memory_profiling":                       "false",
	"offer_constraints_re2_max_mem":          "4KB",
	"offer_constraints_re2_max_program_size": "100",
	"publish_per_framework_metrics":          "true",
	"quiet":                                  "false",
	"recovery_agent_removal_limit":           "100%",
	"registry":                               "in_memory",
	"registry_fetch_timeout":                 "1mins",
	"registry_store_timeout":                 "20secs",
	"registry_strict":                        "false",
	"role_sorter":                            "drf",
	"version":                                "false",
	"zk_session_timeout":                     "10secs",
}

// flags are those of a real master that the options amount to.
func (c *core) flags() map[string]string {
	o := c.options
	all := maps.Clone(fixedFlags)
	maps.Copy(all, map[string]string{
		"agent_ping_timeout":                  mesosDuration(o.AgentPingTimeout),
		"agent_reregister_timeout":            mesosDuration(o.AgentReregisterTimeout),
		"allocation_interval":                 mesosDuration(o.AllocationInterval),
		"authenticate_http_frameworks":        strconv.FormatBool(len(o.FrameworkCredentials) > 0),
		"authenticate_http_readonly":          strconv.FormatBool(o.AuthenticateReadonly),
		"authenticate_http_readwrite":         strconv.FormatBool(o.AuthenticateReadwrite),
		"hostname":                            o.Hostname,
		"max_agent_ping_timeouts":             strconv.Itoa(o.MaxAgentPingTimeouts),
		"max_completed_frameworks":            strconv.Itoa(maxCompletedFrameworks),
		"max_completed_tasks_per_framework":   strconv.Itoa(maxCompletedTasks),
		"max_unreachable_tasks_per_framework": strconv.Itoa(maxUnreachableTasks),
		"min_allocatable_resources":           minAllocatable(o),
		"registry_gc_interval":                mesosDuration(o.RegistryGCInterval),
		"registry_max_agent_age":              mesosDuration(o.RegistryMaxAgentAge),
		"registry_max_agent_count":            strconv.Itoa(o.RegistryMaxAgentCount),
		"require_agent_domain":                strconv.FormatBool(o.RequireAgentDomain),
		"root_submissions":                    strconv.FormatBool(!o.NoRootSubmissions),
		"port":                                strconv.Itoa(int(c.info.GetPort())),
	})
	if host, _, err := net.SplitHostPort(o.Listen); err == nil {
		all["ip"] = host
	}
	for name, list := range map[string][]string{"roles": o.Roles, "fair_sharing_excluded_resource_names": o.FairSharingExcludedResources} {
		if list != nil {
			all[name] = strings.Join(list, ",")
		}
	}
	if o.OfferTimeout > 0 {
		all["offer_timeout"] = mesosDuration(o.OfferTimeout)
	}
	if len(o.FrameworkCredentials) > 0 {
		all["http_framework_authenticators"] = "basic"
	}
	maps.Copy(all, o.Flags)
	return all
}
