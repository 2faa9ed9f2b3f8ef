package wire_test

import (
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

func TestExtend(t *testing.T) {
	s, err := wire.NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	agent := func(name string) mesosmaster.Response_GetAgents_Agent {
		return mesosmaster.Response_GetAgents_Agent{AgentInfo: mesos.AgentInfo{Hostname: name}, Version: "1"}
	}
	response := &mesosmaster.Response{Type: mesosmaster.Response_GET_AGENTS, GetAgents: &mesosmaster.Response_GetAgents{
		Agents: []mesosmaster.Response_GetAgents_Agent{agent("a"), agent("b")},
	}}
	more, err := s.Extend(response, wire.Addition{
		Path: []string{"get_agents", "agents", "agent_info"}, Field: "checkpoint", Value: func(n int) []byte {
			return [][]byte{nil, {1}}[n]
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.Encode(wire.JSON, more)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"type":"GET_AGENTS","get_agents":{"agents":[` +
		`{"agent_info":{"hostname":"a","port":5051},"active":false,"version":"1"},` +
		`{"agent_info":{"hostname":"b","port":5051,"checkpoint":true},"active":false,"version":"1"}],"recovered_agents":[]}}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	raw, err := s.Encode(wire.Protobuf, more)
	if err != nil {
		t.Fatal(err)
	}
	if err := new(mesosmaster.Response).Unmarshal(raw); err != nil {
		t.Errorf("mesos-go cannot read it: %v", err)
	}
	for _, a := range []wire.Addition{
		{Path: []string{"get_nothing"}, Field: "x"},
		{Path: []string{"get_agents"}, Field: "x"},
	} {
		if _, err := s.Extend(response, a); err == nil {
			t.Errorf("%v: taken", a.Path)
		}
	}
}
