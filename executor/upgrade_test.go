package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// builds are the executor's binaries that tests have made, by version.
var builds = struct {
	sync.Mutex
	dir    string
	byName map[string]string
}{byName: map[string]string{}}

// build returns an executor of a version, as a file.
func build(t *testing.T, version string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if file := builds.byName[version]; file != "" {
		return file
	}
	if builds.dir == "" {
		dir, err := os.MkdirTemp("", "tandem-executors-")
		if err == nil {
			err = os.Chmod(dir, 0o755) // for executors of other users
		}
		if err != nil {
			t.Fatal(err)
		}
		builds.dir = dir
	}
	file := filepath.Join(builds.dir, version)
	compile(t, file, ".", "-X github.com/tandem-mesos/tandem/pkg/version.Version="+version)
	builds.byName[version] = file
	return file
}

// odd returns a program that is no executor and does what its mode says, with a
// file if it is one that does something with it.
func odd(t *testing.T, mode, with string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), mode)
	compile(t, file, "./testdata/odd", "-X main.mode="+mode+" -X main.file="+with)
	return file
}

func compile(t *testing.T, file, pkg, ldflags string) {
	t.Helper()
	build := exec.Command("go", "build", "-ldflags", ldflags, "-o", file, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func sumOf(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// upgrade asks the executor to replace itself, and returns its answer.
func (a *agent) upgrade(file, sum string) *tandemv1.Answer {
	a.t.Helper()
	a.mu.Lock()
	request := uint64(len(a.messages) + 1)
	a.mu.Unlock()
	data, err := talk.EncodeToExecutor(&tandemv1.ToExecutor{Request: request, Ask: &tandemv1.ToExecutor_UpgradeExecutor{
		UpgradeExecutor: &tandemv1.UpgradeExecutor{Uri: file, Sha256: sum},
	}})
	if err != nil {
		a.t.Fatal(err)
	}
	a.say(&executor.Event{Type: executor.Event_MESSAGE, Message: &executor.Event_Message{Data: data}})
	var answer *tandemv1.Answer
	a.eventually("an answer to the upgrade", func() bool {
		for _, data := range a.messages {
			if m, err := talk.ParseFromExecutor(data); err == nil && m.GetAnswer().GetRequest() == request {
				answer = m.GetAnswer()
			}
		}
		return answer != nil
	})
	return answer
}

func (a *agent) upgradeTo(version string) {
	a.t.Helper()
	file := build(a.t, version)
	if answer := a.upgrade(file, sumOf(a.t, file)); answer.Problem != "" || answer.Version != version {
		a.t.Fatalf("asked for version %s, it answers %v", version, answer)
	}
}

// runs looks that the process of the executor executes a version, and is called as
// it was called from the beginning.
func (a *agent) runs(version string) {
	a.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", a.process.Process.Pid)
	if got, want := sumOf(a.t, proc+"exe"), sumOf(a.t, build(a.t, version)); got != want {
		exe, _ := os.Readlink(proc + "exe")
		a.t.Errorf("the process executes %s, which is not version %s", exe, version)
	}
	if got, want := readFile(a.t, proc+"comm"), filepath.Base(a.binary)+"\n"; got != want {
		a.t.Errorf("the process is called %q, want %q", got, want)
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (a *agent) pidOf(task string) string {
	a.t.Helper()
	file := filepath.Join(a.sandbox, "tasks", task, "pid")
	a.eventually("the pid of "+task, func() bool {
		text, err := os.ReadFile(file)
		return err == nil && strings.HasSuffix(string(text), "\n")
	})
	text, err := os.ReadFile(file)
	if err != nil {
		a.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestExecutorReplacesItself(t *testing.T) {
	a := &agent{binary: build(t, "1.0")}
	startAgent(t, a)
	a.needContainer()
	lines := 30000
	logger := shell("logger", fmt.Sprintf("echo $$ > pid; i=0; while [ $i -lt %d ]; do i=$((i+1)); echo line $i; done; while [ ! -f go ]; do sleep 0.05; done; exit 5", lines), 32)
	data, err := proto.Marshal(&tandemv1.TaskSettings{Magic: 0x746e646d, Logs: &tandemv1.LogSettings{MaxFiles: 200, MaxFileSize: 65536}})
	if err != nil {
		t.Fatal(err)
	}
	logger.Data = data
	checked := shell("checked", "echo $$ > pid; exec sleep 300", 32)
	checked.HealthCheck = &mesos.HealthCheck{
		Type: mesos.HealthCheck_COMMAND, Command: &mesos.CommandInfo{Value: proto.String("echo >> checks; test ! -f ill")},
		DelaySeconds: proto.Float64(0), IntervalSeconds: proto.Float64(0.1), TimeoutSeconds: proto.Float64(5),
		GracePeriodSeconds: proto.Float64(0), ConsecutiveFailures: proto.Uint32(2),
	}
	a.launch(logger, checked)
	a.launch(shell("other", "echo $$ > pid; trap 'exit 3' TERM; while :; do sleep 0.05; done", 32)) // A group of its own.
	for _, id := range []string{"logger", "checked", "other"} {
		a.await(id, mesos.TASK_RUNNING)
	}
	pids := map[string]string{}
	for _, id := range []string{"logger", "checked", "other"} {
		pids[id] = a.pidOf(id)
	}
	for _, version := range []string{"2.0", "1.0", "2.0"} {
		a.upgradeTo(version)
		a.runs(version)
		for id, pid := range pids {
			stat, err := os.ReadFile("/proc/" + pid + "/status")
			if err != nil || !strings.Contains(string(stat), fmt.Sprintf("PPid:\t%d\n", a.process.Process.Pid)) {
				t.Errorf("the workload of %s is not the executor's child any more: %v", id, err)
			}
		}
	}
	a.launch(shell("late", "exit 0", 32))
	a.await("late", mesos.TASK_FINISHED)

	// Exit statuses, output, kills and checks are as if nothing had been.
	if err := os.WriteFile(filepath.Join(a.sandbox, "tasks", "logger", "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	failed := a.await("logger", mesos.TASK_FAILED)
	report := reportOf(t, failed)
	if report.GetExitCode() != 5 || len(report.Warnings) > 0 || report.Usage.GetCpuTime().AsDuration() <= 0 {
		t.Errorf("report %v", report)
	}
	var text string
	for i := 200; i >= 0; i-- {
		name := "stdout"
		if i > 0 {
			name = fmt.Sprintf("stdout.%d", i)
		}
		part, _ := os.ReadFile(filepath.Join(a.sandbox, "tasks", "logger", name))
		text += string(part)
	}
	var want strings.Builder
	for i := 1; i <= lines; i++ {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	if text != want.String() {
		t.Errorf("%d bytes of output, want %d", len(text), want.Len())
	}
	a.kill("other", 5*time.Second)
	if killed := a.await("other", mesos.TASK_KILLED); !strings.Contains(killed.GetMessage(), "exited with status 3") {
		t.Errorf("killed: %q", killed.GetMessage())
	}
	if err := os.WriteFile(filepath.Join(a.sandbox, "tasks", "checked", "ill"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if killed := a.await("checked", mesos.TASK_KILLED); !strings.Contains(killed.GetMessage(), "health check failed 2 times") {
		t.Errorf("killed: %q", killed.GetMessage())
	}
	a.awaitExit(0)
	a.onceEach("logger", "checked", "other", "late")
}

// onceEach looks that each task has exactly one terminal update.
func (a *agent) onceEach(ids ...string) {
	a.t.Helper()
	for _, id := range ids {
		var ends []mesos.TaskState
		for _, s := range a.updates {
			if s.TaskID.Value == id && !slices.Contains([]mesos.TaskState{mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_KILLING}, s.GetState()) {
				ends = append(ends, s.GetState())
			}
		}
		if len(ends) != 1 {
			a.t.Errorf("task %s ended with %v", id, ends)
		}
	}
}

func TestExitsBesideUpgradesAreExact(t *testing.T) {
	a := &agent{binary: build(t, "1.0")}
	startAgent(t, a)
	a.needContainer()
	const n = 40
	ids := []string{"stays"}
	a.launch(shell("stays", "exec sleep 300", 32))
	for i := range n {
		id := fmt.Sprintf("task-%d", i)
		ids = append(ids, id)
		a.launch(shell(id, fmt.Sprintf("sleep %.2f; exit %d", 0.3+float64(i)*0.08, i+1), 32))
	}
	for i := range 6 {
		a.upgradeTo([]string{"2.0", "1.0"}[i%2])
	}
	for i := range n {
		if failed := a.await(fmt.Sprintf("task-%d", i), mesos.TASK_FAILED); reportOf(t, failed).GetExitCode() != int32(i+1) {
			t.Errorf("task-%d: %q", i, failed.GetMessage())
		}
	}
	a.kill("stays", time.Second)
	a.await("stays", mesos.TASK_KILLED)
	a.awaitExit(0)
	a.onceEach(ids...)
}

func TestUpgradesThatAreRefused(t *testing.T) {
	a := &agent{binary: build(t, "1.0")}
	startAgent(t, a)
	a.needContainer()
	a.launch(shell("web", "exec sleep 300", 32))
	a.await("web", mesos.TASK_RUNNING)
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("hello"), 0o755); err != nil {
		t.Fatal(err)
	}
	good := build(t, "2.0")
	for name, tt := range map[string]struct{ file, sum, want string }{
		"another sum":            {good, strings.Repeat("ab", 32), "SHA-256"},
		"no sum":                 {good, "", "no SHA-256"},
		"not there":              {"/no/such/file", strings.Repeat("ab", 32), "/no/such/file"},
		"not a program":          {text, "", "the new program cannot take over"},
		"a script":               {script, "", "the new program cannot take over"}, // It is executed by a descriptor, which its interpreter has not.
		"one that does not know": {odd(t, "old", ""), "", "flag provided but not defined"},
		"one that is told what it was started with": {odd(t, "curious", ""), "", "the new program cannot take over: api.0.1"},
		// It passes the trials, and then cannot be executed.
		"gone at the last moment": {odd(t, "gone", ""), "", "cannot execute"},
	} {
		sum := tt.sum
		if sum == "" && name != "no sum" {
			sum = sumOf(t, tt.file)
		}
		if answer := a.upgrade(tt.file, sum); !strings.Contains(answer.Problem, tt.want) || answer.Version != "" {
			t.Errorf("%s: it answers %v, want %q", name, answer, tt.want)
		}
	}
	if answer := a.upgrade(build(t, "1.0"), sumOf(t, build(t, "1.0"))); answer.Problem != "" || answer.Version != "1.0" {
		t.Errorf("the program that runs already: %v", answer)
	}
	a.runs("1.0")
	a.launch(shell("late", "exit 4", 32))
	if failed := a.await("late", mesos.TASK_FAILED); reportOf(t, failed).GetExitCode() != 4 {
		t.Errorf("late: %q", failed.GetMessage())
	}
	a.kill("web", time.Second)
	a.await("web", mesos.TASK_KILLED)
	a.awaitExit(0)
}
