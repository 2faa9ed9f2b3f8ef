package store_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/archive"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

// With each release its state is added to testdata/released, by
//
//	go test ./scheduler/store -run TestReleased -released v1.2.0
//
// at the release's own commit, and stays there for good. What is in a directory:
//
//	closed.db       the state file of a scheduler that has ended in order
//	killed.db       that of one that was killed,
//	killed.journal  and its journal
//	znodes.json     the state in ZooKeeper: data by name, the head's being ""
//	export.jsonl    what tandem state export wrote of it
var released = flag.String("released", "", "write the state of this version into testdata/released")

// TestReleased: what each released version has written, in each store and as an
// archive, is read by this one, belongs together, and is gone on from.
func TestReleased(t *testing.T) {
	if *released != "" {
		writeReleased(t, filepath.Join("testdata", "released", *released))
	}
	versions, err := filepath.Glob("testdata/released/*")
	if err != nil || len(versions) == 0 {
		t.Fatalf("no released versions: %v", err)
	}
	for _, from := range versions {
		t.Run(filepath.Base(from), func(t *testing.T) {
			file := func(name string) []byte {
				content, err := os.ReadFile(filepath.Join(from, name))
				if err != nil {
					t.Fatal(err)
				}
				return content
			}
			want, err := archive.Read(bytes.NewReader(file("export.jsonl")))
			if err != nil {
				t.Fatal(err)
			}
			if wrong := archive.Check(want); len(wrong) > 0 {
				t.Errorf("what it exported does not belong together: %q", wrong)
			}
			goesOn(t, want)
			for name, files := range map[string]map[string]string{
				"closed": {"closed.db": store.BoltFile},
				"killed": {"killed.db": store.BoltFile, "killed.journal": "journal-0000000000000001"},
			} {
				t.Run(name, func(t *testing.T) {
					dir := t.TempDir()
					for of, as := range files {
						replace(t, filepath.Join(dir, as), file(of))
					}
					s, err := store.OpenBolt(dir)
					if err != nil {
						t.Fatal(err)
					}
					defer s.Close()
					wantSnapshot(t, s, want)
				})
			}
			t.Run("zookeeper", func(t *testing.T) {
				znodes := map[string][]byte{}
				if err := json.Unmarshal(file("znodes.json"), &znodes); err != nil {
					t.Fatal(err)
				}
				e := newEnsemble(t, shared.Server(t))
				for _, name := range append([]string{""}, slices.DeleteFunc(sortedNames(znodes), func(name string) bool { return name == "" })...) {
					if _, err := e.conn.Create(path.Join(e.path, "state", name), znodes[name], 0, zk.WorldACL(zk.PermAll)); err != nil {
						t.Fatal(err)
					}
				}
				wantSnapshot(t, e.lead().open(), want)
			})
		})
	}
}

// goesOn holds that a core takes the records for its own: every task that runs is
// asked about, and none of what is saved is dropped.
func goesOn(t *testing.T, all state.Snapshot) {
	t.Helper()
	open := map[string]bool{}
	for _, a := range all.Attempts {
		for _, task := range a.Tasks {
			if a.Ended == nil && !state.Terminal(task.State) {
				open[task.TaskId] = true
			}
		}
	}
	c := core.New(core.Config{Roles: []string{"prod"}, Executor: core.Executor{
		Command: "./tandem-executor", URIs: []mesos.CommandInfo_URI{{Value: "http://10.0.0.1:7070/tandem-executor"}},
	}}, all)
	e := c.Step(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), core.Subscribed{FrameworkID: mesos.FrameworkID{Value: all.Framework.GetFrameworkId()}})
	for _, change := range e.Save {
		if change.Record == nil {
			t.Errorf("%s %q is dropped", change.Kind, change.Key)
		}
	}
	for _, call := range e.Calls {
		for _, task := range call.GetReconcile().GetTasks() {
			delete(open, task.TaskID.Value)
		}
	}
	if len(open) > 0 || len(all.Attempts) == 0 {
		t.Errorf("nobody asks about the tasks %v", sortedNames(open))
	}
}

