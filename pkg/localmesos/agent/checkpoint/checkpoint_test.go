package checkpoint_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"
	"github.com/mesos/mesos-go/api/v1/lib/resources"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/checkpoint"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

const boot = "a079b1f7-65fb-4f43-9a9b-d002d93d2994"

var run = core.Run{
	Agent: mesos.AgentID{Value: "S0"}, Framework: mesos.FrameworkID{Value: "fw"},
	Executor: mesos.ExecutorID{Value: "exec-1"}, Container: "c1",
}

func reserved(t mesos.Resource_ReservationInfo_Type, roles ...string) mesos.Resource {
	r := resources.NewCPUs(1).Resource
	for _, role := range roles {
		r.Reservations = append(r.Reservations, mesos.Resource_ReservationInfo{Type: &t, Role: &role})
	}
	return r
}

func agentInfo() mesos.AgentInfo {
	return mesos.AgentInfo{
		ID: &run.Agent, Hostname: "h", Port: new(int32(5051)),
		Resources: []mesos.Resource{
			resources.NewCPUs(8).Resource,
			reserved(mesos.Resource_ReservationInfo_STATIC, "a"),
			reserved(mesos.Resource_ReservationInfo_DYNAMIC, "a"),
			reserved(mesos.Resource_ReservationInfo_DYNAMIC, "a", "a/b"),
		},
	}
}

func update(uuid string, state mesos.TaskState) link.StatusUpdate {
	at := 1.5
	return link.StatusUpdate{
		FrameworkID: run.Framework, ExecutorID: &run.Executor, AgentID: run.Agent, LatestState: state,
		Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: "t1"}, State: &state, UUID: []byte(uuid), Timestamp: &at},
	}
}

// everything is what an agent keeps of one executor with one task.
func everything() (saved core.Saved, records []core.Record) {
	framework := mesos.FrameworkInfo{ID: &run.Framework, User: "u", Name: "f", Checkpoint: new(true)}
	executor := mesos.ExecutorInfo{
		ExecutorID: run.Executor, FrameworkID: &run.Framework,
		Command: &mesos.CommandInfo{Value: new("run")}, Resources: []mesos.Resource{resources.NewMemory(32).Resource},
	}
	task := mesos.Task{
		Name: "t", TaskID: mesos.TaskID{Value: "t1"}, FrameworkID: run.Framework, ExecutorID: &run.Executor, AgentID: run.Agent,
		State: mesos.TASK_STAGING.Enum(), Resources: []mesos.Resource{resources.NewMemory(32).Resource},
	}
	limits := map[string]mesos.Value_Scalar{"mem": {Value: 64}}
	kept := core.KeepResources{
		Resources: []mesos.Resource{reserved(mesos.Resource_ReservationInfo_DYNAMIC, "a")},
		Operations: []mesos.Operation{{
			FrameworkID: &run.Framework, AgentID: &run.Agent, UUID: mesos.UUID{Value: []byte("o1")},
			LatestStatus: mesos.OperationStatus{State: mesos.OPERATION_FINISHED},
			Info:         mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{}},
		}},
	}
	drain := &mesos.DrainConfig{MaxGracePeriod: &mesos.DurationInfo{Nanoseconds: 5}, MarkGone: new(true)}
	running, finished := update("u1", mesos.TASK_RUNNING), update("u2", mesos.TASK_FINISHED)
	records = []core.Record{
		core.KeepAgent{Info: agentInfo()},
		kept,
		core.KeepDrain{Agent: run.Agent, Config: drain},
		core.KeepFramework{Agent: run.Agent, Info: framework},
		core.KeepExecutor{Run: run, Info: executor, Kind: core.CommandExecutor},
		core.KeepTask{Run: run, Task: task, Limits: limits},
		core.KeepSubscribed{Run: run},
		core.KeepUpdate{Run: run, Update: running},
		core.KeepAcknowledged{Run: run, Task: task.TaskID, UUID: []byte("u1")},
		core.KeepUpdate{Run: run, Update: finished},
	}
	saved = core.Saved{Agent: agentInfo(), Resources: kept.Resources, Operations: kept.Operations, Drain: drain, Frameworks: []core.SavedFramework{{
		Info: framework,
		Executors: []core.SavedExecutor{{
			Info: executor, Container: run.Container, Kind: core.CommandExecutor, PID: 42,
			Tasks: []core.SavedTask{{
				Task: task, Limits: limits, Updates: []link.StatusUpdate{running, finished}, Acknowledged: map[string]bool{"u1": true},
			}},
		}},
	}}}
	return saved, records
}

