package core

import (
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// A large group is one of equal tasks, mostly, and its first should not wait until the
// same was read for each.
func TestEqualSettingsOfAGroupAreReadOnce(t *testing.T) {
	now := time.Unix(1, 0)
	c, err := New(now, Config{
		ExecutorID: mesos.ExecutorID{Value: "e"}, FrameworkID: mesos.FrameworkID{Value: "f"}, Starts: 9,
		NewUUID: func() [16]byte { return [16]byte{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	data := func(signal string) []byte {
		settings, err := proto.Marshal(&tandemv1.TaskSettings{Magic: settingsMagic, KillSignal: signal})
		if err != nil {
			t.Fatal(err)
		}
		return settings
	}
	var tasks []mesos.TaskInfo
	for id, data := range [][]byte{data("SIGINT"), data("SIGINT"), data("SIGHUP"), nil, nil, data("SIGHUP")} {
		value := "true"
		tasks = append(tasks, mesos.TaskInfo{
			TaskID: mesos.TaskID{Value: string(rune('a' + id))}, Command: &mesos.CommandInfo{Value: &value}, Data: data,
		})
	}
	starts := c.Step(now, Launched{Tasks: tasks}).Starts
	if len(starts) != len(tasks) {
		t.Fatalf("%d of %d tasks are started", len(starts), len(tasks))
	}
	for i, want := range []string{"SIGINT", "SIGINT", "SIGHUP", "", "", "SIGHUP"} {
		if got := starts[i].Settings.GetKillSignal(); got != want || (starts[i].Settings == nil) != (want == "") {
			t.Errorf("task %d has the kill signal %q, want %q", i, got, want)
		}
	}
	if starts[0].Settings != starts[1].Settings {
		t.Error("the same settings were read twice")
	}
}

// TestOfAChecksKindsItsTypeCounts is about checks that say more than one thing.
func TestOfAChecksKindsItsTypeCounts(t *testing.T) {
	value, path := "true", "/health"
	command := mesos.CommandInfo{Value: &value}
	health := mesos.HealthCheck{
		Command: &command, HTTP: &mesos.HealthCheck_HTTPCheckInfo{Port: 1, Path: &path}, TCP: &mesos.HealthCheck_TCPCheckInfo{Port: 2},
	}
	status := mesos.CheckInfo{
		Command: &mesos.CheckInfo_Command{Command: command}, HTTP: &mesos.CheckInfo_Http{Port: 1, Path: &path}, TCP: &mesos.CheckInfo_Tcp{Port: 2},
	}
	for name, number := range mesos.HealthCheck_Type_value {
		health.Type, status.Type = mesos.HealthCheck_Type(number), mesos.CheckInfo_Type(number)
		for of, spec := range map[string]func() (CheckSpec, bool){
			"health check": func() (CheckSpec, bool) { return healthSpec(&health) },
			"check":        func() (CheckSpec, bool) { return statusSpec(&status) },
		} {
			got, ok := spec()
			if name == "UNKNOWN" {
				if ok {
					t.Errorf("a %s of no type is taken for %+v", of, got)
				}
				continue
			}
			if !ok || (got.Command != nil) != (name == "COMMAND") || (got.HTTP != nil) != (name == "HTTP") || (got.TCP != nil) != (name == "TCP") {
				t.Errorf("a %s of type %s is %+v, %v", of, name, got, ok)
			}
		}
	}
	for name, number := range mesos.HealthCheck_Type_value {
		if _, ok := healthSpec(&mesos.HealthCheck{Type: mesos.HealthCheck_Type(number)}); ok {
			t.Errorf("a health check of type %s that says no more is taken", name)
		}
		if _, ok := statusSpec(&mesos.CheckInfo{Type: mesos.CheckInfo_Type(number)}); ok {
			t.Errorf("a check of type %s that says no more is taken", name)
		}
	}
}