func writeReleased(t *testing.T, to string) {
	t.Helper()
	all := everyKind(t)
	var changes []state.Change
	for c := range all.Changes() {
		changes = append(changes, c)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(to, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	get := func(file string) []byte {
		t.Helper()
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	for name, end := range map[string]func(*store.Bolt) error{"closed": (*store.Bolt).Close, "killed": (*store.Bolt).Crash} {
		dir := t.TempDir()
		s, err := store.OpenBolt(dir)
		if err != nil {
			t.Fatal(err)
		}
		write(t, s, changes[:len(changes)/2]...)
		write(t, s, changes[len(changes)/2:]...)
		if err := end(s); err != nil {
			t.Fatal(err)
		}
		put(name+".db", get(filepath.Join(dir, store.BoltFile)))
		for _, journal := range journalsIn(t, dir) {
			put(name+".journal", get(journal))
		}
	}
	e := newEnsemble(t, shared.Server(t))
	s := e.lead().open()
	write(t, s, changes[:len(changes)/2]...)
	write(t, s, changes[len(changes)/2:]...)
	znodes := map[string][]byte{}
	names, _, err := e.conn.Children(e.path + "/state")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "") {
		if znodes[name], _, err = e.conn.Get(path.Join(e.path, "state", name)); err != nil {
			t.Fatal(err)
		}
	}
	content, err := json.MarshalIndent(znodes, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	put("znodes.json", content)
	var export bytes.Buffer
	if err := archive.Write(&export, all); err != nil {
		t.Fatal(err)
	}
	put("export.jsonl", export.Bytes())
}

// everyKind is a state with records of every kind: the jobs of the examples, each
// at its second version, and what may be said of their instances.
func everyKind(t *testing.T) state.Snapshot {
	t.Helper()
	at := func(minutes int) *timestamppb.Timestamp {
		return timestamppb.New(time.Date(2026, 3, 1, 11, minutes, 0, 0, time.UTC))
	}
	all := state.Snapshot{
		Framework: &tandemv1.FrameworkRecord{FrameworkId: "77a7fa47-0002", Created: at(0), AttemptFloor: 7},
		Agents: []*tandemv1.AgentRecord{{
			AgentId: "77a7fa47-S1", Hostname: "host-1", Drain: &tandemv1.Drain{Started: at(5)}, Maintenance: &tandemv1.Maintenance{Start: at(50)}, OperatorDrain: at(6),
		}},
		Requests: []*tandemv1.RequestRecord{
			{Caller: "oidc:ann@example.org", Call: "SignalTask", Key: "hup", Sha256: make([]byte, 32), Taken: at(4)},
			{Caller: "token:ci", Call: "SubmitJob", Key: "deploy \"42\"", Sha256: make([]byte, 32), Taken: at(2),
				Answer: &tandemv1.RequestAnswer{Version: 2, Changed: true}},
		},
	}
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for n, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := jobspec.Parse(file, src)
		if err != nil {
			t.Fatal(err)
		}
		jobspec.Default(spec)
		id := spec.Id
		all.Jobs = append(all.Jobs, &tandemv1.JobRecord{
			Spec: spec, Version: 2, Created: at(1), Updated: at(2), Phase: tandemv1.JobPhase_JOB_PHASE_RUNNING, PhaseReason: "for a reason",
			AttemptFloor: 3, StableVersion: 1,
			Update: &tandemv1.UpdateRecord{Phase: tandemv1.UpdatePhase_UPDATE_PHASE_DONE, Version: 2, FromVersion: 1, Started: at(2), Progressed: at(3), Ended: at(3)},
		})
		for v := range uint64(2) {
			all.Versions = append(all.Versions, &tandemv1.VersionRecord{JobId: id, Version: v + 1, Spec: spec, Created: at(int(v))})
		}
		instances := max(1, spec.GetInstances())
		for slot := range instances {
			all.Instances = append(all.Instances, &tandemv1.InstanceRecord{
				JobId: id, Slot: slot, Phase: tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING, Since: at(3), Attempt: 5, JobVersion: 2,
				Failures: []*timestamppb.Timestamp{at(1)}, Streak: 1, Losses: 2,
			})
			a := &tandemv1.AttemptRecord{
				JobId: id, Slot: slot, Attempt: 5, JobVersion: 2, AgentId: "77a7fa47-S1", Hostname: "host-1", Created: at(2), Running: at(3),
				ExecutorId: strings.ReplaceAll(id[1:], "/", "_") + ".5", Attributes: map[string]string{"rack": "r1"}, AgentUrl: "http://10.0.0.1:5051",
				ExecutorDigest: "9c1be2ad07f2",
			}
			for _, w := range spec.Workloads {
				a.Tasks = append(a.Tasks, &tandemv1.TaskRecord{
					TaskId:   state.TaskName{Job: id, Slot: slot, Attempt: 5, Workload: w.Name}.String(),
					Workload: w.Name, State: tandemv1.TaskState_TASK_RUNNING, Healthy: proto.Bool(true), Ready: proto.Bool(true), Updated: at(3), Started: at(3),
					Ports: map[string]int32{"http": 31000}, ContainerId: "c0ffee",
				})
			}
			for v, spec := range spec.Volumes {
				all.Volumes = append(all.Volumes, &tandemv1.VolumeRecord{
					Id: "volume-" + string(rune('a'+n)) + string(rune('0'+v)) + string(rune('0'+slot)), JobId: id, Slot: slot, Name: spec.Name, Attempt: 5,
					AgentId: "77a7fa47-S1", Hostname: "host-1", Role: "prod", Size: 64, State: tandemv1.VolumeState_VOLUME_STATE_READY, Created: at(2), Reserved: true, Seen: true,
				})
				a.Volumes = append(a.Volumes, all.Volumes[len(all.Volumes)-1].Id)
			}
			all.Attempts = append(all.Attempts, a)
		}
	}
	// In the order of their keys.
	ordered := state.Snapshot{}
	changes := map[state.Kind]map[string]state.Change{}
	for c := range all.Changes() {
		if changes[c.Kind] == nil {
			changes[c.Kind] = map[string]state.Change{}
		}
		changes[c.Kind][c.Key.String()] = c
	}
	for _, kind := range state.Kinds {
		if len(changes[kind]) == 0 {
			t.Fatalf("there is no record of kind %s", kind)
		}
		for _, key := range sortedNames(changes[kind]) {
			ordered.Add(changes[kind][key].Record)
		}
	}
	return ordered
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
