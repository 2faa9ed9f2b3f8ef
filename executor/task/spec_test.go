package task

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/confine"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func TestLogSettingsAreTheSpecsRotation(t *testing.T) {
	task := &mesos.TaskInfo{Command: &mesos.CommandInfo{Value: proto.String("serve")}}
	for name, c := range map[string]struct {
		settings *tandemv1.TaskSettings
		want     *workload.Rotation
	}{
		"of another scheduler": {nil, nil},
		"none":                 {&tandemv1.TaskSettings{}, nil},
		"no number of files":   {&tandemv1.TaskSettings{Logs: &tandemv1.LogSettings{MaxFileSize: 4096}}, nil},
		"both":                 {&tandemv1.TaskSettings{Logs: &tandemv1.LogSettings{MaxFiles: 3, MaxFileSize: 4096}}, &workload.Rotation{MaxFiles: 3, MaxFileSize: 4096}},
	} {
		t.Run(name, func(t *testing.T) {
			spec, err := describe(task, c.settings, Limits{}, confine.Spec{}, nil, here)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, spec.Rotation); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestLostOutputIsAWarning(t *testing.T) {
	exit := exitOf(workload.Exit{LostOutput: []error{errors.New("of its stdout 12 bytes are missing: no space left on device")}})
	if diff := cmp.Diff([]string{"of its stdout 12 bytes are missing: no space left on device"}, exit.Warnings); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if exit.Err != "" || exit.Trouble != "" {
		t.Errorf("it is taken for more than that: %+v", exit)
	}
}
