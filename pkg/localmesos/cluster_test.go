package localmesos_test

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
)

func TestClusterLeavesNothing(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	before := runtime.NumGoroutine()
	c, err := localmesos.Start(t.Context(), localmesos.Options{Agents: 3})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range c.Agents() {
		seen[a.ID().Value] = true
	}
	if len(seen) != 3 {
		t.Errorf("three agents have the IDs %v", seen)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines are left", n-before)
	}
}

func TestClustersThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		options localmesos.Options
		want    string
	}{
		{localmesos.Options{Agent: agent.Options{WorkDir: "/tmp/x"}}, "leave them empty"},
		{localmesos.Options{Agents: 2, Agent: agent.Options{Listen: "127.0.0.1:5051"}}, "2 agents cannot all listen on 127.0.0.1:5051"},
		{localmesos.Options{Agent: agent.Options{Resources: "cpus:many"}}, "agent 1 of 1: cannot make an agent: cannot read resources"},
	} {
		cluster, err := localmesos.Start(t.Context(), c.options)
		if err == nil {
			cluster.Stop(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one that says %q", err, c.want)
		}
	}
}
