package app

import "testing"

func TestOwnIP(t *testing.T) {
	for _, c := range []struct {
		options Options
		want    string
	}{
		{Options{IP: "10.1.2.3", AgentEndpoint: "127.0.0.1:5051"}, "10.1.2.3"},
		{Options{IP: "0.0.0.0", AgentEndpoint: "127.0.0.1:5051"}, "127.0.0.1"},
		{Options{AgentPID: "slave(1)@127.0.0.1:5051", AgentEndpoint: "agent.example:5051"}, "127.0.0.1"},
		{Options{AgentPID: "slave(1)@127.0.0.1:5051"}, "127.0.0.1"},
		{Options{AgentEndpoint: "agent.example:5051"}, ""},
		{Options{}, ""},
	} {
		if got := ownIP(c.options); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.options, got, c.want)
		}
	}
}
