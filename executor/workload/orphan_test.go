package workload_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/executor/guard"
	"github.com/tandem-mesos/tandem/executor/workload"
)

// mortalArg makes the test binary an executor that starts a workload without a
// cgroup, says what that says, and waits to be killed. The variable NAMESPACE
// names one that the workload gets for itself.
const mortalArg = "mortal"

// family starts a process of its session without its mark, and one with its mark that
// has left its session and lost its parent, and says their numbers and its own.
const family = `env -i sleep 1001 & a=$!
	b=$(setsid sh -c 'sleep 1002 >/dev/null & echo $!')
	echo $$ $a $b; exec sleep 1000`

func beMortal() error {
	mark := fmt.Sprintf("TANDEM_PROCESS_OF=mortal-%d", os.Getpid())
	sessions := guard.NewSessions(mark)
	l, err := workload.New(workload.Options{Mark: mark, Guard: sessions})
	if err != nil {
		return err
	}
	s := workload.Spec{
		ID: "orphan", Shell: family, Env: []string{"PATH=/bin:/usr/bin"}, Dir: "/",
		Stdout: os.Getenv("SAID"),
	}
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
	t.Run("plain", func(t *testing.T) {
		main, said := killedExecutor(t)
		for i, name := range []string{"the workload", "its child", "what has left its session"} {
			if i > 0 {
				main = said[i]
			}
			awaitEnd(t, name, main)
		}
	})
	// There the workload is number 1, which the kernel protects from most signals,
	// and sees its parent as number 0. With it ends what it has started.
	t.Run("in a pid namespace", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root: makes a namespace")
		}
		main, _ := killedExecutor(t, "NAMESPACE="+string(specs.PIDNamespace))
		awaitEnd(t, "the workload", main)
	})
}

// killedExecutor has an executor start the family and be killed. It returns the number
// of the main process, and what the family has said.
func killedExecutor(t *testing.T, env ...string) (main int, said []int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "said")
	executor := exec.Command(os.Args[0], mortalArg)
	executor.Env = append(os.Environ(), append(env, "SAID="+file)...)
	executor.Stderr = os.Stderr
	out, err := executor.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := executor.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fscan(out, &main)
	for err == nil && len(said) < 3 {
		said = nil
		text, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(text)) {
			n, _ := strconv.Atoi(word)
			said = append(said, n)
		}
		time.Sleep(time.Millisecond)
	}
	_ = executor.Process.Kill()
	_ = executor.Wait()
	if err != nil {
		t.Fatalf("the executor has not said what it started: %v", err)
	}
	return main, said
}

func awaitEnd(t *testing.T, name string, pid int) {
	t.Helper()
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
	t.Errorf("%s, process %d, has outlived its executor", name, pid)
}
