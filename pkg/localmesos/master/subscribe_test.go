package master

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestSubscribedThenHeartbeats(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		s := w.open(`{"type":"SUBSCRIBE","subscribe":{"framework_info":{` + exampleInfo + `}}}`)
		if s.status != 200 || s.header.Get("Content-Type") != "application/json" || len(s.streamID) != 36 {
			t.Errorf("got %d, %v", s.status, s.header)
		}
		want := `{"type":"SUBSCRIBED","subscribed":{"framework_id":{"value":"` + masterID + `-0000"},"heartbeat_interval_seconds":15.0,` +
			`"master_info":{"id":"` + masterID + `","ip":16777343,"port":5050,"pid":"master@127.0.0.1:5050","hostname":"127.0.0.1","version":"1.11.0",` +
			`"address":{"hostname":"127.0.0.1","ip":"127.0.0.1","port":5050},"capabilities":[{"type":"AGENT_UPDATE"},{"type":"AGENT_DRAINING"},{"type":"QUOTA_V2"}]}}}`
		w.expect(strings.Join(s.events(), "\n"), want+"\n"+`{"type":"HEARTBEAT"}`)
		w.pass(14 * time.Second)
		w.expect(s.transcript(), "")
		w.pass(time.Second)
		w.expect(s.transcript(), "HEARTBEAT")
		w.pass(15 * time.Second)
		w.expect(s.transcript(), "HEARTBEAT")
	})
}

// TestBadSubscriptions has two levels: what is malformed is a 400, what is well
// formed but wrong is a 200 with one ERROR event.
func TestBadSubscriptions(t *testing.T) {
	const multi = `"capabilities":[{"type":"MULTI_ROLE"}]`
	for _, tt := range []struct {
		call   string // the call's members beside its type
		status int
		want   string
	}{
		{``, 400, "Failed to validate scheduler::Call: Expecting 'subscribe' to be present"},
		{`"subscribe":{}`, 400, "Failed to convert JSON into Call protobuf: Missing required fields: subscribe.framework_info"},
		{`"subscribe":{"framework_info":{"name":"x"}}`, 400, "Failed to convert JSON into Call protobuf: Missing required fields: subscribe.framework_info.user"},
		{`"framework_id":{"value":"a"},"subscribe":{"framework_info":{"user":"u","name":"x"}}`, 400, "Failed to validate scheduler::Call: 'framework_id' differs from 'subscribe.framework_info.id'"},
		{`"subscribe":{"framework_info":{"user":"u","name":"x","id":{"value":"a"}}}`, 400, "Failed to validate scheduler::Call: 'framework_id' differs from 'subscribe.framework_info.id'"},
		{`"framework_id":{"value":"a/b"},"subscribe":{"framework_info":{"user":"u","name":"x","id":{"value":"a/b"}}}`, 200, "'a/b' contains invalid characters"},
		{`"subscribe":{"framework_info":{"user":"u","name":"x","roles":["example"]}}`, 200, "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"},
		{`"subscribe":{"framework_info":{"user":"u","name":"x","role":"example",` + multi + `}}`, 200, "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"},
		{`"subscribe":{"framework_info":{"user":"u","name":"x","role":"a b"}}`, 200, "'FrameworkInfo.role' is not a valid role: Role component 'a b' is invalid because it contains backspace or whitespace"},
		{`"subscribe":{"framework_info":{"user":"u","name":"x","roles":["a","a"],` + multi + `}}`, 200, "'FrameworkInfo.roles' contains duplicate items: { a }"},
		{`"subscribe":{"framework_info":{"user":"u","name":"x","roles":["a/./b"],` + multi + `}}`, 200, "'FrameworkInfo.roles' contains invalid role: Role 'a/./b' cannot include '.' as a component"},
		{`"subscribe":{"framework_info":{"user":"u","name":"x","failover_timeout":1e300,` + multi + `}}`, 200, "The framework failover_timeout (1e+300) is invalid"},
		{`"subscribe":{"framework_info":{"user":"u","name":"x","failover_timeout":"Infinity",` + multi + `}}`, 200, "The framework failover_timeout (inf) is invalid"},
		{`"subscribe":{"offer_constraints":{"role_constraints":{"b":{"groups":[{}]}}},"framework_info":{"user":"u","name":"x","roles":["a"],` + multi + `}}`, 200,
			"Offer constraints specify `role_constraints` for a role 'b'not contained in the set of roles"},
		{`"subscribe":{"suppressed_roles":["other"],"framework_info":{"user":"u","name":"x","roles":["a"],` + multi + `}}`, 200, "Suppressed roles { other } are not contained in the set of roles"},
		{`"subscribe":{"offer_constraints":{"role_constraints":{"a":{"groups":[{"attribute_constraints":[{"selector":{"attribute_name":"rack"},"predicate":{"text_matches":{"regex":"("}}}]}]}}},` +
			`"framework_info":{"user":"u","name":"x","roles":["a"],` + multi + `}}`, 200,
			"Offer constraints are not valid: A role a has an invalid 'AttributeConstraint': Failed to construct regex from pattern '(': missing ): ("},
	} {
		inWorld(t, Options{}, func(w *world) {
			s := w.open(strings.Replace(`{"type":"SUBSCRIBE",`+tt.call+`}`, ",}", "}", 1))
			if !s.closed() || s.status != tt.status {
				t.Errorf("%s: %d, closed %v", tt.call, s.status, s.closed())
			}
			if tt.status == 200 {
				w.expect(s.transcript(), "ERROR "+tt.want)
			} else {
				w.expect(s.in.String(), tt.want)
			}
		})
	}
}

