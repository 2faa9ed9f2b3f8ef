package agent_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
)

func TestSandboxesAreRemovedInTime(t *testing.T) {
	clock := newManualClock()
	f := start(t, func(o *agent.Options) {
		o.Clock, o.GCDelay = clock, time.Hour
		o.DiskUsage = func() (float64, error) { return 0, errors.New("nobody knows") }
	})
	f.launch(executorInfo("exec-1", "exit"), task("t1", "run"))
	f.expect("exited exec-1 768")
	u := f.expect("update t1 TASK_FAILED").update
	f.agent.AcknowledgeStatusUpdate(u.FrameworkID, u.Status.TaskID, u.Status.UUID)
	sandbox := f.sandbox("exec-1")
	f.agent.ID() // the acknowledgement has arrived
	clock.advance(time.Hour - time.Second)
	if _, err := os.Stat(filepath.Join(sandbox, "stdout")); err != nil {
		t.Error(err)
	}
	clock.advance(time.Second)
	waitFor(t, "the sandbox to be removed", func() bool {
		_, err := os.Lstat(filepath.Dir(filepath.Dir(filepath.Dir(sandbox))))
		return errors.Is(err, fs.ErrNotExist)
	})
	if got := f.ask(http.MethodGet, "/files/browse?path="+sandbox, "", "", ""); got.status != http.StatusNotFound {
		t.Errorf("a removed sandbox is %v", got)
	}
}

// TestSandboxesAreRemovedWhenTheDiskFillsUp has a disk that leaves half of the
// delay: what is not used of it, less the headroom.
func TestSandboxesAreRemovedWhenTheDiskFillsUp(t *testing.T) {
	clock := newManualClock()
	f := start(t, func(o *agent.Options) {
		o.Clock, o.GCDelay = clock, time.Hour
		o.DiskUsage = func() (float64, error) { return 0.4, nil }
	})
	f.launch(executorInfo("exec-1", "exit"), task("t1", "run"))
	f.expect("exited exec-1 768")
	u := f.expect("update t1 TASK_FAILED").update
	f.agent.AcknowledgeStatusUpdate(u.FrameworkID, u.Status.TaskID, u.Status.UUID)
	sandbox := f.sandbox("exec-1")
	f.agent.ID() // the acknowledgement has arrived
	for range 29 {
		clock.advance(time.Minute)
		f.agent.ID()
	}
	if _, err := os.Stat(filepath.Join(sandbox, "stdout")); err != nil {
		t.Error(err)
	}
	for range 2 {
		clock.advance(time.Minute)
		f.agent.ID()
	}
	waitFor(t, "the sandbox to be removed", func() bool {
		_, err := os.Lstat(sandbox)
		return errors.Is(err, fs.ErrNotExist)
	})
	waitFor(t, "the removal to be counted", func() bool {
		var metrics map[string]float64
		got := f.ask(http.MethodGet, "/metrics/snapshot", "", "", "")
		return json.Unmarshal([]byte(got.body), &metrics) == nil && metrics["gc/path_removals_succeeded"] == 1 &&
			metrics["slave/executor_directory_max_allowed_age_secs"] == 1800
	})
}
