package guard_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/executor/guard"
	"github.com/tandem-mesos/tandem/executor/kin"
)

func TestMain(m *testing.M) {
	if os.Args[0] == guard.Name {
		os.Exit(guard.Run())
	}
	os.Exit(m.Run())
}

// markOf returns a mark that nobody else has, not even the same test a moment ago.
func markOf(t *testing.T) string { return "GUARD_TEST=" + t.TempDir() }

// session starts a program in a session of its own.
func session(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.Env = append([]string{"A=1"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func alive(cmd *exec.Cmd) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// theGuard finds the guard that this process has for a mark.
func theGuard(t *testing.T, mark string) int {
	t.Helper()
	for range 1000 {
		for _, p := range kin.Table() {
			args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.Pid))
			if p.Parent == os.Getpid() && !p.Zombie && string(args) == guard.Name+"\x00sessions\x00"+mark+"\x00" {
				return p.Pid
			}
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("there is no guard")
	return 0
}

func TestGuardEndsWhatIsLeft(t *testing.T) {
	mark := markOf(t)
	s := guard.NewSessions(mark)
	listed, over, marked, other := session(t), session(t), session(t, mark+"/a"), session(t, mark+"0/a")
	for _, c := range []*exec.Cmd{over, listed} {
		if err := s.Add(c.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	s.Remove(over.Process.Pid)
	s.Close() // as the end of an executor does
	for _, c := range []*exec.Cmd{listed, marked} {
		if err := c.Wait(); err == nil {
			t.Error("it has ended by itself")
		}
	}
	for name, c := range map[string]*exec.Cmd{"a session that was over": over, "another executor's process": other} {
		if !alive(c) {
			t.Errorf("%s was ended", name)
		}
	}
}

func TestGuardOfNobodyEndsNobody(t *testing.T) {
	mark := markOf(t)
	s := guard.NewSessions(mark)
	s.Close() // There was none.
	other, own := session(t, mark), session(t)
	if err := s.Add(own.Process.Pid); err != nil {
		t.Fatal(err)
	}
	g := theGuard(t, mark)
	s.Remove(own.Process.Pid)
	s.Close()
	if err := syscall.Kill(g, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the guard is still there: %v", err)
	}
	// An executor that has nothing any more has ended all that it could.
	for _, c := range []*exec.Cmd{other, own} {
		if !alive(c) {
			t.Error("it was ended")
		}
	}
}

// An executor that is killed may just have made a process, and not have told of it yet.
func TestGuardOfADeadExecutorEndsWhatItWasNotToldOf(t *testing.T) {
	mark := markOf(t)
	marked, other := session(t, mark+"/a"), session(t)
	if err := guard.Main([]string{"sessions", mark}, strings.NewReader(""), os.Stderr); err != nil {
		t.Fatal(err)
	}
	if err := marked.Wait(); err == nil {
		t.Error("it has ended by itself")
	}
	if !alive(other) {
		t.Error("another's process was ended")
	}
}

func TestGuardThatHasGoneIsReplaced(t *testing.T) {
	mark := markOf(t)
	s := guard.NewSessions(mark)
	first, second := session(t), session(t)
	if err := s.Add(first.Process.Pid); err != nil {
		t.Fatal(err)
	}
	g := theGuard(t, mark)
	_ = syscall.Kill(g, syscall.SIGKILL)
	if _, err := syscall.Wait4(g, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(second.Process.Pid); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, c := range []*exec.Cmd{first, second} {
		if err := c.Wait(); err == nil {
			t.Error("it has ended by itself")
		}
	}
}

// One that is stopped is no guard, and must not end what is another's by the time that
// it goes on.
func TestGuardThatDoesNotReadIsReplaced(t *testing.T) {
	mark := markOf(t)
	s := guard.NewSessions(mark)
	own, over := session(t), session(t)
	for _, c := range []*exec.Cmd{own, over} {
		if err := s.Add(c.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	g := theGuard(t, mark)
	_ = syscall.Kill(g, syscall.SIGSTOP)
	for theOther := 1 << 30; ; theOther++ {
		s.Remove(theOther)
		if pid, _ := syscall.Wait4(g, nil, syscall.WNOHANG, nil); pid == g {
			break
		}
	}
	s.Remove(over.Process.Pid)
	if err := s.Add(own.Process.Pid); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := own.Wait(); err == nil {
		t.Error("it has ended by itself")
	}
	if !alive(over) {
		t.Error("a session that was over was ended")
	}
}

func TestGuardIsNotStartedByHand(t *testing.T) {
	if err := guard.Main(nil, strings.NewReader(""), os.Stderr); err == nil || !strings.Contains(err.Error(), "not by hand") {
		t.Errorf("got %v", err)
	}
	for _, said := range []string{"+x\n", "+1\n", "hello\n"} {
		if err := guard.Main([]string{"sessions", "M=a"}, strings.NewReader(said), os.Stderr); err == nil {
			t.Errorf("%q was understood", said)
		}
	}
}
