// Package acl decides who may do what, by the rules that a real master and agent
// take with --acls (src/authorizer/local/authorizer.cpp and
// include/mesos/authorizer/acls.proto in the Mesos sources).
//
// Of the rules of an action the first that matches both the principal and what
// it would act on decides; when none does, everything goes, unless the rules say
// that they are not permissive.
//
// The package must never know how a principal has proved to be one, nor what
// becomes of a refusal.
package acl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Action is something that rules are about, by the name of its list in the JSON.
type Action string

// The actions that a master asks about. Behind each stands what it is done to.
const (
	RegisterFrameworks         Action = "register_frameworks"          // a role
	RunTasks                   Action = "run_tasks"                    // a user
	TeardownFrameworks         Action = "teardown_frameworks"          // the framework's principal
	ReserveResources           Action = "reserve_resources"            // a role
	UnreserveResources         Action = "unreserve_resources"          // the reserver
	CreateVolumes              Action = "create_volumes"               // a role
	DestroyVolumes             Action = "destroy_volumes"              // the creator
	ResizeVolumes              Action = "resize_volumes"               // a role
	GetQuotas                  Action = "get_quotas"                   // a role
	UpdateQuotas               Action = "update_quotas"                // a role
	ViewRoles                  Action = "view_roles"                   // a role
	UpdateWeights              Action = "update_weights"               // a role
	GetEndpoints               Action = "get_endpoints"                // a path
	ViewFrameworks             Action = "view_frameworks"              // a user
	ViewTasks                  Action = "view_tasks"                   // a user
	ViewExecutors              Action = "view_executors"               // a user
	ViewFlags                  Action = "view_flags"                   // any flag
	SetLogLevel                Action = "set_log_level"                // any level
	UpdateMaintenanceSchedules Action = "update_maintenance_schedules" // any machine
	GetMaintenanceSchedules    Action = "get_maintenance_schedules"    // any machine
	StartMaintenances          Action = "start_maintenances"           // any machine
	StopMaintenances           Action = "stop_maintenances"            // any machine
	GetMaintenanceStatuses     Action = "get_maintenance_statuses"     // any machine
	DrainAgents                Action = "drain_agents"                 // any agent
	DeactivateAgents           Action = "deactivate_agents"            // any agent
	ReactivateAgents           Action = "reactivate_agents"            // any agent
	MarkAgentsGone             Action = "mark_agents_gone"             // any agent
)

// The actions that an agent asks about, beside some of a master's.
const (
	AccessSandboxes                 Action = "access_sandboxes"                                        // the executor's user
	AttachContainersInput           Action = "attach_containers_input"                                 // the executor's user
	AttachContainersOutput          Action = "attach_containers_output"                                // the executor's user
	KillNestedContainers            Action = "kill_nested_containers"                                  // the executor's user
	WaitNestedContainers            Action = "wait_nested_containers"                                  // the executor's user
	RemoveNestedContainers          Action = "remove_nested_containers"                                // the executor's user
	ViewContainers                  Action = "view_containers"                                         // the executor's user
	LaunchNestedContainersAsUser    Action = "launch_nested_containers_as_user"                        // the command's user
	LaunchNestedContainersUnderUser Action = "launch_nested_containers_under_parent_with_user"         // the executor's user
	LaunchSessionsAsUser            Action = "launch_nested_container_sessions_as_user"                // the command's user
	LaunchSessionsUnderUser         Action = "launch_nested_container_sessions_under_parent_with_user" // the executor's user
	LaunchStandaloneContainers      Action = "launch_standalone_containers"                            // any user
	KillStandaloneContainers        Action = "kill_standalone_containers"                              // any user
	WaitStandaloneContainers        Action = "wait_standalone_containers"                              // any user
	RemoveStandaloneContainers      Action = "remove_standalone_containers"                            // any user
	ViewStandaloneContainers        Action = "view_standalone_containers"                              // any user
	MarkResourceProvidersGone       Action = "mark_resource_providers_gone"                            // any resource provider
	ModifyResourceProviderConfigs   Action = "modify_resource_provider_configs"                        // any resource provider
	PruneImages                     Action = "prune_images"                                            // any image
)

// kind is what a list of rules is like.
type kind struct {
	objects string // the member that says to what something is done
	roles   bool   // objects are roles, of which a/% means all below a
	all     string // the message's name if a rule is about all objects or none
}

