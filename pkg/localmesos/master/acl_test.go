package master

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
)

// operators are credentials and a realm for both kinds of endpoints.
func operators(t *testing.T, rules string) Options {
	t.Helper()
	o := Options{
		FrameworkCredentials: map[string]string{"fw": "s"}, OperatorCredentials: map[string]string{"op": "s", "guest": "s"},
		AuthenticateReadonly: true, AuthenticateReadwrite: true,
	}
	if rules != "" {
		var err error
		if o.ACLs, err = acl.Parse([]byte(rules)); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// api makes a call of the operator API as a principal.
func (w *world) api(principal, call string) string {
	w.Helper()
	a := w.do("POST", "/api/v1", call, "Content-Type", "application/json", "Authorization", basic(principal+":s"))
	return fmt.Sprint(a.status, " ", a.body)
}

// TestOperatorsAuthenticate holds which endpoint of a real master of 1.12 is in
// which realm, or in none.
func TestOperatorsAuthenticate(t *testing.T) {
	realms := map[string][]string{
		"": {"/health", "/version", "/redirect", "/system/stats.json", "/help", "/__processes__", "/"},
		"mesos-master-readonly": {
			"/state", "/state-summary", "/frameworks", "/slaves", "/tasks", "/roles", "/flags", "/metrics/snapshot", "/files/debug",
			"/files/browse?path=/", "/files/read?path=/master/log", "/registrar(1)/registry", "/maintenance/status",
		},
		"mesos-master-readwrite": {
			"/logging/toggle", "/profiler/start", "/maintenance/schedule", "/quota", "/weights", "/teardown", "/reserve", "/machine/down",
			"/api/v1", "/api/v1/executor",
		},
		"mesos-master-scheduler": {"/api/v1/scheduler"},
	}
	inWorld(t, operators(t, ""), func(w *world) {
		for realm, paths := range realms {
			for _, path := range paths {
				for _, method := range []string{"GET", "POST"} {
					a := w.do(method, path, "x", "Authorization", basic("op:wrong"))
					want := fmt.Sprintf("Basic realm=%q", realm)
					if realm == "" {
						want = ""
					}
					if (a.status == 401) != (realm != "") || a.header.Get("WWW-Authenticate") != want {
						t.Errorf("%s %s: %d %v", method, path, a.status, a.header)
					}
				}
			}
		}
		if a := w.do("GET", "/nosuch", ""); a.status != 404 {
			t.Errorf("what is not there: %d", a.status)
		}
		w.expect(w.api("op", `{"type":"GET_HEALTH"}`), `200 {"type":"GET_HEALTH","get_health":{"healthy":true}}`)
		w.expect(w.api("op", `{"type":"TEARDOWN","teardown":{"framework_id":{"value":"x"}}}`), "400 No framework found with specified ID")
	})
}

func TestCredentialsWithoutARealmAreRefused(t *testing.T) {
	for _, o := range []Options{
		{OperatorCredentials: map[string]string{"op": "s"}},
		{AuthenticateReadonly: true},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), "need each other") {
			t.Errorf("%v", err)
		}
	}
}

const frameworkRules = `{
	"register_frameworks":[{"principals":{"values":["fw"]},"roles":{"values":["example","tree/%"]}},{"principals":{"values":["fw"]},"roles":{"type":"NONE"}}],
	"run_tasks":[{"principals":{"values":["fw"]},"users":{"values":["nobody"]}},{"principals":{"values":["fw"]},"users":{"type":"NONE"}}],
	"reserve_resources":[{"principals":{"values":["fw"]},"roles":{"type":"NONE"}}],
	"destroy_volumes":[{"principals":{"values":["fw"]},"creator_principals":{"type":"NONE"}}]}`

