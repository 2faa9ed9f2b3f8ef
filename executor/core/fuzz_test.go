package core

import (
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// FuzzTask launches whatever decodes as a TaskInfo, and plays its life: no
// description of a task may bring down the executor, which carries others.
func FuzzTask(f *testing.F) {
	seed := func(change func(*mesos.TaskInfo)) {
		info := &mesos.TaskInfo{TaskID: mesos.TaskID{Value: "web"}, Command: &mesos.CommandInfo{Value: proto.String("exec ./web")}}
		change(info)
		data, err := info.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	seed(func(*mesos.TaskInfo) {})
	seed(func(i *mesos.TaskInfo) { i.HealthCheck = &mesos.HealthCheck{IntervalSeconds: proto.Float64(1e300)} })
	seed(func(i *mesos.TaskInfo) {
		i.Check = &mesos.CheckInfo{Type: mesos.CheckInfo_TCP, TCP: &mesos.CheckInfo_Tcp{Port: 31000}}
	})
	seed(func(i *mesos.TaskInfo) {
		data, err := proto.Marshal(&tandemv1.TaskSettings{
			Magic: settingsMagic, Lifecycle: tandemv1.Lifecycle_LIFECYCLE_SIDECAR, KillSignal: "SIGQUIT",
			PreStopHttp: &tandemv1.HttpCheck{Path: "/quit"}, ReadinessCheck: &tandemv1.HealthCheck{},
		})
		if err != nil {
			f.Fatal(err)
		}
		i.Data = data
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		var info mesos.TaskInfo
		if info.Unmarshal(data) != nil {
			return
		}
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		c, err := New(now, Config{
			ExecutorID: mesos.ExecutorID{Value: "e"}, FrameworkID: mesos.FrameworkID{Value: "f"},
			NewUUID: func() [16]byte { return [16]byte{6: 0x40, 8: 0x80} },
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Step(now, Subscribing{})
		c.Step(now, subscribedWith([]string{"TASK_KILLING_STATE"}))
		e := c.Step(now, Launched{Tasks: []mesos.TaskInfo{info}})
		for _, fetch := range e.Fetches {
			e = c.Step(now, Fetched{Run: fetch.Run})
		}
		for _, s := range e.Starts {
			c.Step(now, Started{Run: s.Run})
			for range 3 {
				next, ok := c.Next()
				if !ok {
					break
				}
				if next.After(now) {
					now = next
				}
				for _, k := range c.Step(now, Ticked{}).Checks {
					c.Step(now, Checked{Run: k.Run, Kind: k.Kind, Seq: k.Seq, Result: CheckResult{Err: "no answer"}})
				}
			}
			c.Step(now, KillAsked{TaskID: info.TaskID})
			c.Step(now, Exited{Run: s.Run})
		}
		if c.live != 0 {
			t.Errorf("%d tasks live on", c.live)
		}
		for _, p := range c.runs {
			if _, err := p.info.Marshal(); err != nil {
				t.Errorf("a task that came cannot be sent back: %v", err)
			}
		}
	})
}
