package master

import (
	"fmt"
	"strings"
	"testing"
)

// TestVolumesAreResized holds what a real master of 1.12 answered to the same
// calls.
func TestVolumesAreResized(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		call := func(kind, members string) string {
			a := w.do("POST", "/api/v1", fmt.Sprintf(`{"type":%q,%q:{"agent_id":{"value":"%s-S0"},%s}}`, kind, strings.ToLower(kind), masterID, members),
				"Content-Type", "application/json")
			return fmt.Sprint(a.status, " ", a.body)
		}
		volume := func(mb float64) string { return reserved("disk", mb, exampleVolume) }
		grow := func(volume, addition string) string {
			return call("GROW_VOLUME", `"volume":`+volume+`,"addition":`+addition)
		}
		shrink := func(volume string, by float64) string {
			return call("SHRINK_VOLUME", fmt.Sprintf(`"volume":%s,"subtract":{"value":%v}`, volume, by))
		}
		on := " on agent " + masterID + "-S0 at slave(1)@127.0.0.1:5051 (127.0.0.1): "
		w.expect(call("RESERVE_RESOURCES", `"resources":[`+reserved("disk", 100, "")+`]`), "202 ")
		w.expect(call("CREATE_VOLUMES", `"volumes":[`+volume(50)+`]`), "202 ")
		for _, c := range []struct{ got, want string }{
			{grow(volume(50), reserved("disk", 10, "")), "202 "},
			{grow(volume(60), `{"name":"disk","type":"SCALAR","scalar":{"value":10}}`),
				"400 Invalid GROW_VOLUME operation" + on + "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"},
			{grow(volume(60), reserved("cpus", 1, "")),
				"400 Invalid GROW_VOLUME operation" + on + "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"},
			{grow(volume(60), reserved("disk", 0, "")),
				"400 Invalid GROW_VOLUME operation" + on + "The size of 'GrowVolume.addition' field must be greater than zero"},
			{grow(reserved("disk", 5, ""), reserved("disk", 10, "")),
				"400 Invalid GROW_VOLUME operation" + on + "Invalid persistent volume in the 'GrowVolume.volume' field: Resource disk(reservations: [(DYNAMIC,example)]):5 does not have DiskInfo"},
			{shrink(volume(60), 20), "202 "},
			{shrink(volume(40), 0), "400 Invalid SHRINK_VOLUME operation" + on + "Value of 'ShrinkVolume.subtract' must be greater than zero"},
			{shrink(volume(40), 40), "400 Invalid SHRINK_VOLUME operation" + on + "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'"},
			{shrink(reserved("disk", 40, ""), 5),
				"400 Invalid SHRINK_VOLUME operation" + on + "Invalid persistent volume in the 'ShrinkVolume.volume' field: Resource disk(reservations: [(DYNAMIC,example)]):40 does not have DiskInfo"},
		} {
			w.expect(c.got, c.want)
		}
		if got := shrink(volume(50), 5); !strings.HasPrefix(got, "409 cpus:8; mem:8192; disk:") || !strings.Contains(got, "does not contain") {
			t.Errorf("a volume of another size: %s", got)
		}
		a := w.do("POST", "/api/v1", `{"type":"GROW_VOLUME","grow_volume":{"volume":`+volume(40)+`,"addition":`+reserved("disk", 1, "")+`}}`, "Content-Type", "application/json")
		w.expect(fmt.Sprint(a.status, " ", a.body), "400 Failed to validate master::Call: Expecting 'agent_id' to be present; only agent default resources are supported right now")
		w.expect(call("DESTROY_VOLUMES", `"volumes":[`+volume(40)+`]`), "202 ")
	})
}