func TestOddSubscriptionsThatAreFine(t *testing.T) {
	for _, info := range []string{
		`"user":"","name":""`,
		`"user":"no-such-user","name":"x","capabilities":[{"type":"MULTI_ROLE"}]`,
		`"user":"u","name":"x","roles":["*"],"capabilities":[{"type":"MULTI_ROLE"}]`,
		`"user":"u","name":"x","roles":["a*","a/b"],"capabilities":[{"type":"MULTI_ROLE"},{"type":"MULTI_ROLE"},{"type":"BOGUS"}]`,
		`"user":"u","name":"x","failover_timeout":-1`,
		`"user":"u","name":"x","failover_timeout":"60","webui_url":null`,
	} {
		inWorld(t, Options{}, func(w *world) { w.subscribe(info) })
	}
}

func TestASecondSubscriptionWins(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		first := w.subscribe(exampleInfo)
		w.expect(first.transcript(), `OFFERS O0 S0 example ports:31000-32000,cpus:8,mem:8192,disk:20000`)
		second := first.resubscribe(exampleInfo)
		w.expect(first.transcript(), "ERROR Framework failed over")
		if !first.closed() || second.id != first.id {
			t.Errorf("the first is closed: %v; the second is %s", first.closed(), second.id)
		}
		// The offer was withdrawn without RESCIND; the next comes with the tick.
		w.expect(second.transcript(), "")
		w.pass(time.Second)
		w.expect(second.transcript(), `OFFERS O1 S0 example ports:31000-32000,cpus:8,mem:8192,disk:20000`)
		a := first.call(`"type":"REVIVE"`)
		w.expect(fmt.Sprint(a.status, " ", a.body), fmt.Sprintf("400 The stream ID '%s' included in this request didn't match the stream ID currently associated with framework ID %s", first.streamID, first.id))
	})
}

