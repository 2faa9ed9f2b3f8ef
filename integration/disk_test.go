package integration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestTheStatesDiskIsFull: a scheduler whose disk is full says so and ends, what
// it has answered is there when it starts with room again, and tasks have not
// noticed. On a disk that cannot be written it does not start.
func TestTheStatesDiskIsFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tandem-test", dir, "tmpfs", 0, "size=300k"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	// The executor needs room of its own.
	s := startScheduler(t, startMesos(t), "--state", dir, "--executor-uri", "file://"+filepath.Join(bin, "tandem-executor"))
	s.run(prefer(`
id: /steady
workloads:
- {name: main, cmd: exec sleep 1000}
`))
	s.awaitPhase("/steady", tandemv1.JobPhase_JOB_PHASE_RUNNING)
	before := processesOf(t, "steady.0.1.main")

	// Jobs that run nothing fill it.
	instances := int32(0)
	var answered []string
	for n := 0; ; n++ {
		if n == 10_000 {
			t.Fatal("the disk is not full after 10,000 jobs")
		}
		id := fmt.Sprintf("/job-%d", n)
		_, err := s.client.SubmitJob(t.Context(), &tandemv1.SubmitJobRequest{Job: &tandemv1.Job{
			Id: id, Instances: &instances, Workloads: []*tandemv1.Workload{{Name: "main", Cmd: "true"}},
		}})
		if err != nil {
			break
		}
		answered = append(answered, id)
	}
	if err := s.process.Wait(); err == nil || s.process.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v, want status 1", err)
	}
	s.process = nil
	if log := s.log.sinceMark(); !strings.Contains(log, "no space left on device") || !strings.Contains(log, "cannot write the state in "+dir) {
		t.Errorf("it does not say why it ended:\n%s", log)
	}

	remount := func(flags uintptr, data string) {
		t.Helper()
		if err := unix.Mount("tandem-test", dir, "tmpfs", unix.MS_REMOUNT|flags, data); err != nil {
			t.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY, "")
	out, err := exec.Command(filepath.Join(bin, "tandem"), s.arguments()...).CombinedOutput()
	if lines := strings.Count(string(out), "\n"); err == nil || lines != 1 || !strings.Contains(string(out), "read-only file system") {
		t.Errorf("on a disk that cannot be written it says %v, and: %s", err, out)
	}

	remount(0, "size=4m")
	s.start()
	for _, id := range answered {
		s.job(id)
	}
	s.awaitPhase("/steady", tandemv1.JobPhase_JOB_PHASE_RUNNING)
	if after := processesOf(t, "steady.0.1.main"); len(before) != 1 || len(after) != 1 || before[0] != after[0] {
		t.Errorf("the processes were %v and are %v", before, after)
	}
	s.stop(syscall.SIGTERM)
	s.start()
}
