package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

func newSchema(t testing.TB) *Schema {
	t.Helper()
	s, err := NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecodeRefusesAsMesosDoes(t *testing.T) {
	s := newSchema(t)
	for _, tt := range []struct {
		name  string
		media MediaType
		into  Message
		body  string
		want  string
	}{
		{"empty body", JSON, &scheduler.Call{}, ``, "Failed to parse body into JSON: syntax error at line 1 near: "},
		{"cut short", JSON, &scheduler.Call{}, `{"type":`, "Failed to parse body into JSON: syntax error at line 1 near: "},
		{"second line", JSON, &scheduler.Call{}, "{\n\"type\": nope}", "Failed to parse body into JSON: syntax error at line 2 near: ope}"},
		{"byte order mark", JSON, &scheduler.Call{}, "\ufeff{}", "Failed to parse body into JSON: syntax error at line 1 near: \ufeff{}"},
		{"trailing text", JSON, &scheduler.Call{}, `{"type":"SUBSCRIBE"} x`, "Failed to parse body into JSON: Parsed JSON included non-whitespace trailing characters:  x"},
		{"trailing character", JSON, &scheduler.Call{}, `{}x`, "Failed to parse body into JSON: Parsed JSON included non-whitespace trailing characters: x"},
		{"infinite number", JSON, &scheduler.Call{}, `{"a":1e999}`, "Failed to parse body into JSON: Value out of range"},
		{"array", JSON, &scheduler.Call{}, `[]`, "Failed to convert JSON into Call protobuf: Expecting a JSON object"},
		{"string", JSON, &scheduler.Call{}, `"x"`, "Failed to convert JSON into Call protobuf: Expecting a JSON object"},
		{"number for an enum", JSON, &scheduler.Call{}, `{"type":1}`, "Failed to convert JSON into Call protobuf: Not expecting a JSON number for field 'type'"},
		{"camel case", JSON, &scheduler.Call{}, `{"subscribe":{"frameworkInfo":{}},"type":"SUBSCRIBE"}`, "Failed to convert JSON into Call protobuf: Missing required fields: subscribe.framework_info"},
		{"several missing", JSON, &executor.Call{}, `{}`, "Failed to convert JSON into Call protobuf: Missing required fields: executor_id, framework_id"},
		{"missing far down", JSON, &scheduler.Call{}, `{"accept":{"operations":[{},{"launch_group":{"executor":{"executor_id":{"value":"e"}},"task_group":{"tasks":[{"name":"a"}]}}}]}}`,
			"Failed to convert JSON into Call protobuf: Missing required fields: accept.operations[1].launch_group.task_group.tasks[0].task_id, accept.operations[1].launch_group.task_group.tasks[0].agent_id"},
		{"missing in a map", JSON, &scheduler.Call{}, `{"update_framework":{"framework_info":{"user":"","name":""},"offer_constraints":{"role_constraints":{"example":{"groups":[{"attribute_constraints":[{"selector":{}}]}]}}}}}`,
			"Failed to convert JSON into Call protobuf: Missing required fields: update_framework.offer_constraints.role_constraints[0].value.groups[0].attribute_constraints[0].predicate"},
		{"bare number in a map of messages", JSON, &scheduler.Call{}, `{"accept":{"operations":[{"launch":{"task_infos":[{"limits":{"cpus":1}}]}}]}}`, "Failed to convert JSON into Call protobuf: Not expecting a JSON number for field 'value'"},
		{"unknown required enum", JSON, &executor.Call{}, `{"update":{"status":{"state":"TASK_BOGUS"}}}`, "Failed to convert JSON into Call protobuf: Failed to find enum for 'TASK_BOGUS'"},
		{"bad base64", JSON, &scheduler.Call{}, `{"message":{"data":"?"}}`, "Failed to convert JSON into Call protobuf: Failed to base64 decode bytes field 'data': Invalid character '?'"},
		{"no number", JSON, &scheduler.Call{}, `{"subscribe":{"framework_info":{"failover_timeout":"x"}}}`, "Failed to convert JSON into Call protobuf: Failed to parse 'x' as a JSON number for field 'failover_timeout': syntax error at line 1 near: x"},
		{"no boolean", JSON, &scheduler.Call{}, `{"subscribe":{"framework_info":{"checkpoint":"1"}}}`, "Failed to convert JSON into Call protobuf: Failed to parse '1' as a JSON boolean for field 'checkpoint': Unexpected JSON type parsed"},
		{"array for one", JSON, &scheduler.Call{}, `{"type":["KILL"]}`, "Failed to convert JSON into Call protobuf: Not expecting a JSON array for field 'type'"},
		{"object for a string", JSON, &scheduler.Call{}, `{"subscribe":{"framework_info":{"name":{}}}}`, "Failed to convert JSON into Call protobuf: Not expecting a JSON object for field 'name'"},
		{"garbage", Protobuf, &scheduler.Call{}, "\xff\xff\xff", "Failed to parse body into Call protobuf"},
		{"JSON as protobuf", Protobuf, &scheduler.Call{}, `{"type":"REVIVE"}`, "Failed to parse body into Call protobuf"},
		{"missing in protobuf", Protobuf, &scheduler.Call{}, "\x32\x00", "Failed to parse body into Call protobuf"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.Decode(tt.media, []byte(tt.body), tt.into, "Call")
			if err == nil {
				t.Fatalf("decoded %q", tt.body)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

func TestDecodeIsLenientAsMesosIs(t *testing.T) {
	s := newSchema(t)
	var call scheduler.Call
	body := `{"bogus":{"a":1},"type":"KILL","type":"SUBSCRIBE","framework_id":null,
		"subscribe":{"force":true,"framework_info":{"name":"n","user":"u","checkpoint":"true","failover_timeout":"12.5",
		"capabilities":[{"type":"MULTI_ROLE"},{"type":"FROM_THE_FUTURE"}]}}}`
	presence, err := s.Decode(JSON, []byte(body), &call, "Call")
	if err != nil {
		t.Fatal(err)
	}
	info := call.Subscribe.FrameworkInfo
	if call.Type != scheduler.Call_SUBSCRIBE || !*info.Checkpoint || *info.FailoverTimeout != 12.5 || call.FrameworkID != nil {
		t.Errorf("got %v", &call)
	}
	if len(info.Capabilities) != 2 || info.Capabilities[1].Type != mesos.FrameworkInfo_Capability_UNKNOWN {
		t.Errorf("got capabilities %v", info.Capabilities)
	}
	for path, want := range map[string]bool{"type": true, "subscribe": true, "kill": false, "framework_id": false} {
		if got := presence.Has(path); got != want {
			t.Errorf("Has(%s) = %v", path, got)
		}
	}
	if presence, err = s.Decode(JSON, []byte(`{"type":"BOGUS"}`), &scheduler.Call{}, "Call"); err != nil || presence.Has("type") {
		t.Errorf("an unknown type: %v, present %v", err, presence.Has("type"))
	}
	// Field 2, number 99.
	if presence, err = s.Decode(Protobuf, []byte("\x10\x63"), &scheduler.Call{}, "Call"); err != nil || presence.Has("type") {
		t.Errorf("an unknown type in protobuf: %v, present %v", err, presence.Has("type"))
	}
}

// TestFieldsOfAnotherWireTypeAreUnknown, as to protobuf's C++.
func TestFieldsOfAnotherWireTypeAreUnknown(t *testing.T) {
	s := newSchema(t)
	for name, body := range map[string]string{
		"a message as a number":     "\x08\x01\x10\x05\x32\x05\x0a\x03\x0a\x01t",
		"a number as bytes":         "\x12\x01\x09\x10\x05\x32\x05\x0a\x03\x0a\x01t",
		"a string within as number": "\x10\x05\x32\x09\x0a\x03\x0a\x01t\x12\x02\x08\x01",
	} {
		var call scheduler.Call
		presence, err := s.Decode(Protobuf, []byte(body), &call, "Call")
		switch {
		case name == "a string within as number":
			if err == nil {
				t.Errorf("%s: a required field was there: %v", name, &call)
			}
		case err != nil || call.Kill == nil || call.Kill.TaskID.Value != "t" || presence.Has("framework_id"):
			t.Errorf("%s: %v, %v", name, &call, err)
		}
	}
}

func TestPresenceLooksIntoLists(t *testing.T) {
	s := newSchema(t)
	launch := func(typ string) string {
		return `{"type":"LAUNCH_GROUP","launch_group":{"executor":{"executor_id":{"value":"e"}` + typ + `},"task_group":{}}}`
	}
	body := `{"type":"ACCEPT","accept":{"operations":[` + launch(``) + `,` + launch(`,"type":"UNKNOWN"`) + `,` + launch(`,"type":"BOGUS"`) + `]}}`
	presence, err := s.Decode(JSON, []byte(body), &scheduler.Call{}, "Call")
	if err != nil {
		t.Fatal(err)
	}
	var got []bool
	for _, operation := range presence.List("accept", "operations") {
		got = append(got, operation.Has("launch_group", "executor", "type"))
	}
	if want := []bool{false, true, false}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := presence.List("decline", "offer_ids"); got != nil {
		t.Errorf("a list that is not there: %v", got)
	}
}

func TestDecodeKeepsOfferConstraints(t *testing.T) {
	s := newSchema(t)
	constraints := `{"role_constraints":{"example":{"groups":[{"attribute_constraints":[{"selector":{"attribute_name":"rack"},"predicate":{"text_equals":{"value":"r1"}}}]}]}}}`
	body := `{"type":"SUBSCRIBE","subscribe":{"framework_info":{"name":"n","user":"u"},"offer_constraints":` + constraints + `}}`
	presence, err := s.Decode(JSON, []byte(body), &scheduler.Call{}, "Call")
	if err != nil {
		t.Fatal(err)
	}
	w := new(Writer)
	if err := presence.WriteJSON(w, "subscribe", "offer_constraints"); err != nil {
		t.Fatal(err)
	}
	if got := string(w.Bytes()); got != constraints {
		t.Errorf("got  %s\nwant %s", got, constraints)
	}
}

func TestEncodeWritesWhatMesosWrites(t *testing.T) {
	s := newSchema(t)
	shell, value := true, "true"
	unlimited := mesos.Value_Scalar{Value: math.Inf(1)}
	for _, tt := range []struct {
		name string
		m    Message
		want string
	}{
		{"heartbeat", &scheduler.Event{Type: scheduler.Event_HEARTBEAT}, `{"type":"HEARTBEAT"}`},
		{"offer", &scheduler.Event{
			Type: scheduler.Event_OFFERS,
			Offers: &scheduler.Event_Offers{Offers: []mesos.Offer{{
				ID:          mesos.OfferID{Value: "m-O8"},
				FrameworkID: mesos.FrameworkID{Value: "m-0002"},
				AgentID:     mesos.AgentID{Value: "m-S0"},
				Hostname:    "127.0.0.1",
				Resources: []mesos.Resource{
					{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 31000, End: 32000}}}},
					{Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 8}, AllocationInfo: &mesos.Resource_AllocationInfo{Role: &value}},
				},
			}}},
		}, `{"type":"OFFERS","offers":{"offers":[{"id":{"value":"m-O8"},"framework_id":{"value":"m-0002"},"agent_id":{"value":"m-S0"},"hostname":"127.0.0.1","resources":[{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":31000,"end":32000}]}},{"name":"cpus","type":"SCALAR","scalar":{"value":8.0},"allocation_info":{"role":"true"}}]}]}}`},
		{"defaults are filled in, UNKNOWN is not", &mesos.ExecutorInfo{
			ExecutorID: mesos.ExecutorID{Value: "e"},
			Command: &mesos.CommandInfo{Value: &value, Environment: &mesos.Environment{
				Variables: []mesos.Environment_Variable{{Name: "A", Value: &value}},
			}},
		}, `{"executor_id":{"value":"e"},"command":{"environment":{"variables":[{"name":"A","type":"VALUE","value":"true"}]},"shell":true,"value":"true"}}`},
		{"order of declaration, not of number", &mesos.ExecutorInfo{
			Type:       mesos.ExecutorInfo_CUSTOM,
			ExecutorID: mesos.ExecutorID{Value: "e"},
			Command:    &mesos.CommandInfo{Shell: &shell},
			Data:       []byte{1, 2, 3, 4},
		}, `{"type":"CUSTOM","executor_id":{"value":"e"},"command":{"shell":true},"data":"AQIDBA=="}`},
		{"map", &mesos.TaskInfo{Limits: map[string]mesos.Value_Scalar{"cpus": unlimited}},
			`{"name":"","task_id":{"value":""},"agent_id":{"value":""},"limits":{"cpus":{"value":"Infinity"}}}`},
		{"a value that mesos-go has no name for", &mesos.MasterInfo{ID: "m", IP: 16777343, Port: new(uint32(5050)),
			Capabilities: []mesos.MasterInfo_Capability{{Type: 3}}},
			`{"id":"m","ip":16777343,"port":5050,"capabilities":[{"type":"QUOTA_V2"}]}`},
		{"operator's answer", &mesosmaster.Response{Type: mesosmaster.Response_GET_HEALTH, GetHealth: &mesosmaster.Response_GetHealth{Healthy: true}},
			`{"type":"GET_HEALTH","get_health":{"healthy":true}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s.Encode(JSON, tt.m)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestTextIsWhatDebugStringPrints(t *testing.T) {
	s := newSchema(t)
	value := "a\"b\n\x01é"
	got := s.Text(&mesos.ExecutorInfo{
		Type:       mesos.ExecutorInfo_CUSTOM,
		ExecutorID: mesos.ExecutorID{Value: "e"},
		Command:    &mesos.CommandInfo{Shell: new(false), Value: &value},
		Resources:  []mesos.Resource{{Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 0.25}}},
	})
	want := "executor_id {\n  value: \"e\"\n}\n" +
		"resources {\n  name: \"cpus\"\n  type: SCALAR\n  scalar {\n    value: 0.25\n  }\n}\n" +
		"command {\n  value: \"a\\\"b\\n\\001\\303\\251\"\n  shell: false\n}\n" +
		"type: CUSTOM\n"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func BenchmarkNewSchema(b *testing.B) {
	for b.Loop() {
		newSchema(b)
	}
}

func TestWriterWritesNumbersAndStringsAsRapidJSON(t *testing.T) {
	for _, tt := range []struct {
		f    float64
		want string
	}{
		{8, "8.0"}, {0, "0.0"}, {-1, "-1.0"}, {0.1, "0.1"}, {1795413375.267564, "1795413375.267564"},
		{1e20, "100000000000000000000.0"}, {1e21, "1e21"}, {1e300, "1e300"}, {1.5e-7, "1.5e-7"}, {0.000001, "0.000001"},
		{math.Inf(1), `"Infinity"`}, {math.Inf(-1), `"-Infinity"`},
	} {
		w := new(Writer)
		if w.Double(tt.f); string(w.Bytes()) != tt.want {
			t.Errorf("got %s, want %s", w.Bytes(), tt.want)
		}
	}
	w := new(Writer)
	w.String("a\"\\/\n\x01\x1f\u00e9<")
	if got, want := string(w.Bytes()), `"a\"\\/\n\u0001\u001Fé<"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzDecodeJSON looks for panics, and for messages that do not survive a
// second round.
func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"type":"SUBSCRIBE","subscribe":{"framework_info":{"name":"n","user":"u","roles":["a"],"failover_timeout":"1.5"}}}`))
	f.Add([]byte(`{"type":"ACCEPT","accept":{"offer_ids":[{"value":"o"}],"operations":[{"type":"LAUNCH","launch":{"task_infos":[{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"s"},"data":"AAEC","limits":{"mem":{"value":1e3}}}]}}]}}`))
	f.Add([]byte(`{"a":"\ud83d\ude00","b":[1,-2.5e3,true,null]}`))
	s := newSchema(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		var call scheduler.Call
		if _, err := s.Decode(JSON, body, &call, "Call"); err != nil {
			return
		}
		text, err := s.Encode(JSON, &call)
		if err != nil {
			t.Fatalf("cannot encode what was decoded: %v", err)
		}
		var again scheduler.Call
		if _, err := s.Decode(JSON, text, &again, "Call"); err != nil {
			t.Fatalf("cannot decode %s: %v", text, err)
		}
		second, err := s.Encode(JSON, &again)
		if err != nil {
			t.Fatal(err)
		}
		if !sameJSON(text, second) {
			t.Errorf("first  %s\nsecond %s", text, second)
		}
	})
}

// sameJSON compares without the order of map entries, which Go does not keep.
func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return bytes.Equal(a, b)
	}
	return cmp.Equal(x, y)
}

func FuzzDecodeProtobuf(f *testing.F) {
	f.Add([]byte("\x10\x01\x1a\x22\x0a\x20\x0a\x04root\x12\x07example\x62\x07example\x52\x02\x08\x06\x52\x02\x08\x05"))
	s := newSchema(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		var call scheduler.Call
		if _, err := s.Decode(Protobuf, body, &call, "Call"); err != nil {
			return
		}
		if _, err := s.Encode(JSON, &call); err != nil {
			t.Errorf("cannot encode what was decoded: %v", err)
		}
	})
}

// FuzzParseJSON compares with encoding/json: what that takes, this takes.
func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,"\u00e9",{"b":null}],"c":true}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := parseJSON(text)
		if err != nil && json.Valid(text) && !bytes.Contains(text, []byte(`\u`)) && len(text) < maxJSONDepth &&
			err.Error() != errOutOfRange.Error() {
			t.Errorf("%q is JSON, but: %v", text, err)
		}
	})
}