// TestFrameworksAreRefusedByACLs holds a real master's words.
func TestFrameworksAreRefusedByACLs(t *testing.T) {
	inWorld(t, operators(t, frameworkRules), func(w *world) {
		w.agent("127.0.0.1")
		header := []string{"Authorization", basic("fw:s")}
		subscribe := func(roles string) *fakeScheduler {
			info := strings.Replace(exampleInfo, `"roles":["example"]`, `"roles":[`+roles+`]`, 1)
			return w.open(`{"type":"SUBSCRIBE","subscribe":{"framework_info":{`+info+`}}}`, header...)
		}
		w.expect(subscribe(`"example","other"`).transcript(), "ERROR Not authorized to register framework  with roles { example, other }")
		w.expect(subscribe(`"tree"`).transcript(), "ERROR Not authorized to register framework  with roles { tree }")
		s := subscribe(`"example"`)
		s.started()
		s.transcript()
		call := func(members string) string {
			a := w.do("POST", "/api/v1/scheduler", fmt.Sprintf(`{"framework_id":{"value":%q},%s}`, s.id, members),
				append(header, "Content-Type", "application/json", "Mesos-Stream-Id", s.streamID)...)
			return fmt.Sprint(a.status, " ", a.body)
		}
		update := strings.Replace(exampleInfo, `"roles":["example"]`, `"roles":["example","a"],"principal":"fw"`, 1)
		w.expect(call(`"type":"UPDATE_FRAMEWORK","update_framework":{"framework_info":{"id":{"value":"`+s.id+`"},`+update+`}}`),
			"403 Not authorized to register framework "+s.id+" with roles { a, example }")
		task := func(id, command string) string {
			return `{"name":"t","task_id":{"value":"` + id + `"},"agent_id":{"value":"` + masterID + `-S0"},"resources":[` +
				`{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}},{"name":"mem","type":"SCALAR","scalar":{"value":32}}]` + command + `}`
		}
		w.expect(call(accept("O0",
			`{"type":"LAUNCH","launch":{"task_infos":[`+task("t1", `,"command":{"value":"x"}`)+`,`+task("t2", `,"command":{"value":"x","user":"bin"}`)+`]}}`,
			`{"type":"LAUNCH_GROUP","launch_group":{"executor":{"type":"DEFAULT","executor_id":{"value":"e"}},"task_group":{"tasks":[`+
				task("g1", `,"command":{"value":"x","user":"bin"}`)+`,`+task("g2", `,"command":{"value":"x","user":"nobody"}`)+`]}}}`,
			convert("RESERVE", "r", strings.Replace(reserved("cpus", 1, ""), `"role":"example"`, `"principal":"fw","role":"example"`, 1)),
		)), "202 ")
		var lines []string
		for _, event := range s.events() {
			for _, message := range strings.SplitAfter(event, `"message":"`)[1:] {
				lines = append(lines, strings.SplitN(strings.TrimSuffix(message, `"}}}`), `","`, 2)[0])
			}
		}
		w.expect(strings.Join(lines, "\n"),
			"Principal 'fw' no authorized to launch task t1 of framework "+s.id+" under user 'root'\n"+
				"Principal 'fw' no authorized to launch task t2 of framework "+s.id+" under user 'bin'\n"+
				"Task 'g1' is not authorized tolaunch task g1 of framework "+s.id+" under user 'bin'\n"+
				"Task 'g1' is not authorized tolaunch task g1 of framework "+s.id+" under user 'bin'\n"+
				`Principal 'fw' no authorized to perform action RESERVE_RESOURCES on object {\"value\":\"example\",\"resource\":`+
				`{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1.0},\"allocation_info\":{\"role\":\"example\"},`+
				`\"reservations\":[{\"type\":\"DYNAMIC\",\"role\":\"example\",\"principal\":\"fw\"}]}}`)
	})
}

const guestRules = `{
	"view_frameworks":[{"principals":{"values":["guest"]},"users":{"type":"NONE"}}],
	"view_roles":[{"principals":{"values":["guest"]},"roles":{"type":"NONE"}}],
	"view_flags":[{"principals":{"values":["guest"]},"flags":{"type":"NONE"}}],
	"set_log_level":[{"principals":{"values":["guest"]},"level":{"type":"NONE"}}],
	"get_endpoints":[{"principals":{"values":["guest"]},"paths":{"type":"NONE"}}],
	"teardown_frameworks":[{"principals":{"values":["guest"]},"framework_principals":{"type":"NONE"}}],
	"update_quotas":[{"principals":{"values":["guest"]},"roles":{"type":"NONE"}}],
	"update_weights":[{"principals":{"values":["guest"]},"roles":{"type":"NONE"}}],
	"drain_agents":[{"principals":{"values":["guest"]},"agents":{"type":"NONE"}}],
	"mark_agents_gone":[{"principals":{"values":["guest"]},"agents":{"type":"NONE"}}],
	"unreserve_resources":[{"principals":{"values":["guest"]},"reserver_principals":{"values":["guest"]}},
		{"principals":{"values":["guest"]},"reserver_principals":{"type":"NONE"}}]}`

