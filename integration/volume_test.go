package integration

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// volumeJob counts its starts in its volume, and says so in the file seen of its
// directory.
const volumeJob = `
id: /keeper
restart: {delay: 100ms, attempts: 100}
update: {minHealthyTime: 1s}
volumes:
- {name: data, size: 32Mi}
workloads:
- name: main
  cmd: echo %s >> data/starts; wc -l < data/starts; exec sleep 1000
`

// TestAVolumeKeepsWhatIsWrittenToIt: over a crash of its workload, an update, a
// scheduler that is killed, and the end of its job; until it is purged, after
// which nothing is reserved any more.
func TestAVolumeKeepsWhatIsWrittenToIt(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c, "--role", "keepers")
	s.run(fmt.Sprintf(volumeJob, "first"))
	s.awaitTask("keeper.0.1.main", inState(tandemv1.TaskState_TASK_RUNNING))
	s.starts("keeper.0.1.main", 1)
	volume := s.volume(tandemv1.VolumeState_VOLUME_STATE_READY)
	if r := s.tandem("volume", "purge", volume.Id); r.status == 0 || !strings.Contains(r.String(), "stop that first") {
		t.Errorf("the purge of a volume that is used: %s", r)
	}

	eventually(t, func() string {
		if len(processesOf(t, "keeper.0.1.main")) == 0 {
			return "the task has no process"
		}
		return ""
	})
	for _, pid := range processesOf(t, "keeper.0.1.main") {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	s.awaitTask("keeper.0.2.main", inState(tandemv1.TaskState_TASK_RUNNING))
	s.starts("keeper.0.2.main", 2)

	s.stop(syscall.SIGKILL)
	s.start()
	s.run(fmt.Sprintf(volumeJob, "second"))
	s.awaitTask("keeper.0.3.main", inState(tandemv1.TaskState_TASK_RUNNING))
	s.starts("keeper.0.3.main", 3)

	if r := s.tandem("stop", "--purge", "--wait", "/keeper"); r.status != 0 {
		t.Fatalf("tandem stop: %s", r)
	}
	if kept := s.volume(tandemv1.VolumeState_VOLUME_STATE_READY); kept.Id != volume.Id {
		t.Errorf("the volume is %s, and was %s", kept.Id, volume.Id)
	}
	s.run(fmt.Sprintf(volumeJob, "third"))
	s.awaitTask("keeper.0.4.main", inState(tandemv1.TaskState_TASK_RUNNING))
	s.starts("keeper.0.4.main", 4)

	if r := s.tandem("stop", "--purge", "--wait", "/keeper"); r.status != 0 {
		t.Fatalf("tandem stop: %s", r)
	}
	s.purges(c, volume.Id)
	eventually(t, func() string {
		if !s.framework().Suppressed {
			return "offers are not suppressed"
		}
		return ""
	})
}

// TestAVolumeGrows: a volume gets the size that its job asks for when its instance is
// started anew, and keeps what is in it.
func TestAVolumeGrows(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c, "--role", "growers")
	job := strings.Replace(fmt.Sprintf(volumeJob, "first"), "/keeper", "/grower", 1)
	s.run(job)
	s.awaitTask("grower.0.1.main", inState(tandemv1.TaskState_TASK_RUNNING))
	s.starts("grower.0.1.main", 1)
	s.run(strings.Replace(job, "32Mi", "48Mi", 1))
	if v := s.volume(tandemv1.VolumeState_VOLUME_STATE_READY); v.Size != 32 {
		t.Errorf("while it is used it has %v MiB", v.Size)
	}
	if r := s.tandem("restart", "--wait", "/grower"); r.status != 0 {
		t.Fatalf("tandem restart: %s", r)
	}
	s.starts("grower.0.2.main", 2)
	volume := s.volume(tandemv1.VolumeState_VOLUME_STATE_READY)
	if volume.Size != 48 {
		t.Errorf("it has %v MiB, and was to have 48", volume.Size)
	}
	if r := s.tandem("stop", "--purge", "--wait", "/grower"); r.status != 0 {
		t.Fatalf("tandem stop: %s", r)
	}
	s.purges(c, volume.Id)
}

// reserved is what the master's agents have reserved with this volume's name.
func (c *cluster) reserved(t *testing.T, id string) string {
	t.Helper()
	answer := get(t, "http://"+c.master+"/slaves")
	if at := strings.Index(answer, id); at >= 0 {
		return answer[max(0, at-200):min(len(answer), at+200)]
	}
	return ""
}

// purges destroys the only volume that there is, and waits until nothing of it is
// left with the master.
func (s *tandemScheduler) purges(c *cluster, volume string) {
	s.t.Helper()
	if r := s.tandem("volume", "purge", volume); r.status != 0 {
		s.t.Fatalf("tandem volume purge: %s", r)
	}
	eventually(s.t, func() string {
		if r := s.tandem("volume", "list"); !strings.Contains(r.String(), "there are no volumes") {
			return r.String()
		}
		if reserved := c.reserved(s.t, volume); reserved != "" {
			return "still reserved: " + reserved
		}
		return ""
	})
}

// volume waits until there is one volume in this state.
func (s *tandemScheduler) volume(state tandemv1.VolumeState) *tandemv1.VolumeRecord {
	s.t.Helper()
	var found *tandemv1.VolumeRecord
	eventually(s.t, func() string {
		res, err := s.client.ListVolumes(s.t.Context(), &tandemv1.ListVolumesRequest{})
		if err != nil {
			return err.Error()
		}
		if v := res.GetVolumes(); len(v) == 1 && v[0].State == state {
			found = v[0]
			return ""
		}
		return fmt.Sprintf("the volumes are %v", res.GetVolumes())
	})
	return found
}

// starts waits until a task has found so many lines in its volume.
func (s *tandemScheduler) starts(task string, n int) {
	s.t.Helper()
	eventually(s.t, func() string {
		if r := s.tandem("logs", task); strings.TrimSpace(r.stdout) != fmt.Sprint(n) {
			return "it has counted: " + r.String()
		}
		return ""
	})
}
