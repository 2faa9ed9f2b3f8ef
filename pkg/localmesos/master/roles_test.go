package master

import (
	"net/http"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

func TestRolesShowWhatThoseWithinThemHave(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(strings.Replace(exampleInfo, `["example"]`, `["eng/web"]`, 1))
		s.must(strings.ReplaceAll(accept("O0", s.group(a, "exec-1", "t1")), `"example"`, `"eng/web"`))
		const used = `"resources":{"cpus":0.3,"disk":42.0,"mem":96.0},"allocated":{"cpus":0.3,"disk":42.0,"mem":96.0},"offered":{},"reserved":{}`
		w.expect(w.get("/roles"), `{"roles":[`+
			`{"name":"eng","weight":1.0,"quota":{"role":"eng","guarantee":{},"limit":{},"consumed":{"cpus":0.3,"disk":42.0,"mem":96.0}},`+used+`,"frameworks":[]},`+
			`{"name":"eng/web","weight":1.0,"quota":{"role":"eng/web","guarantee":{},"limit":{},"consumed":{"cpus":0.3,"disk":42.0,"mem":96.0}},`+used+`,"frameworks":["`+s.id+`"]}]}`)
		// A role counts as long as something of it is in use.
		s.resubscribe(strings.Replace(exampleInfo, `["example"]`, `["other"]`, 1))
		if got := w.get("/roles"); !strings.Contains(got, used+`,"frameworks":["`+s.id+`"]`) {
			t.Errorf("/roles shows %s", got)
		}
	})
}

func TestOnlyRolesOfTheWhitelist(t *testing.T) {
	inWorld(t, Options{Roles: []string{"example"}, NoRootSubmissions: true}, func(w *world) {
		refused := func(info, want string) {
			t.Helper()
			w.expect(w.open(`{"type":"SUBSCRIBE","subscribe":{"framework_info":{`+info+`}}}`).transcript(), want)
		}
		refused(exampleInfo, "ERROR User 'root' is not allowed to run frameworks without --root_submissions set")
		plain := strings.Replace(exampleInfo, `"root"`, `"nobody"`, 1)
		refused(strings.Replace(plain, `["example"]`, `["z","example","b"]`, 1), "ERROR Roles { b, z } are not present in the master's --roles")
		s := w.subscribe(strings.Replace(plain, `["example"]`, `["example","*"]`, 1))
		a := s.call(`"type":"UPDATE_FRAMEWORK","update_framework":{"framework_info":{"id":{"value":"` + s.id + `"},` + strings.Replace(plain, `["example"]`, `["z"]`, 1) + `}}`)
		w.expect(a.body, "Supplied FrameworkInfo is not valid: Roles { z } are not present in the master's --roles")
		w.expect(w.do(http.MethodPut, "/weights", `[{"role":"z","weight":2}]`).body, "Failed to validate update weights request JSON: Unknown role 'z'")
		if got := w.get("/roles"); strings.Count(got, `"name"`) != 2 {
			t.Errorf("/roles shows %s", got)
		}
	})
}

func TestDomains(t *testing.T) {
	in := func(region string) *mesos.DomainInfo {
		return &mesos.DomainInfo{FaultDomain: &mesos.DomainInfo_FaultDomain{
			Region: mesos.DomainInfo_FaultDomain_RegionInfo{Name: region}, Zone: mesos.DomainInfo_FaultDomain_ZoneInfo{Name: "z"},
		}}
	}
	for _, tt := range []struct {
		name    string
		options Options
		agent   *mesos.DomainInfo
		heard   string
		offered string
	}{
		{"none anywhere", Options{}, nil, "registered S0", "OFFERS O0 S0 example " + whole},
		{"the agent's alone", Options{}, in("here"), "", ""},
		{"the master's alone", Options{Domain: in("here")}, nil, "registered S0", "OFFERS O0 S0 example " + whole},
		{"required", Options{Domain: in("here"), RequireAgentDomain: true}, nil, "", ""},
		{"another region", Options{Domain: in("here")}, in("there"), "registered S0", ""},
		{"the same region", Options{Domain: in("here")}, in("here"), "registered S0", "OFFERS O0 S0 example " + whole},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, tt.options, func(w *world) {
				s := w.subscribe(exampleInfo)
				info := agentInfo("127.0.0.1", 8)
				info.Domain = tt.agent
				a := &fakeAgent{w: w}
				w.m.RegisterAgent(a, link.Registration{Info: info, PID: "slave(1)@127.0.0.1:5051"})
				w.expect(a.heard(), tt.heard)
				w.expect(s.transcript(), tt.offered)
				if shown := strings.Contains(w.get("/state"), `"fault_domain":{"region":{"name":"`); shown != (tt.options.Domain != nil) {
					t.Errorf("/state shows a domain: %t", shown)
				}
			})
		})
	}
}
