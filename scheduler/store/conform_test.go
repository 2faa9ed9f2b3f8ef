package store_test

import (
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

// stores are all implementations: each opens an empty store, and the function
// that opens it again after it was closed.
var stores = map[string]func(t testing.TB) (store.Store, func() store.Store){
	"memory": func(testing.TB) (store.Store, func() store.Store) {
		m := store.NewMemory()
		return m, func() store.Store {
			m = m.Reopen()
			return m
		}
	},
	"bolt": func(t testing.TB) (store.Store, func() store.Store) {
		dir := t.TempDir()
		reopen := func() store.Store {
			b, err := store.OpenBolt(dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			return b
		}
		return reopen(), reopen
	},
	"zookeeper": func(t testing.TB) (store.Store, func() store.Store) {
		e := newEnsemble(t, shared.Server(t))
		reopen := func() store.Store { return e.lead().open() }
		return reopen(), reopen
	},
}

func each(t *testing.T, test func(t *testing.T, s store.Store, reopen func() store.Store)) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			s, reopen := open(t)
			test(t, s, reopen)
		})
	}
}

func framework(id string) *tandemv1.FrameworkRecord {
	return &tandemv1.FrameworkRecord{FrameworkId: id, Created: timestamppb.New(timestamppb.Now().AsTime())}
}

func job(id string, version uint64) *tandemv1.JobRecord {
	return &tandemv1.JobRecord{Spec: &tandemv1.Job{Id: id, Instances: proto.Int32(3)}, Version: version}
}

func version(job string, n uint64) *tandemv1.VersionRecord {
	return &tandemv1.VersionRecord{JobId: job, Version: n, Spec: &tandemv1.Job{Id: job}}
}

func instance(job string, slot int32) *tandemv1.InstanceRecord {
	return &tandemv1.InstanceRecord{JobId: job, Slot: slot, Phase: tandemv1.InstancePhase_INSTANCE_PHASE_WAITING}
}

func attempt(job string, slot int32, n uint64) *tandemv1.AttemptRecord {
	return &tandemv1.AttemptRecord{JobId: job, Slot: slot, Attempt: n, AgentId: "77a7fa47-S0",
		Tasks: []*tandemv1.TaskRecord{{TaskId: state.TaskName{Job: job, Slot: slot, Attempt: n, Workload: "web"}.String()}}}
}

func write(t *testing.T, s store.Store, changes ...state.Change) {
	t.Helper()
	if err := s.Write(changes); err != nil {
		t.Fatal(err)
	}
}

func wantSnapshot(t *testing.T, s store.Store, want state.Snapshot) {
	t.Helper()
	got, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
		t.Errorf("loaded otherwise than saved (-saved +loaded):\n%s", d)
	}
}

func TestAnEmptyStore(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func() store.Store) { wantSnapshot(t, s, state.Snapshot{}) })
}

func TestWhatWasWrittenIsThereAfterAReopening(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, reopen func() store.Store) {
		f := framework("77a7fa47-0002")
		// Keys sort as instances and attempts do, beyond nine.
		want := state.Snapshot{
			Framework: f,
			Jobs:      []*tandemv1.JobRecord{job("/payments/api", 2), job("/payments/api-2", 1)},
			Versions:  []*tandemv1.VersionRecord{version("/payments/api", 9), version("/payments/api", 10)},
			Instances: []*tandemv1.InstanceRecord{instance("/payments/api", 2), instance("/payments/api", 10)},
			Attempts:  []*tandemv1.AttemptRecord{attempt("/payments/api", 2, 9), attempt("/payments/api", 2, 10), attempt("/payments/api", 10, 1)},
			Requests:  []*tandemv1.RequestRecord{{Caller: "token:ci", Call: "StopJob", Key: "a key", Answer: &tandemv1.RequestAnswer{Version: 2}}},
		}
		write(t, s, state.PutRequest(want.Requests[0]))
		write(t, s, state.PutAttempt(want.Attempts[1]), state.PutAttempt(want.Attempts[2]), state.PutInstance(want.Instances[1]), state.PutVersion(want.Versions[1]))
		write(t, s, state.PutJob(want.Jobs[1]), state.PutFramework(f), state.PutVersion(want.Versions[0]))
		write(t, s, state.PutInstance(want.Instances[0]), state.PutJob(want.Jobs[0]), state.PutAttempt(want.Attempts[0]))
		wantSnapshot(t, s, want)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantSnapshot(t, reopen(), want)
	})
}

func TestTheLastChangeUnderAKeyCounts(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func() store.Store) {
		first, second := job("/batch/import", 1), job("/batch/import", 2)
		write(t, s, state.PutJob(first), state.PutJob(second), state.PutInstance(instance("/batch/import", 0)),
			state.PutInstance(instance("/batch/import", 0)).Removal())
		wantSnapshot(t, s, state.Snapshot{Jobs: []*tandemv1.JobRecord{second}})
		write(t, s, state.PutJob(first).Removal(), state.PutJob(job("/never/there", 1)).Removal())
		wantSnapshot(t, s, state.Snapshot{})
	})
}

func TestARecordChangedAfterItsWriteIsNotChangedInTheStore(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func() store.Store) {
		r := instance("/payments/api", 0)
		write(t, s, state.PutInstance(r))
		r.Slot = 5
		wantSnapshot(t, s, state.Snapshot{Instances: []*tandemv1.InstanceRecord{instance("/payments/api", 0)}})
	})
}

func TestAWriteThatFailsWritesNothing(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func() store.Store) {
		for name, bad := range map[string]state.Change{
			"a kind that nobody knows": {Key: state.Key{Kind: "offer", ID: "O1"}, Record: job("/a", 1)},
			"text that is not UTF-8":   state.PutJob(job("/\xff", 1)),
		} {
			if err := s.Write([]state.Change{state.PutJob(job("/payments/api", 1)), bad}); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		wantSnapshot(t, s, state.Snapshot{})
	})
}

func TestClosingTwice(t *testing.T) {
	each(t, func(t *testing.T, s store.Store, _ func() store.Store) {
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Load(); err == nil {
			t.Error("a closed store was read")
		}
		if err := s.Write(nil); err == nil {
			t.Error("a closed store was written")
		}
	})
}

// TestStoresAgree: any sequence of writes leaves the same in every store as in
// the memory store.
func TestStoresAgree(t *testing.T) {
	each(t, func(t *testing.T, _ store.Store, _ func() store.Store) {
		open := stores[path.Base(t.Name())]
		rapid.Check(t, func(r *rapid.T) {
			s, reopen := open(t)
			defer func() { s.Close() }()
			m := store.NewMemory()
			change := rapid.Custom(func(r *rapid.T) state.Change {
				id := rapid.SampledFrom([]string{"/a", "/a/b", "/a-b"}).Draw(r, "job")
				slot := rapid.Int32Range(0, 12).Draw(r, "slot")
				c := []state.Change{
					state.PutJob(job(id, uint64(slot))), state.PutInstance(instance(id, slot)),
					state.PutAttempt(attempt(id, slot, 1)),
				}[rapid.IntRange(0, 2).Draw(r, "kind")]
				if rapid.Bool().Draw(r, "removed") {
					return c.Removal()
				}
				return c
			})
			for _, changes := range rapid.SliceOfN(rapid.SliceOfN(change, 0, 8), 0, 4).Draw(r, "writes") {
				write(t, m, changes...)
				write(t, s, changes...)
				if rapid.Bool().Draw(r, "reopened") {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = reopen()
				}
			}
			want, _ := m.Load()
			wantSnapshot(t, s, want)
		})
	})
}
