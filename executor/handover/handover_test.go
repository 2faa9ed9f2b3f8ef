package handover

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/executor/output"
	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

func example() *State {
	return &State{
		Format: Format, Clock: 5e9, ExecutorID: "api.0.1", FrameworkID: "framework-1", ContainerID: "c", Hostname: "h", User: "root", Held: 9, Program: "ab12",
		Core: core.State{LastRun: 3, HadTasks: true, Request: 7},
		Workloads: []Workload{{Run: 2, State: workload.State{
			ID: "api.0.1.web", Pid: 4711, Age: time.Minute,
			Group:   cgroup.State{Name: "/mesos/c/task-web", Dirs: []cgroup.Dir{{Path: "/sys/fs/cgroup/cpu/mesos/c/task-web", Controllers: []string{"cpu"}}}},
			Streams: []output.State{{Name: "stdout", Pipe: 12, Dir: 13, Live: 14, MaxFiles: 2, MaxFileSize: 4096}, {Name: "stderr", Ended: true}},
		}}},
	}
}

func TestStateComesBackAsItWas(t *testing.T) {
	f, err := Write(example())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := Read(f)
	if err != nil || !reflect.DeepEqual(got, example()) {
		t.Errorf("got %+v, %v", got, err)
	}
	if fds := got.Descriptors(); !reflect.DeepEqual(fds, []int{9, 12, 13, 14}) {
		t.Errorf("descriptors %v", fds)
	}
	now := time.Now()
	if got := got.Written(now, 7e9); !got.Equal(now.Add(-2 * time.Second)) {
		t.Errorf("written %s before now", now.Sub(got))
	}
}

func TestStateThatCannotBeGoneOnWith(t *testing.T) {
	with := func(change func(*State)) string {
		s := example()
		change(s)
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":              {"", "cannot read"},
		"another format":       {with(func(s *State) { s.Format = 2 }), "it is of format 2, and this program reads format 1"},
		"a descriptor twice":   {with(func(s *State) { s.Held = 12 }), "descriptor 12"},
		"a descriptor below 3": {with(func(s *State) { s.Workloads[0].Streams[0].Live = 2 }), "descriptor 2"},
		"a workload twice": {with(func(s *State) {
			s.Workloads = append(s.Workloads, Workload{Run: 2, State: workload.State{ID: "x", Pid: 5}})
		}), "run 2"},
		"a workload without pid": {with(func(s *State) { s.Workloads[0].Pid = 0 }), "no process"},
	} {
		if _, err := Read(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestDescriptorsAreInheritedWhileTheyAreToBe(t *testing.T) {
	f, err := Write(example())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	for _, yes := range []bool{true, false} {
		if err := Inherit([]int{fd}, yes); err != nil {
			t.Fatal(err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || (flags&unix.FD_CLOEXEC == 0) != yes {
			t.Errorf("inherited %v: flags %d, %v", yes, flags, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	data, err := json.Marshal(example())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"Format":1,"Workloads":[{"Pid":-1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		if again, err := Write(s); err != nil {
			t.Error(err)
		} else {
			again.Close()
		}
	})
}