func keep(t *testing.T, records ...core.Record) (string, checkpoint.Dir) {
	t.Helper()
	work := t.TempDir()
	dir := checkpoint.In(work)
	if err := dir.Booted(boot); err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := dir.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	return work, dir
}

func TestWhatIsKeptIsReadAgain(t *testing.T) {
	want, records := everything()
	_, dir := keep(t, records...)
	if err := dir.Forked(run, 42); err != nil {
		t.Fatal(err)
	}
	got, err := dir.Read(boot, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Saved); diff != "" || got.Rebooted || got.Errors != nil {
		t.Errorf("read %+v (-want +got):\n%s", got, diff)
	}
}

func TestADrainThatIsOverIsForgotten(t *testing.T) {
	_, records := everything()
	_, dir := keep(t, append(records, core.KeepDrain{Agent: run.Agent}, core.KeepDrain{Agent: run.Agent})...)
	if got, err := dir.Read(boot, true); err != nil || got.Drain != nil {
		t.Errorf("read %+v (%v)", got.Drain, err)
	}
}

func TestStandaloneContainersAreKeptWhileTheyRun(t *testing.T) {
	_, dir := keep(t, core.KeepAgent{Info: agentInfo()})
	var want []checkpoint.Standalone
	for pid, id := range map[int]string{42: "a", 43: "b"} {
		s := checkpoint.Standalone{PID: pid, Launch: mesosagent.Call_LaunchContainer{
			ContainerID: mesos.ContainerID{Value: id}, Command: &mesos.CommandInfo{Value: new("run")},
		}}
		if err := dir.Started(s); err != nil {
			t.Fatal(err)
		}
		if id == "b" {
			want = append(want, s)
		}
	}
	if err := dir.Ended("a"); err != nil {
		t.Fatal(err)
	}
	got, err := dir.Read(boot, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Standalone); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if got, err := dir.Read("another boot", true); err != nil || got.Standalone != nil {
		t.Errorf("after a new start of the machine there are %v (%v)", got.Standalone, err)
	}
}