var kinds = map[Action]kind{
	RegisterFrameworks:              {objects: "roles", roles: true},
	RunTasks:                        {objects: "users"},
	TeardownFrameworks:              {objects: "framework_principals"},
	ReserveResources:                {objects: "roles", roles: true},
	UnreserveResources:              {objects: "reserver_principals"},
	CreateVolumes:                   {objects: "roles", roles: true},
	DestroyVolumes:                  {objects: "creator_principals"},
	ResizeVolumes:                   {objects: "roles", roles: true},
	GetQuotas:                       {objects: "roles", roles: true},
	UpdateQuotas:                    {objects: "roles", roles: true},
	ViewRoles:                       {objects: "roles", roles: true},
	UpdateWeights:                   {objects: "roles", roles: true},
	GetEndpoints:                    {objects: "paths"},
	ViewFrameworks:                  {objects: "users"},
	ViewTasks:                       {objects: "users"},
	ViewExecutors:                   {objects: "users"},
	ViewFlags:                       {objects: "flags", all: "ViewFlags"},
	SetLogLevel:                     {objects: "level", all: "SetLogLevel"},
	UpdateMaintenanceSchedules:      {objects: "machines", all: "UpdateMaintenanceSchedule"},
	GetMaintenanceSchedules:         {objects: "machines", all: "GetMaintenanceSchedule"},
	StartMaintenances:               {objects: "machines", all: "StartMaintenance"},
	StopMaintenances:                {objects: "machines", all: "StopMaintenance"},
	GetMaintenanceStatuses:          {objects: "machines", all: "GetMaintenanceStatus"},
	DrainAgents:                     {objects: "agents", all: "DrainAgent"},
	DeactivateAgents:                {objects: "agents", all: "DeactivateAgent"},
	ReactivateAgents:                {objects: "agents", all: "ReactivateAgent"},
	MarkAgentsGone:                  {objects: "agents", all: "MarkAgentGone"},
	AccessSandboxes:                 {objects: "users"},
	AttachContainersInput:           {objects: "users"},
	AttachContainersOutput:          {objects: "users"},
	KillNestedContainers:            {objects: "users"},
	WaitNestedContainers:            {objects: "users"},
	RemoveNestedContainers:          {objects: "users"},
	ViewContainers:                  {objects: "users"},
	LaunchNestedContainersAsUser:    {objects: "users"},
	LaunchNestedContainersUnderUser: {objects: "users"},
	LaunchSessionsAsUser:            {objects: "users"},
	LaunchSessionsUnderUser:         {objects: "users"},
	LaunchStandaloneContainers:      {objects: "users", all: "LaunchStandaloneContainer"},
	KillStandaloneContainers:        {objects: "users", all: "KillStandaloneContainer"},
	WaitStandaloneContainers:        {objects: "users", all: "WaitStandaloneContainer"},
	RemoveStandaloneContainers:      {objects: "users", all: "RemoveStandaloneContainer"},
	ViewStandaloneContainers:        {objects: "users", all: "ViewStandaloneContainer"},
	MarkResourceProvidersGone:       {objects: "resource_providers", all: "MarkResourceProvidersGone"},
	ModifyResourceProviderConfigs:   {objects: "resource_providers", all: "ModifyResourceProviderConfig"},
	PruneImages:                     {objects: "images", all: "PruneImages"},
}

// endpoints are the paths that rules on endpoints may name (AUTHORIZABLE_ENDPOINTS
// in src/common/authorization.cpp).
var endpoints = []string{
	"/containers", "/containerizer/debug", "/files/debug", "/logging/toggle", "/metrics/snapshot", "/monitor/statistics",
}

// without are lists that a real master takes and that nothing here asks about:
// what is in them would have no effect.
var without = []Action{
	"access_mesos_logs", "create_block_disks", "create_mount_disks", "destroy_block_disks",
	"destroy_mount_disks", "destroy_raw_disks",
	"register_agents", "view_resource_providers",
}

// Rules are what was given as --acls. They are not changed once parsed, and nil
// allows everything, as a real master without the flag does.
type Rules struct {
	permissive bool
	rules      map[Action][]rule
}

type rule struct{ principals, objects entity }

// entity is one side of a rule, or of a question.
type entity struct {
	kind   string // some, any, none
	values []string
}

const (
	some     = "SOME"
	anything = "ANY"
	none     = "NONE"
)

// Parse reads rules in their JSON form. Unlike a real master it refuses lists
// that do not exist, which are misspelt more often than not.
func Parse(text []byte) (*Rules, error) {
	var lists map[string]json.RawMessage
	if err := json.Unmarshal(text, &lists); err != nil {
		return nil, fmt.Errorf("cannot read the ACLs: %w", err)
	}
	r := &Rules{permissive: true, rules: map[Action][]rule{}}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		if err := r.parse(Action(name), lists[name]); err != nil {
			return nil, fmt.Errorf("cannot read the ACLs: %s: %w", name, err)
		}
	}
	return r, nil
}

