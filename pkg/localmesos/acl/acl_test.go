package acl_test

import (
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
)

func parse(t *testing.T, text string) *acl.Rules {
	t.Helper()
	r, err := acl.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAllow holds the matrices of matches and allows in the local authorizer of
// the Mesos sources.
func TestAllow(t *testing.T) {
	const roles = `{"register_frameworks":[
		{"principals":{"values":["alice"]},"roles":{"values":["a","b/%"]}},
		{"principals":{"values":["alice"]},"roles":{"type":"NONE"}},
		{"principals":{"type":"NONE"},"roles":{"values":["secret"]}},
		{"principals":{"type":"ANY"},"roles":{"values":["common"]}}]}`
	const users = `{"permissive":false,"run_tasks":[
		{"principals":{"values":["alice","bob"]},"users":{"values":["nobody"]}},
		{"principals":{"values":["carol"]},"users":{"type":"ANY"}}]}`
	for name, c := range map[string]struct {
		rules, principal string
		action           acl.Action
		object           string
		want             bool
	}{
		"a role that is named":            {roles, "alice", acl.RegisterFrameworks, "a", true},
		"a role below one":                {roles, "alice", acl.RegisterFrameworks, "a/child", false},
		"a role below one with %":         {roles, "alice", acl.RegisterFrameworks, "b/child", true},
		"the one with % itself":           {roles, "alice", acl.RegisterFrameworks, "b", false},
		"a role of no rule":               {roles, "bob", acl.RegisterFrameworks, "x", true},
		"a role for nobody":               {roles, "bob", acl.RegisterFrameworks, "secret", false},
		"a role for all":                  {roles, "bob", acl.RegisterFrameworks, "common", true},
		"no principal, a role for all":    {roles, "", acl.RegisterFrameworks, "common", true},
		"no principal, a role for nobody": {roles, "", acl.RegisterFrameworks, "secret", false},
		"no principal, somebody's role":   {roles, "", acl.RegisterFrameworks, "a", true},
		"another action":                  {roles, "alice", acl.RunTasks, "root", true},
		"a user that is named":            {users, "bob", acl.RunTasks, "nobody", true},
		"a user of no rule":               {users, "bob", acl.RunTasks, "root", false},
		"all users":                       {users, "carol", acl.RunTasks, "root", true},
		"another action, not permissive":  {users, "carol", acl.ViewTasks, "root", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parse(t, c.rules).Allow(c.principal, c.action, c.object); got != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestAllowAny(t *testing.T) {
	rules := parse(t, `{"view_flags":[{"principals":{"values":["op"]},"flags":{"type":"NONE"}}],
		"unreserve_resources":[{"principals":{"values":["op"]},"reserver_principals":{"values":["op"]}},
			{"principals":{"values":["op"]},"reserver_principals":{"type":"NONE"}}],
		"update_weights":[{"principals":{"values":["op"]},"roles":{"values":["a/%"]}}]}`)
	for _, c := range []struct {
		principal string
		action    acl.Action
		want      bool
	}{
		{"op", acl.ViewFlags, false},
		{"other", acl.ViewFlags, true},
		{"", acl.ViewFlags, true},
		{"op", acl.UnreserveResources, false}, // some of them is not any
		{"op", acl.UpdateWeights, true},       // a rule on what is below a role is not about any
	} {
		if got := rules.AllowAny(c.principal, c.action); got != c.want {
			t.Errorf("%s of %q: %v", c.action, c.principal, got)
		}
	}
}

func TestNoRulesAllowEverything(t *testing.T) {
	var rules *acl.Rules
	if !rules.Allow("alice", acl.RunTasks, "root") || !rules.AllowAny("", acl.ViewFlags) || !rules.Otherwise() {
		t.Error("something is refused")
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                   "cannot read the ACLs",
		`{"run_task":[]}`:      "run_task: there are no rules of this name",
		`{"permissive":"yes"}`: "permissive",
		`{"run_tasks":[{"users":{"type":"ANY"}}]}`:                                                              "a rule has no principals",
		`{"run_tasks":[{"principals":{"type":"ANY"}}]}`:                                                         "a rule has no users",
		`{"run_tasks":[{"principals":{"type":"ALL"},"users":{"type":"ANY"}}]}`:                                  `the type "ALL" is none of SOME, ANY, NONE`,
		`{"run_tasks":[{"principals":{"value":["a"]},"users":{"type":"ANY"}}]}`:                                 `unknown field "value"`,
		`{"view_flags":[{"principals":{"type":"ANY"},"flags":{"values":["port"]}}]}`:                            "ACL.ViewFlags type must be either NONE or ANY",
		`{"get_endpoints":[{"principals":{"type":"ANY"},"paths":{"values":["/state"]}}]}`:                       "Path: '/state' is not an authorizable path",
		`{"drain_agents":[{"principals":{"type":"ANY"},"agents":{"values":["S0"]}}],"get_endpoints":["/help"]}`: "ACL.DrainAgent type must be either NONE or ANY",
	} {
		if _, err := acl.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzParse holds that rules are refused or can be asked, whatever they are.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"permissive":false,"update_quotas":[{"principals":{"type":"ANY"},"roles":{"values":["a/%"]}}]}`))
	f.Add([]byte(`{"get_endpoints":[{"principals":{"values":["op"]},"paths":{"type":"NONE"}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := acl.Parse(text)
		if err != nil {
			return
		}
		for _, action := range []acl.Action{acl.UpdateQuotas, acl.GetEndpoints} {
			rules.Allow("op", action, "a/b")
			rules.AllowAny("", action)
		}
	})
}