// TestTheLayoutIsARealAgents names what a real agent of Mesos 1.12 makes.
func TestTheLayoutIsARealAgents(t *testing.T) {
	_, records := everything()
	work, dir := keep(t, records...)
	if err := dir.Forked(run, 42); err != nil {
		t.Fatal(err)
	}
	if err := dir.Write(core.KeepEnd{Run: run}); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	err := filepath.WalkDir(work, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := strings.CutPrefix(path, work+"/")
		if d.Type()&os.ModeSymlink != 0 {
			to, err := os.Readlink(path)
			got[name], _ = strings.CutPrefix(to, work+"/")
			return err
		}
		content, err := os.ReadFile(path)
		got[name] = string(content)
		if strings.HasSuffix(name, ".info") || strings.HasSuffix(name, ".state") || strings.HasSuffix(name, ".config") || strings.HasSuffix(name, ".updates") {
			got[name] = "…"
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const fw = "meta/slaves/S0/frameworks/fw/"
	const ex = fw + "executors/exec-1/"
	want := map[string]string{
		"meta/boot_id":                    boot,
		"meta/resources/resources.info":   "…",
		"meta/slaves/latest":              "meta/slaves/S0",
		"meta/slaves/S0/slave.info":       "…",
		"meta/slaves/S0/drain.config":     "…",
		fw + "framework.info":             "…",
		fw + "framework.pid":              "@0.0.0.0:0",
		ex + "executor.info":              "…",
		ex + "runs/latest":                ex + "runs/c1",
		ex + "runs/c1/executor.sentinel":  "",
		ex + "runs/c1/http.marker":        "",
		ex + "runs/c1/pids/forked.pid":    "42",
		ex + "runs/c1/tasks/t1/task.info": "…",

		"meta/resources/resources_and_operations.state": "…",

		ex + "executor_generated_for_command_task": "1",
		ex + "runs/c1/tasks/t1/task.updates":       "…",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestNothingIsRecoveredFromNothing(t *testing.T) {
	state, err := checkpoint.In(t.TempDir()).Read(boot, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&checkpoint.State{}, state); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

func TestProcessesOfAnotherStartOfTheMachineAreForgotten(t *testing.T) {
	_, records := everything()
	_, dir := keep(t, records...)
	if err := dir.Forked(run, 42); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"another", boot} {
		state, err := dir.Read(id, true)
		if err != nil {
			t.Fatal(err)
		}
		if pid := state.Frameworks[0].Executors[0].PID; pid != 0 || state.Rebooted != (id != boot) {
			t.Errorf("boot ID %s: rebooted %v, process %d", id, state.Rebooted, pid)
		}
	}
}

func TestSettledRunsAreOnlyToBeRemoved(t *testing.T) {
	_, records := everything()
	work, dir := keep(t, append(records, core.KeepEnd{Run: run})...)
	state, err := dir.Read(boot, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]core.Run{run}, state.Settled); diff != "" || len(state.Frameworks[0].Executors) != 0 {
		t.Errorf("settled (-want +got):\n%s\nframeworks %+v", diff, state.Frameworks)
	}
	if err := dir.Remove(run); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(work, "meta/slaves/S0/frameworks/fw")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the framework's directory is still there: %v", err)
	}
}

func TestTornUpdatesAreCutOff(t *testing.T) {
	_, records := everything()
	work, dir := keep(t, records...)
	name := filepath.Join(work, "meta/slaves/S0/frameworks/fw/executors/exec-1/runs/c1/tasks/t1/task.updates")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		if err := os.WriteFile(name, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		state, err := dir.Read(boot, true)
		if err != nil {
			t.Fatalf("%d of %d bytes: %v", cut, len(whole), err)
		}
		kept := state.Frameworks[0].Executors[0].Tasks[0]
		if len(kept.Updates) > 1 || len(kept.Acknowledged) > len(kept.Updates) {
			t.Fatalf("%d of %d bytes: %d updates, %d acknowledged", cut, len(whole), len(kept.Updates), len(kept.Acknowledged))
		}
		// What is appended now must be read with the rest.
		if err := dir.Write(core.KeepUpdate{Run: run, Update: update("u3", mesos.TASK_FAILED)}); err != nil {
			t.Fatal(err)
		}
		if state, err = dir.Read(boot, true); err != nil {
			t.Fatal(err)
		}
		if again := state.Frameworks[0].Executors[0].Tasks[0].Updates; len(again) != len(kept.Updates)+1 {
			t.Fatalf("%d of %d bytes: %d updates, and with one more %d", cut, len(whole), len(kept.Updates), len(again))
		}
	}
}

func TestDamageEndsAStrictRecoveryOnly(t *testing.T) {
	for _, name := range []string{
		"framework.info", "executors/exec-1/executor.info", "executors/exec-1/runs/c1/pids/forked.pid",
		"executors/exec-1/runs/c1/tasks/t1/task.info",
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, records := everything()
			work, dir := keep(t, records...)
			file := filepath.Join(work, "meta/slaves/S0/frameworks/fw", name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte("\x02\x00\x00\x00\xff\xff"), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := dir.Read(boot, true); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("the strict recovery says %v", err)
			}
			if state, err := dir.Read(boot, false); err != nil || len(state.Errors) != 1 {
				t.Errorf("the other recovery says %v, and passes over %v", err, state)
			}
		})
	}
}
