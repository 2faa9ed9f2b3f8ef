package conform

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/allocator"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Version is the version of Mesos that was recorded.
const Version = "1.12.0"

// UnsupportedError says that there is not what it takes to play a scenario.
type UnsupportedError struct{ Flag string }

func (e *UnsupportedError) Error() string { return "there is nothing here like " + e.Flag }

// options makes a cluster's options of a scenario's flags. All scenarios have
// these agents in common; each names what else it was recorded with.
func options(s *Scenario) (localmesos.Options, error) {
	o := localmesos.Options{
		Master: master.Options{Version: Version},
		Agent: agent.Options{
			Version:    Version,
			Resources:  "cpus:8;mem:8192;disk:20000;ports:[31000-32000]",
			Attributes: "rack:r1;zone:a",
		},
	}
	if !slices.ContainsFunc(s.Lines, func(l *Line) bool { return l.Dir == "request" }) {
		return o, &UnsupportedError{"the programs whose output this is"}
	}
	for part := range strings.SplitSeq(s.Flags, ";") {
		part = strings.TrimSpace(part)
		who, rest, _ := strings.Cut(part, ":")
		if who != "master" && who != "agent" {
			return o, &UnsupportedError{strconv.Quote(part)}
		}
		for flag := range strings.FieldsSeq(rest) {
			if !strings.HasPrefix(flag, "--") {
				continue // the words "common flags"
			}
			if err := setFlag(&o, s, who, flag); err != nil {
				return o, err
			}
		}
	}
	return o, nil
}

func setFlag(o *localmesos.Options, s *Scenario, who, flag string) error {
	name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
	var err error
	switch name {
	case "allocation_interval":
		o.Master.AllocationInterval, err = duration(value)
	case "offer_timeout":
		o.Master.OfferTimeout, err = duration(value)
	case "agent_ping_timeout":
		o.Master.AgentPingTimeout, err = duration(value)
	case "max_agent_ping_timeouts":
		o.Master.MaxAgentPingTimeouts, err = strconv.Atoi(value)
	case "min_allocatable_resources":
		o.Master.MinAllocatableResources, err = quantities(value)
	case "executor_registration_timeout":
		o.Agent.ExecutorRegistrationTimeout, err = duration(value)
	case "executor_reregistration_timeout":
		o.Agent.ExecutorReregistrationTimeout, err = duration(value)
	case "cgroups_enable_cfs":
		o.Agent.CgroupsEnableCFS = true
	case "authenticate_http_frameworks":
		o.Master.FrameworkCredentials, err = credentials(s)
	case "http_framework_authenticators", "credentials", "http_credentials":
		// What the flags about authentication say.
	case "authenticate_http_readonly", "authenticate_http_readwrite":
		err = realm(o, s, who, name)
	case "acls":
		o.Master.ACLs, err = rules(s)
	case "http_executor_domain_sockets":
		o.Agent.ExecutorDomainSocket = "agent.sock" // in the runtime directory
	case "domain_socket_location":
		o.Agent.ExecutorDomainSocket = value
	case "rate_limits", "http_heartbeat_interval":
		// These have no effect on what was recorded with them.
	default:
		return &UnsupportedError{"--" + name}
	}
	if err != nil {
		return fmt.Errorf("cannot read flag %s: %w", flag, err)
	}
	return nil
}

// usual are the credentials of the scenarios that do not tell of any.
var usual = map[string]string{
	"fw-a": "test-secret-a", "fw-b": "test-secret-b", "op-rw": "test-secret-op", "op-ro": "test-secret-ro",
}

// credentials reads the credentials that a scenario tells of.
func credentials(s *Scenario) (map[string]string, error) {
	var file struct {
		Credentials []struct{ Principal, Secret string }
	}
	secrets := map[string]string{}
	for _, l := range s.Lines {
		if l.Note != "content of credentials.json" {
			continue
		}
		if err := json.Unmarshal(l.Info, &file); err != nil {
			return nil, err
		}
		for _, c := range file.Credentials {
			secrets[c.Principal] = c.Secret
		}
	}
	if len(secrets) == 0 {
		return usual, nil
	}
	return secrets, nil
}

// realm has the operators of the master or of the agent authenticate.
func realm(o *localmesos.Options, s *Scenario, who, flag string) error {
	secrets, err := credentials(s)
	if err != nil {
		return err
	}
	readonly := flag == "authenticate_http_readonly"
	if who == "master" {
		o.Master.OperatorCredentials = secrets
		o.Master.AuthenticateReadonly = o.Master.AuthenticateReadonly || readonly
		o.Master.AuthenticateReadwrite = o.Master.AuthenticateReadwrite || !readonly
		return nil
	}
	o.Agent.OperatorCredentials = secrets
	o.Agent.AuthenticateReadonly = o.Agent.AuthenticateReadonly || readonly
	o.Agent.AuthenticateReadwrite = o.Agent.AuthenticateReadwrite || !readonly
	return nil
}

// rules reads the ACLs that a scenario tells of.
func rules(s *Scenario) (*acl.Rules, error) {
	for _, l := range s.Lines {
		if l.Note == "content of acls.json" {
			return acl.Parse(l.Info)
		}
	}
	return nil, errors.New("the recording does not tell what is in them")
}

// duration reads a duration as Mesos writes it.
func duration(text string) (time.Duration, error) {
	for suffix, unit := range map[string]string{"secs": "s", "mins": "m", "hrs": "h"} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			text = number + unit
		}
	}
	return time.ParseDuration(text)
}

// quantities reads alternatives such as cpus:4|mem:7000.
func quantities(text string) ([]allocator.Quantities, error) {
	var all []allocator.Quantities
	for alternative := range strings.SplitSeq(text, "|") {
		q := allocator.Quantities{}
		for item := range strings.SplitSeq(alternative, ";") {
			name, value, _ := strings.Cut(item, ":")
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return nil, err
			}
			q[name] = resource.Thousandths(n)
		}
		all = append(all, q)
	}
	return all, nil
}
