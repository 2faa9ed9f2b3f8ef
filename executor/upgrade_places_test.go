package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

const nobody = 65534

// TestExecutorsReplaceThemselvesAnywhere is of what executors are started with, and
// by whom.
func TestExecutorsReplaceThemselvesAnywhere(t *testing.T) {
	for name, setUp := range map[string]func(t *testing.T) (*agent, []string){
		"without checkpoints": func(*testing.T) (*agent, []string) { return &agent{}, []string{"MESOS_CHECKPOINT=0"} },
		"TLS and a token": func(t *testing.T) (*agent, []string) {
			config, _, file := certificate(t)
			return &agent{tls: config, token: token}, []string{
				"LIBPROCESS_SSL_ENABLED=1", "LIBPROCESS_SSL_VERIFY_SERVER_CERT=1", "LIBPROCESS_SSL_CA_FILE=" + file, tokenVariable + "=" + token,
			}
		},
		"a domain socket": func(t *testing.T) (*agent, []string) {
			socket := filepath.Join(t.TempDir(), "agent.sock")
			return &agent{socket: socket}, []string{"MESOS_DOMAIN_SOCKET=" + socket}
		},
		"another user": func(*testing.T) (*agent, []string) { return &agent{user: nobody}, nil },
		"another user and a token": func(*testing.T) (*agent, []string) {
			return &agent{user: nobody, token: token}, []string{tokenVariable + "=" + token}
		},
		"a sandbox that executes nothing": func(*testing.T) (*agent, []string) {
			return &agent{within: `unshare -m sh -c 'mount --bind . . && mount -o remount,bind,noexec . && cd "$PWD" && exec "$0"'`}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, environment := setUp(t)
			a.binary = build(t, "1.0")
			startAgent(t, a, environment...)
			a.needContainer()
			a.launch(shell("web", "echo $$ > pid; while [ ! -f go ]; do sleep 0.05; done; exit 5", 32))
			a.await("web", mesos.TASK_RUNNING)
			pid := a.pidOf("web")
			for _, version := range []string{"2.0", "1.0"} {
				a.upgradeTo(version)
				a.runs(version)
			}
			// It knows what it is, whether or not it may read its own file.
			a.upgradeTo("1.0")
			a.wantLog("it runs the program already")
			if left, err := os.ReadDir(filepath.Join(a.sandbox, "upgrade")); err == nil {
				t.Errorf("in the sandbox it has left %v", left)
			}
			a.launch(shell("late", "exit 0", 32))
			a.await("late", mesos.TASK_FINISHED)
			if a.pidOf("web") != pid {
				t.Error("the task has been started again")
			}
			if err := os.WriteFile(filepath.Join(a.sandbox, "tasks", "web", "go"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if failed := a.await("web", mesos.TASK_FAILED); reportOf(t, failed).GetExitCode() != 5 {
				t.Errorf("web: %q", failed.GetMessage())
			}
			a.awaitExit(0)
			a.onceEach("web", "late")
		})
	}
}

const tokenVariable = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN"

// TestTokenIsHiddenInEveryMoment looks all the time, while an executor replaces
// itself, whether the kernel would show what it holds to others of its user.
func TestTokenIsHiddenInEveryMoment(t *testing.T) {
	a := &agent{user: nobody, token: token, binary: build(t, "1.0")}
	startAgent(t, a, tokenVariable+"="+token)
	a.needContainer()
	a.launch(shell("web", "exec sleep 300", 32))
	a.await("web", mesos.TASK_RUNNING)
	environ := fmt.Sprintf("/proc/%d/environ", a.process.Process.Pid)
	ctx, stop := context.WithCancel(t.Context())
	shown := make(chan bool, 1)
	go func() {
		seen := false
		for ctx.Err() == nil {
			var stat syscall.Stat_t
			// It is root's as long as others of its user may not read it.
			seen = seen || syscall.Stat(environ, &stat) == nil && stat.Uid == nobody
		}
		shown <- seen
	}()
	for _, version := range []string{"2.0", "1.0", "2.0", "1.0"} {
		a.upgradeTo(version)
	}
	stop()
	if <-shown {
		t.Error("processes of the executor's user could read its environment")
	}
	a.kill("web", time.Second)
	a.await("web", mesos.TASK_KILLED)
	a.awaitExit(0)
}

// TestExecutorActsWhileTheNewProgramThinks is of a program that takes its time with
// the state. Meanwhile the old one does what it is told, and where it is told to
// end it ends.
func TestExecutorActsWhileTheNewProgramThinks(t *testing.T) {
	for _, shutdown := range []bool{false, true} {
		t.Run(fmt.Sprintf("shutdown %v", shutdown), func(t *testing.T) {
			a := &agent{binary: build(t, "1.0")}
			startAgent(t, a)
			a.needContainer()
			a.launch(shell("web", "exec sleep 300", 32))
			a.launch(shell("other", "exec sleep 300", 32))
			a.await("web", mesos.TASK_RUNNING)
			a.await("other", mesos.TASK_RUNNING)
			thinks := filepath.Join(t.TempDir(), "thinks")
			slow := odd(t, "slow", thinks)
			data, err := talk.EncodeToExecutor(&tandemv1.ToExecutor{Request: 1, Ask: &tandemv1.ToExecutor_UpgradeExecutor{
				UpgradeExecutor: &tandemv1.UpgradeExecutor{Uri: slow, Sha256: sumOf(t, slow)},
			}})
			if err != nil {
				t.Fatal(err)
			}
			a.say(&executor.Event{Type: executor.Event_MESSAGE, Message: &executor.Event_Message{Data: data}})
			a.eventually("the new program to look at the state", func() bool {
				_, err := os.Stat(thinks)
				return err == nil
			})
			a.kill("web", time.Second)
			a.await("web", mesos.TASK_KILLED)
			if shutdown {
				a.say(&executor.Event{Type: executor.Event_SHUTDOWN})
				a.await("other", mesos.TASK_KILLED)
				a.awaitExit(0)
				return
			}
			if err := os.WriteFile(thinks+".go", nil, 0o644); err != nil {
				t.Fatal(err)
			}
			a.eventually("an answer", func() bool {
				return len(a.messages) > 0
			})
			if m, err := talk.ParseFromExecutor(a.messages[0]); err != nil || m.GetAnswer().GetProblem() != "the new program cannot take over: it would rather not" {
				t.Errorf("it answers %v, %v", m, err)
			}
			a.runs("1.0")
			a.kill("other", time.Second)
			a.await("other", mesos.TASK_KILLED)
			a.awaitExit(0)
		})
	}
}
