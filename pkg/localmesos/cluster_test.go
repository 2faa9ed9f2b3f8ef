package localmesos_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
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

// TestStaleClusters plays a process that was killed with a cluster in it.
func TestStaleClusters(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("cgroups can be made by root only")
	}
	host, err := cgroup.ReadHost()
	if err != nil || host.Version == cgroup.None {
		t.Skip("there is no cgroup file system here")
	}
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("localmesos-%d-test", dead.Process.Pid)
	left, err := host.Create("/"+name+"/agent-1/container", "cpu", "memory", "pids", "freezer")
	if err != nil {
		t.Skip("no cgroup can be made here:", err)
	}
	executor := exec.Command("sleep", "1000")
	if err := executor.Start(); err != nil {
		t.Fatal(err)
	}
	if err := left.Add(executor.Process.Pid); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	dir := filepath.Join(os.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := localmesos.Start(t.Context(), localmesos.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop(context.Background())
	if err := executor.Wait(); err == nil {
		t.Error("the executor lived on")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory is still there")
	}
	for _, d := range left.Dirs() {
		if _, err := os.Stat(d.Path); err == nil {
			t.Errorf("cgroup %s is still there", d.Path)
		}
	}
}