func (r *Rules) parse(name Action, text json.RawMessage) error {
	if name == "permissive" {
		return json.Unmarshal(text, &r.permissive)
	}
	about, known := kinds[name]
	if !known && slices.Contains(without, name) {
		return nil
	}
	if !known {
		return errors.New("there are no rules of this name")
	}
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	for _, members := range list {
		one, err := parseRule(members, about)
		if err != nil {
			return err
		}
		r.rules[name] = append(r.rules[name], one.split(about)...)
	}
	return nil
}

func parseRule(members map[string]json.RawMessage, about kind) (rule, error) {
	var one rule
	for _, side := range []struct {
		name string
		to   *entity
	}{{"principals", &one.principals}, {about.objects, &one.objects}} {
		text, ok := members[side.name]
		if !ok {
			return rule{}, fmt.Errorf("a rule has no %s", side.name)
		}
		parsed := struct {
			Type   string
			Values []string
		}{Type: some}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&parsed); err != nil {
			return rule{}, fmt.Errorf("%s: %w", side.name, err)
		}
		if parsed.Type != some && parsed.Type != anything && parsed.Type != none {
			return rule{}, fmt.Errorf("%s: the type %q is none of SOME, ANY, NONE", side.name, parsed.Type)
		}
		*side.to = entity{kind: parsed.Type, values: parsed.Values}
	}
	switch {
	case one.objects.kind != some:
	case about.all != "":
		return rule{}, fmt.Errorf("ACL.%s type must be either NONE or ANY", about.all)
	case about.objects == "paths":
		for _, path := range one.objects.values {
			if !slices.Contains(endpoints, path) {
				//lint:ignore ST1005 a real master's text
				return rule{}, fmt.Errorf("Path: '%s' is not an authorizable path", path)
			}
		}
	}
	return one, nil
}

// split gives each a/% a rule of its own.
func (r rule) split(about kind) []rule {
	if !about.roles || r.objects.kind != some {
		return []rule{r}
	}
	var all []rule
	plain := entity{kind: some}
	for _, role := range r.objects.values {
		if strings.HasSuffix(role, "/%") {
			all = append(all, rule{r.principals, entity{kind: some, values: []string{role}}})
		} else {
			plain.values = append(plain.values, role)
		}
	}
	if len(plain.values) > 0 {
		all = append(all, rule{r.principals, plain})
	}
	return all
}

// Allow tells whether a principal, "" for one that is not known, may act on an
// object.
func (r *Rules) Allow(principal string, action Action, object string) bool {
	return r.decide(principal, action, entity{kind: some, values: []string{object}})
}

// AllowAny tells whether a principal may act on whatever there is.
func (r *Rules) AllowAny(principal string, action Action) bool {
	return r.decide(principal, action, entity{kind: anything})
}

// Otherwise tells what goes where no rule is about it.
func (r *Rules) Otherwise() bool { return r == nil || r.permissive }

func (r *Rules) decide(principal string, action Action, object entity) bool {
	if r == nil {
		return true
	}
	subject := entity{kind: anything}
	if principal != "" {
		subject = entity{kind: some, values: []string{principal}}
	}
	for _, each := range r.rules[action] {
		objects := each.objects
		if below, ok := objects.below(kinds[action]); ok {
			if object.kind != some || !strings.HasPrefix(object.values[0], below) {
				continue
			}
			objects = entity{kind: anything}
		}
		if subject.matches(each.principals) && object.matches(objects) {
			return subject.allowed(each.principals) && object.allowed(objects)
		}
	}
	return r.permissive
}

// below returns what the names of roles begin with that a/% means.
func (e entity) below(about kind) (string, bool) {
	if about.roles && len(e.values) == 1 && strings.HasSuffix(e.values[0], "/%") {
		return strings.TrimSuffix(e.values[0], "%"), true
	}
	return "", false
}

// matches tells whether a rule is about what is asked, which is one value or any.
func (e entity) matches(of entity) bool {
	if of.kind == some {
		return e.kind == some && e.within(of)
	}
	return true
}

// allowed tells whether a rule that matches allows it.
func (e entity) allowed(by entity) bool {
	return by.kind == anything || by.kind == some && e.kind == some && e.within(by)
}

func (e entity) within(of entity) bool {
	return !slices.ContainsFunc(e.values, func(v string) bool { return !slices.Contains(of.values, v) })
}