func TestOperatorsSeeWhatACLsAllow(t *testing.T) {
	inWorld(t, operators(t, guestRules), func(w *world) {
		w.agent("127.0.0.1")
		s := w.open(`{"type":"SUBSCRIBE","subscribe":{"framework_info":{`+exampleInfo+`}}}`, "Authorization", basic("fw:s"))
		s.started()
		watcher := w.openAt("/api/v1", `{"type":"SUBSCRIBE"}`, "Authorization", basic("guest:s"))
		if events := watcher.events(); len(events) != 2 || strings.Contains(events[0], s.id) {
			t.Errorf("the stream begins with %v", events)
		}
		for path, hidden := range map[string]string{
			"/frameworks": s.id, "/state": s.id, "/state-summary": s.id, "/roles": "example", "/slaves": `"role":"example"`,
		} {
			for principal, sees := range map[string]bool{"op": true, "guest": false} {
				a := w.do("GET", path, "", "Authorization", basic(principal+":s"))
				if a.status != 200 || strings.Contains(a.body, hidden) != sees {
					t.Errorf("%s shows %s: %d %s", path, principal, a.status, a.body)
				}
			}
		}
		if a := w.do("GET", "/state", "", "Authorization", basic("guest:s")); strings.Contains(a.body, `"flags"`) {
			t.Error("/state shows the flags")
		}
		for _, path := range []string{"/flags", "/metrics/snapshot", "/files/debug", "/logging/toggle"} {
			if a := w.do("GET", path, "", "Authorization", basic("guest:s")); a.status != 403 || a.body != "403 Forbidden." {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
		if a := w.do("POST", "/flags", "", "Authorization", basic("op:s")); a.status != 405 {
			t.Errorf("POST /flags: %d", a.status)
		}
	})
}

func TestOperatorsDoWhatACLsAllow(t *testing.T) {
	inWorld(t, operators(t, guestRules), func(w *world) {
		w.agent("127.0.0.1")
		s := w.open(`{"type":"SUBSCRIBE","subscribe":{"framework_info":{`+exampleInfo+`}}}`, "Authorization", basic("fw:s"))
		s.started()
		agent := `{"agent_id":{"value":"` + masterID + `-S0"}}`
		mine := func(principal string) string {
			return `{"agent_id":{"value":"` + masterID + `-S0"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":1},` +
				`"reservations":[{"type":"DYNAMIC","role":"example","principal":"` + principal + `"}]}]}`
		}
		w.expect(w.api("op", `{"type":"RESERVE_RESOURCES","reserve_resources":`+mine("op")+`}`), "202 ")
		w.expect(w.api("op", `{"type":"RESERVE_RESOURCES","reserve_resources":`+mine("guest")+`}`),
			"400 Invalid RESERVE operation on agent "+masterID+"-S0 at slave(1)@127.0.0.1:5051 (127.0.0.1):"+
				" A reserve operation was attempted by authenticated principal 'op', which does not match a reserved resource in the request with principal 'guest'")
		const forbidden = "403 403 Forbidden."
		for _, c := range []struct{ call, want string }{
			{`{"type":"UNRESERVE_RESOURCES","unreserve_resources":` + mine("op") + `}`, forbidden},
			{`{"type":"GET_FLAGS"}`, forbidden},
			{`{"type":"SET_LOGGING_LEVEL","set_logging_level":{"level":1,"duration":{"nanoseconds":1}}}`, forbidden},
			{`{"type":"TEARDOWN","teardown":{"framework_id":{"value":"` + s.id + `"}}}`, forbidden},
			{`{"type":"TEARDOWN","teardown":{"framework_id":{"value":"x"}}}`, "400 No framework found with specified ID"},
			{`{"type":"UPDATE_QUOTA","update_quota":{"quota_configs":[{"role":"q","limits":{"cpus":{"value":1}}}]}}`, forbidden},
			{`{"type":"UPDATE_QUOTA","update_quota":{"quota_configs":[{"role":"a/b"}]}}`, "400 Updating quota on nested role 'a/b' is not supported yet"},
			{`{"type":"UPDATE_WEIGHTS","update_weights":{"weight_infos":[{"role":"q","weight":2}]}}`, forbidden},
			{`{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":"x"}}}`, forbidden},
			{`{"type":"MARK_AGENT_GONE","mark_agent_gone":` + agent + `}`, forbidden},
			{`{"type":"DEACTIVATE_AGENT","deactivate_agent":` + agent + `}`, "200 "},
		} {
			w.expect(w.api("guest", c.call), c.want)
		}
		w.expect(w.api("op", `{"type":"UNRESERVE_RESOURCES","unreserve_resources":`+mine("op")+`}`), "202 ")
		w.expect(w.api("op", `{"type":"SET_LOGGING_LEVEL","set_logging_level":{"level":2,"duration":{"nanoseconds":1000000000}}}`), "200 ")
		w.expect(w.api("op", `{"type":"GET_LOGGING_LEVEL"}`), `200 {"type":"GET_LOGGING_LEVEL","get_logging_level":{"level":2}}`)
		w.expect(w.api("op", `{"type":"TEARDOWN","teardown":{"framework_id":{"value":"`+s.id+`"}}}`), "200 ")
	})
}