// TestFrameworksResizeVolumes holds that what becomes of a resized volume is there
// with the next offer only.
func TestFrameworksResizeVolumes(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		volume := func(mb float64) string { return reserved("disk", mb, exampleVolume) }
		s.must(accept("O0",
			convert("RESERVE", "reserve", reserved("disk", 100, "")),
			convert("CREATE", "create", volume(50)),
			`{"type":"GROW_VOLUME","id":{"value":"grow"},"grow_volume":{"volume":`+volume(50)+`,"addition":`+reserved("disk", 10, "")+`}}`,
			`{"type":"SHRINK_VOLUME","id":{"value":"too early"},"shrink_volume":{"volume":`+volume(60)+`,"subtract":{"value":5}}}`,
			`{"type":"GROW_VOLUME","id":{"value":"nothing"}}`,
			`{"type":"CREATE_DISK","id":{"value":"disk"},"create_disk":{"target_type":"MOUNT","source":{"name":"disk","type":"SCALAR","scalar":{"value":1}}}}`,
			`{"type":"DESTROY_DISK","id":{"value":"no disk"}}`,
		))
		var lines []string
		for line := range strings.Lines(s.statuses()) {
			lines = append(lines, line)
		}
		w.expect(strings.Join(lines[:2], ""),
			"nothing OPERATION_ERROR Operation attempted with invalid resources: A GROW_VOLUME operation must have the Offer.Operation.grow_volume field set\n"+
				"no disk OPERATION_ERROR Operation attempted with invalid resources: A DESTROY_DISK offer operation must have the Offer.Operation.destroy_disk field set.\n")
		w.expect(strings.Join(lines[3:], ""),
			"disk OPERATION_ERROR 'source' is not managed by a resource provider; on agent "+masterID+"-S0 at slave(1)@127.0.0.1:5051 (127.0.0.1)\n")
		if !strings.HasPrefix(lines[2], "too early OPERATION_ERROR Invalid SHRINK_VOLUME operation: ") {
			t.Errorf("%q", lines)
		}
		if slaves := w.get("/slaves"); !strings.Contains(slaves, `"scalar":{"value":60.0}`) {
			t.Errorf("the volume has not grown: %s", slaves)
		}
	})
}

// TestOlderQuotaCalls holds what a real master of 1.12 answered to the same calls.
func TestOlderQuotaCalls(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		api := func(call string) string {
			a := w.do("POST", "/api/v1", call, "Content-Type", "application/json")
			return fmt.Sprint(a.status, " ", a.body)
		}
		set := func(role, guarantee string) string {
			return api(`{"type":"SET_QUOTA","set_quota":{"quota_request":{"role":"` + role + `","guarantee":[` + guarantee + `]}}}`)
		}
		cpus := func(n float64) string { return fmt.Sprintf(`{"name":"cpus","type":"SCALAR","scalar":{"value":%v}}`, n) }
		http := func(method, path, body string) string {
			a := w.do(method, path, body)
			return fmt.Sprint(a.status, " ", a.body)
		}
		const invalid = "400 Failed to validate set quota request: "
		for _, c := range []struct{ got, want string }{
			{set("a", cpus(1)), "200 "},
			{set("a", cpus(1)), invalid + "Cannot set quota for role 'a' which already has quota"},
			{set("b", ""), invalid + "QuotaInfo with empty 'guarantee'"},
			{set("b", cpus(1)+","+cpus(1)), invalid + "QuotaInfo contains duplicate resource name 'cpus'"},
			{set("b", `{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":2}]}}`), invalid + "QuotaInfo must not include non-scalar resources"},
			{set("b", `{"name":"cpus","type":"SCALAR","scalar":{"value":1},"role":"x"}`), invalid + "QuotaInfo must not contain any ReservationInfo"},
			{set("b/c", cpus(1)), invalid + "Invalid quota configuration. Parent role 'b' with guarantees ({}) does not contain the sum of its children's guarantees (cpus:1)"},
			{set("a/c", cpus(1)), "400 Setting quota on nested role 'a/c' is not supported yet"},
			{set("b", cpus(100)), "409 Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total quota guarantees 'cpus:101' exceed cluster capacity 'cpus:8; disk:20000; mem:8192'"},
			{api(`{"type":"REMOVE_QUOTA","remove_quota":{"role":"a"}}`), "200 "},
			{api(`{"type":"REMOVE_QUOTA","remove_quota":{"role":"a"}}`), "400 Failed to remove quota: Role 'a' has no quota set"},
			{http("POST", "/quota", `{"role":"z","guarantee":[`+cpus(1)+`]}`), "200 "},
			{http("POST", "/quota", `[]`), "400 Failed to parse set quota request JSON '[]': Unexpected JSON type parsed"},
			{http("POST", "/quota", `{"role":1}`), "400 Failed to validate set quota request JSON '{\"role\":1}': Not expecting a JSON number for field 'role'"},
			{http("DELETE", "/quota/z", ""), "200 "},
			{http("DELETE", "/quota/z", ""), "400 Failed to remove quota for path '/master/quota/z': Role 'z' has no quota set"},
			{http("DELETE", "/quota", ""), "400 Failed to parse remove quota request for path '/master/quota': expected 3 tokens, found 2 tokens"},
			{http("PUT", "/quota", ""), "405 405 Method Not Allowed. Expecting one of { 'GET', 'POST', 'DELETE' }, but received 'PUT'."},
			{http("GET", "/quota", ""), "200 {}"},
		} {
			w.expect(c.got, c.want)
		}
	})
}
