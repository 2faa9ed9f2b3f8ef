package cgroupv2

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

var buildOnce sync.Once

// local runs `tandem local --wait` on a job file in a guest, by way of the
// command before it, if there is one.
func local(t *testing.T, m machine, job string, before ...string) (status int, output string) {
	t.Helper()
	t.Parallel()
	tandem := filepath.Join(built, "tandem")
	buildOnce.Do(func() {
		compile(t, "build", "-trimpath", "-o", tandem, module+"/scheduler")
		compile(t, "build", "-trimpath", "-o", tandem+"-executor", module+"/executor")
	})
	end, output := m.run(t, moduleRoot(t), append(before, tandem, "local", "--wait", job)...)
	return end.Status, output
}

// What a newcomer's first command meets on a fresh Debian or Ubuntu.
func TestFirstExampleRunsOnV2(t *testing.T) {
	status, output := local(t, machines[0], "examples/hello.yaml")
	if status != 0 {
		t.Errorf("status = %d", status)
	}
	peaks := regexp.MustCompile(`(?m)^hello\.\d\.1\.(count|watch) +TASK_FINISHED .* [\d.]+ MiB of (32|16) MiB`)
	if found := peaks.FindAllString(output, -1); len(found) != 4 {
		t.Errorf("the report has %d tasks with their memory, want 4: %q", len(found), found)
	}
}

func TestTasksHaveCgroupsOfTheirOwnOnV2(t *testing.T) {
	for _, m := range machines {
		t.Run(m.name, func(t *testing.T) {
			status, output := local(t, m, "integration/cgroupv2/testdata/limits.yaml")
			if status != 0 {
				t.Errorf("status = %d", status)
			}
			memory := "memory.high 50331648\n  memory.max max"
			if m.localEvents {
				memory = "memory.high max\n  memory.max 50331648"
			}
			for _, want := range []string{
				"/mesos/leaf\n", "/mesos/mesos/leaf\n", memory, "cpu.weight 30\n", "cpu.max 50000 100000\n", "pids.max 30\n", "pids.max 20\n",
			} {
				if !strings.Contains(output, want) {
					t.Errorf("the tasks do not see %q", want)
				}
			}
			if n := strings.Count(output, "processes of its own only"); n != 2 {
				t.Errorf("%d tasks are alone in their cgroups, want 2", n)
			}
		})
	}
}

func TestOutOfMemoryIsToldOnV2(t *testing.T) {
	for _, m := range machines {
		t.Run(m.name, func(t *testing.T) {
			status, output := local(t, m, "integration/cgroupv2/testdata/hungry.yaml")
			if status != 1 {
				t.Errorf("status = %d, want that of a job that failed", status)
			}
			for _, want := range []*regexp.Regexp{
				regexp.MustCompile(`(?m)^hungry\.0\.1\.eat +TASK_FAILED +SIGKILL .* of 32 MiB +CONTAINER_LIMITATION_MEMORY: Memory limit exceeded: used 3\d MiB of 32 MiB`),
				// The container lives, and the sibling ends in order.
				regexp.MustCompile(`(?m)^hungry\.0\.1\.sleep +TASK_KILLED +SIGTERM `),
			} {
				if !want.MatchString(output) {
					t.Errorf("the report has no line like %s", want)
				}
			}
		})
	}
}

func TestOtherUsersAreToldWhatIsNotEnforced(t *testing.T) {
	preferred(t, "root", "/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "--chdir=/")
}

// In a container that may write to its cgroups, all processes are in what it
// sees as the root, and the kernel enables no memory controller below them.
func TestRootInAContainerIsToldWhatIsNotEnforced(t *testing.T) {
	preferred(t, "memory controller", "/bin/sh", "-c", `
		echo "+cpu +memory +pids" >/sys/fs/cgroup/user.slice/cgroup.subtree_control
		exec unshare --cgroup --mount sh -c '
			umount /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"' sh "$@"`, "sh")
}

// preferred runs a job, by way of a command that takes the possibility of
// limits away, whose limits are only preferred.
func preferred(t *testing.T, reason string, before ...string) {
	t.Helper()
	// The source may be where only root can read.
	data, err := os.ReadFile("testdata/preferred.yaml")
	job := filepath.Join(built, "preferred.yaml")
	if err == nil {
		err = os.WriteFile(job, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	status, output := local(t, machines[0], job, before...)
	if status != 0 {
		t.Errorf("status = %d", status)
	}
	for _, want := range []*regexp.Regexp{
		regexp.MustCompile(`(?m)^note +limits are not enforced here.*` + reason),
		regexp.MustCompile(`(?m)^warning about preferred\.0\.1\.work: memory\.max, .*pids\.max: .* without cgroups`),
	} {
		if found := want.FindAllString(output, -1); len(found) != 1 {
			t.Errorf("there are %d lines like %s, want 1", len(found), want)
		}
	}
}