func TestWhatAResubscriptionChanges(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		s := w.subscribe(`"user":"root","name":"example","checkpoint":true,"failover_timeout":60,"principal":"p"`)
		again := s.resubscribe(`"user":"nobody","name":"renamed","checkpoint":false,"failover_timeout":30,"principal":"p","webui_url":"http://x/"`)
		shown := w.get("/frameworks")
		for _, want := range []string{`"name":"renamed"`, `"user":"root"`, `"checkpoint":true`, `"failover_timeout":30.0`, `"webui_url":"http://x/"`} {
			if !strings.Contains(shown, want) {
				t.Errorf("%s is not in %s", want, shown)
			}
		}
		id := fmt.Sprintf(`{"value":%q}`, s.id)
		other := w.open(`{"type":"SUBSCRIBE","framework_id":` + id + `,"subscribe":{"framework_info":{"id":` + id + `,"user":"root","name":"x","principal":"q"}}}`)
		w.expect(other.transcript(), "ERROR Changing framework's principal is not allowed.")
		if again.closed() {
			t.Error("the refused subscription ended the one before")
		}
	})
}

func TestFrameworkIDs(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		// An ID of another master's time is taken.
		mine := `{"type":"SUBSCRIBE","framework_id":{"value":"my-own-id"},"subscribe":{"framework_info":{"id":{"value":"my-own-id"},` + exampleInfo + `}}}`
		s := w.open(mine)
		s.started()
		if s.id != "my-own-id" {
			t.Errorf("the ID is %s", s.id)
		}
		s.must(`"type":"TEARDOWN"`)
		if !s.closed() {
			t.Error("the stream is still open")
		}
		w.expect(w.open(mine).transcript(), "ERROR Framework has been removed")
		a := s.call(`"type":"REVIVE"`)
		w.expect(fmt.Sprint(a.status, " ", a.body), "400 Framework cannot be found")
		// An empty ID is none.
		empty := w.open(`{"type":"SUBSCRIBE","framework_id":{"value":""},"subscribe":{"framework_info":{"id":{"value":""},` + exampleInfo + `}}}`)
		empty.started()
		if empty.id != masterID+"-0000" {
			t.Errorf("the ID is %s", empty.id)
		}
	})
}

func TestFailoverTimeout(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		s := w.subscribe(exampleInfo)
		s.cancel()
		w.settle()
		revive := func() string { a := s.call(`"type":"REVIVE"`); return fmt.Sprint(a.status, " ", a.body) }
		w.expect(revive(), "403 Framework is not subscribed")
		w.pass(59 * time.Second)
		again := s.resubscribe(exampleInfo)
		w.pass(61 * time.Second)
		w.expect(again.transcript(), strings.Repeat("HEARTBEAT\n", 4))
		again.cancel()
		w.pass(61 * time.Second)
		w.expect(revive(), "400 Framework cannot be found")

		short := w.subscribe(`"user":"root","name":"x"`)
		short.cancel()
		w.settle()
		a := short.call(`"type":"REVIVE"`)
		w.expect(fmt.Sprint(a.status, " ", a.body), "400 Framework cannot be found")
	})
}

func TestStreamIDs(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		s := w.subscribe(exampleInfo)
		post := func(body string, headers ...string) string {
			a := w.do("POST", "/api/v1/scheduler", body, append([]string{"Content-Type", "application/json"}, headers...)...)
			return fmt.Sprint(a.status, " ", a.body)
		}
		revive := fmt.Sprintf(`{"type":"REVIVE","framework_id":{"value":%q}}`, s.id)
		w.expect(post(revive), "400 All non-subscribe calls should include the 'Mesos-Stream-Id' header")
		w.expect(post(revive, "Mesos-Stream-Id", ""), "400 The stream ID '' included in this request didn't match the stream ID currently associated with framework ID "+s.id)
		w.expect(post(revive, "mesos-stream-id", s.streamID), "202 ")
		w.expect(post(`{"type":"REVIVE"}`, "Mesos-Stream-Id", s.streamID), "400 Failed to validate scheduler::Call: Expecting 'framework_id' to be present")
		w.expect(post(`{"type":"REVIVE","framework_id":{"value":"never-seen"}}`), "400 Framework cannot be found")
		w.expect(post(`{"type":"BOGUS"}`), "400 Failed to validate scheduler::Call: Expecting 'type' to be present")
		w.expect(post(`{"type":"UNKNOWN"}`), "400 Failed to validate scheduler::Call: Expecting 'framework_id' to be present")
		w.expect(post(`{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n"}}}`, "Mesos-Stream-Id", "x"), "400 Subscribe calls should not include the 'Mesos-Stream-Id' header")
		w.expect(post(`{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n"}}}`, "Accept", "text/html", "Mesos-Stream-Id", "x"), "406 Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'")
	})
}

