package cli

import (
	"net"
	"testing"
)

func TestAgentsListenWhereToolsExpectThem(t *testing.T) {
	// Addresses that no Mesos of this machine is likely to have.
	if at := agentAddress(60000, false); at != "127.0.234.96:5051" {
		t.Errorf("an agent listens at %s", at)
	}
	l, err := net.Listen("tcp", "127.0.234.97:5051")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if at := agentAddress(60001, false); at != "127.0.234.97:0" {
		t.Errorf("an agent whose port is taken listens at %s", at)
	}
	if at := agentAddress(60000, true); at != "127.0.234.96:0" {
		t.Errorf("an agent that comes back listens at %s", at)
	}
}
