package workload_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/executor/workload"
)

// mortalArg makes the test binary an executor that starts a workload without a
// cgroup, says its number, and waits to be killed. The variable NAMESPACE
// names one that the workload gets for itself.
const mortalArg = "mortal"

func beMortal() error {
	l, err := workload.New(workload.Options{})
	if err != nil {
		return err
	}
	s := workload.Spec{ID: "orphan", Args: []string{"sleep", "1000"}, Env: []string{"PATH=/bin:/usr/bin"}, Dir: "/"}
	if own := os.Getenv("NAMESPACE"); own != "" {
		s.View.Namespaces = []specs.LinuxNamespaceType{specs.LinuxNamespaceType(own)}
	}
	p, err := l.Start(context.Background(), s)
	if err != nil {
		return err
	}
	fmt.Println(p.Pid())
	select {}
}

// TestDeadExecutorTakesItsWorkloadsAlong holds for workloads without cgroups,
// which nobody could find any more.
func TestDeadExecutorTakesItsWorkloadsAlong(t *testing.T) {
	t.Run("plain", func(t *testing.T) { testDeadExecutor(t) })
	// There the workload is number 1, which the kernel protects from most signals,
	// and sees its parent as number 0.
	t.Run("in a pid namespace", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root: makes a namespace")
		}
		testDeadExecutor(t, "NAMESPACE="+string(specs.PIDNamespace))
	})
}

func testDeadExecutor(t *testing.T, env ...string) {
	t.Helper()
	executor := exec.Command(os.Args[0], mortalArg)
	executor.Env = append(os.Environ(), env...)
	executor.Stderr = os.Stderr
	out, err := executor.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := executor.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	_, err = fmt.Fscan(out, &pid)
	_ = executor.Process.Kill()
	_ = executor.Wait()
	if err != nil {
		t.Fatalf("the executor has not said what it started: %v", err)
	}
	for range 1000 {
		// Launchers of other tests have made this process its heir.
		if reaped, _ := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); reaped == pid {
			return
		}
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	t.Errorf("process %d has outlived its executor", pid)
}