func TestCallsNeedTheirMessage(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		s := w.subscribe(exampleInfo)
		for _, name := range []string{
			"accept", "decline", "kill", "shutdown", "acknowledge", "reconcile", "message", "request", "update_framework",
			"accept_inverse_offers", "decline_inverse_offers", "reconcile_operations", "acknowledge_operation_status",
		} {
			a := s.call(fmt.Sprintf(`"type":%q`, strings.ToUpper(name)))
			w.expect(fmt.Sprint(a.status, " ", a.body), fmt.Sprintf("400 Failed to validate scheduler::Call: Expecting '%s' to be present", name))
		}
		for _, name := range []string{"REVIVE", "SUPPRESS"} {
			s.must(fmt.Sprintf(`"type":%q`, name))
		}
		s.must(`"type":"REQUEST","request":{}`)
		s.must(`"type":"ACCEPT_INVERSE_OFFERS","accept_inverse_offers":{}`)
		s.must(`"type":"DECLINE_INVERSE_OFFERS","decline_inverse_offers":{}`)
		a := s.call(`"type":"ACKNOWLEDGE","acknowledge":{"agent_id":{"value":"a"},"task_id":{"value":"t"},"uuid":"AAAA"}`)
		w.expect(fmt.Sprint(a.status, " ", a.body), "400 Failed to validate scheduler::Call: Not a valid UUID")
	})
}

func TestUpdateFramework(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		update := func(change string, with ...string) string {
			old, changed, _ := strings.Cut(change, " -> ")
			info := strings.Replace(exampleInfo, old, changed, 1)
			a := s.call(fmt.Sprintf(`"type":"UPDATE_FRAMEWORK","update_framework":{"framework_info":{"id":{"value":%q},%s}%s}`, s.id, info, strings.Join(with, "")))
			return fmt.Sprint(a.status, " ", a.body)
		}
		constrain := func(role, groups string) string {
			return fmt.Sprintf(`,"offer_constraints":{"role_constraints":{%q:{"groups":[%s]}}}`, role, groups)
		}
		w.expect(update(""), "200 ")
		w.expect(update(`"root" -> "nobody"`), "400 FrameworkInfo update is not valid: Updating 'FrameworkInfo.user' is unsupported; attempted to update from 'root' to 'nobody'")
		w.expect(update(`"checkpoint":true -> "checkpoint":false`), "400 FrameworkInfo update is not valid: Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from 'true' to 'false'")
		w.expect(update(`"user" -> "principal":"p","user"`), "400 FrameworkInfo update is not valid: Changing framework's principal is not allowed.")
		w.expect(update(`["example"] -> ["a b"]`), "400 Supplied FrameworkInfo is not valid: 'FrameworkInfo.roles' contains invalid role: Role component 'a b' is invalid because it contains backspace or whitespace")
		w.expect(update("", `,"suppressed_roles":["zz"]`), "400 'UpdateFramework' call is not valid: Suppressed roles { zz } are not contained in the set of roles")
		w.expect(update("", constrain("example", "")), "400 'UpdateFramework' call is not valid: Offer constraints are not valid: 'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role example")
		w.expect(update("", constrain("zz", `{"attribute_constraints":[{"selector":{"attribute_name":"rack"},"predicate":{"exists":{}}}]}`)), "400 'UpdateFramework' call is not valid: Offer constraints specify `role_constraints` for a role 'zz'not contained in the set of roles")
		w.expect(s.transcript(), "")

		// The offers of a role that goes are rescinded.
		w.expect(update(`["example"] -> ["second"]`), "200 ")
		w.pass(time.Second)
		w.expect(s.transcript(), `
			RESCIND O0
			OFFERS O1 S0 second ports:31000-32000,cpus:8,mem:8192,disk:20000`)
	})
}
