package integration

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const sleeps = `
id: /sleeps
instances: 2
workloads:
  - name: main
    cmd: exec sleep 1000
    resources: {cpus: 0.01, mem: 16}
`

// fails starts the scheduler again, with a master, and returns what it says
// before it ends with status 1.
func (s *tandemScheduler) fails(master string) string {
	s.t.Helper()
	p := exec.CommandContext(s.t.Context(), filepath.Join(bin, "tandem"), append([]string{"scheduler", "--master", master,
		"--listen", "127.0.0.1:0", "--state", filepath.Join(s.dir, "state"), "--name", s.name}, s.flags...)...)
	said, err := p.CombinedOutput()
	if err == nil || p.ProcessState.ExitCode() != 1 {
		s.t.Fatalf("the scheduler ended with %v, not with status 1:\n%s", err, said)
	}
	return string(said)
}

// TestAStateOfAnotherCluster is not registered there: its tasks would be launched
// a second time.
func TestAStateOfAnotherCluster(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run(sleeps)
	before := running(t, s, "/sleeps", 2)
	id := s.framework().FrameworkId
	s.stop(syscall.SIGTERM)

	t.Setenv(testMaster, "")
	other := startMesos(t)
	said := s.fails(other.master)
	if !strings.Contains(said, "the master knows neither framework "+id) || !strings.Contains(said, "the state belongs to another cluster. Check --master;") {
		t.Errorf("with another cluster it says:\n%s", said)
	}
	if _, ok := other.framework(t, id); ok {
		t.Error("it has registered with the other cluster")
	}

	s.start()
	after := running(t, s, "/sleeps", 2)
	for task, pids := range before {
		if len(after[task]) != len(pids) || after[task][0] != pids[0] {
			t.Errorf("%s had the processes %v, and has %v", task, pids, after[task])
		}
	}
}

// TestAFrameworkThatWasRemoved while its scheduler was away is not registered anew
// over its state.
func TestAFrameworkThatWasRemoved(t *testing.T) {
	c := startMesos(t)
	// It is torn down by the test.
	s := &tandemScheduler{t: t, cluster: c, name: "tandem " + t.Name(), dir: t.TempDir()}
	s.start()
	t.Cleanup(func() { s.stop(syscall.SIGKILL) })
	s.run(sleeps)
	running(t, s, "/sleeps", 2)
	id := s.framework().FrameworkId
	s.stop(syscall.SIGTERM)
	if err := c.teardown(id); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		said := s.fails(c.master)
		if !strings.Contains(said, "has removed framework "+id) || !strings.Contains(said, "and otherwise with another state (--state)") {
			t.Errorf("it says:\n%s", said)
		}
	}
}
