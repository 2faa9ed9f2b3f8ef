package agent_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
)

func TestExecutorsThatEnd(t *testing.T) {
	for _, c := range []struct {
		name, data string
		status     int
	}{
		{"with exit status 0", "exit 0", 0},
		{"with exit status 1", "exit 1", 256},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, nil)
			f.launch(executorInfo("exec-1", "normal"), task("run", "run"), task("staging", "stage"), task("last", c.data))
			f.expect("update run TASK_RUNNING", fmt.Sprintf("exited exec-1 %d", c.status))
			// The order is open: an update waits for the acknowledgement of
			// the one before it.
			f.expectAny("update run TASK_FAILED", "update staging TASK_FAILED", "update last TASK_FAILED")
		})
	}
	t.Run("by SIGKILL", func(t *testing.T) {
		f := start(t, nil)
		f.launch(executorInfo("exec-1", "normal"), task("run", "run"))
		pid := f.expect("update run TASK_RUNNING").update.Status.ContainerStatus.GetExecutorPID()
		if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		f.expect("exited exec-1 9", "update run TASK_FAILED")
	})
}

func TestNothingOutlivesItsContainer(t *testing.T) {
	for _, isolation := range []agent.Isolation{agent.IsolationAuto, agent.IsolationNone} {
		t.Run(fmt.Sprintf("isolation %d", isolation), func(t *testing.T) {
			f := start(t, func(o *agent.Options) { o.Isolation = isolation })
			e := executorInfo("exec-1", "normal")
			// A grandchild that the executor leaves behind.
			value := "sleep 1000 & echo $! > child; sleep 1000 & " + *e.Command.Value
			e.Command.Value = &value
			f.launch(e, task("t1", "run"))
			f.expect("update t1 TASK_RUNNING")
			child := strings.TrimSpace(f.read(filepath.Join(f.sandbox("exec-1"), "child")))
			f.stop()
			if _, err := os.Stat("/proc/" + child); !errors.Is(err, os.ErrNotExist) {
				stat, _ := os.ReadFile("/proc/" + child + "/stat")
				if !strings.Contains(string(stat), ") Z ") {
					t.Errorf("process %s lives on: %s", child, stat)
				}
			}
			for _, controller := range []string{"cpu", "memory", "freezer", "."} {
				if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", controller, f.opts.CgroupsRoot)); err == nil {
					t.Errorf("a cgroup of %s is left", controller)
				}
			}
		})
	}
}

// manualClock stands still until it is moved.
type manualClock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*manualTimer]bool
}

func newManualClock() *manualClock {
	return &manualClock{now: time.Unix(1_795_412_844, 0), timers: map[*manualTimer]bool{}}
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) AfterFunc(d time.Duration, f func()) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &manualTimer{c.now.Add(d), f}
	c.timers[t] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.timers, t)
	}
}

func (c *manualClock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []func()
	for t := range c.timers {
		if !t.at.After(c.now) {
			due = append(due, t.f)
			delete(c.timers, t)
		}
	}
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
}

func TestRegistrationTimeout(t *testing.T) {
	clock := newManualClock()
	f := start(t, func(o *agent.Options) { o.Clock = clock })
	f.launch(executorInfo("exec-1", "silent"), task("t1", "run"))
	waitFor(t, "the executor to run", func() bool {
		text, err := os.ReadFile(filepath.Join(f.sandbox("exec-1"), "stdout"))
		return err == nil && strings.Contains(string(text), "started")
	})
	clock.advance(time.Minute)
	f.expect("exited exec-1 9", "update t1 TASK_FAILED")
}

func TestStubbornExecutor(t *testing.T) {
	clock := newManualClock()
	f := start(t, func(o *agent.Options) { o.Clock = clock })
	f.launch(executorInfo("exec-1", "normal", "STUBBORN=1"), task("t1", "run"))
	f.expect("update t1 TASK_RUNNING")
	f.agent.ShutdownExecutor(mesos.FrameworkID{Value: frameworkID}, mesos.ExecutorID{Value: "exec-1"})
	waitFor(t, "the executor to be told", func() bool {
		return strings.Contains(f.read(filepath.Join(f.sandbox("exec-1"), "stdout")), "SHUTDOWN")
	})
	clock.advance(5 * time.Second)
	f.expect("exited exec-1 9", "update t1 TASK_FAILED")
}

func TestCrashAndRecovery(t *testing.T) {
	clock := newManualClock()
	f := start(t, func(o *agent.Options) { o.Clock = clock })
	f.launch(executorInfo("exec-1", "normal"), task("t1", "run"))
	f.expect("update t1 TASK_RUNNING")
	f.agent.Crash()
	f.expect("disconnected")
	if err := f.agent.Recover(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the executor to come back", func() bool {
		return strings.Count(f.read(filepath.Join(f.sandbox("exec-1"), "stdout")), "event SUBSCRIBED") == 2
	})
	clock.advance(2 * time.Second)
	r := f.expect("reregister").reg
	if len(r.Executors) != 1 || len(r.Tasks) != 1 || r.Tasks[0].GetState() != mesos.TASK_RUNNING {
		t.Errorf("reregistered with %d executors and tasks %v", len(r.Executors), r.Tasks)
	}
	f.agent.KillTask(mesos.FrameworkID{Value: frameworkID}, mesos.TaskID{Value: "t1"}, nil)
	f.expect("update t1 TASK_KILLED")
}

func TestUnregistering(t *testing.T) {
	f := start(t, nil)
	f.launch(executorInfo("exec-1", "normal"), task("t1", "run"))
	f.expect("update t1 TASK_RUNNING")
	f.agent.Unregister()
	f.expect("unregister", "exited exec-1 0")
}
