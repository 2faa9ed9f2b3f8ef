package integration

import (
	"os"
	"strings"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// What a job file asks for of a process, in the words of the OCI runtime
// specification, is what the kernel says that the process has.
func TestProcessIsAsTheJobAsks(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: makes namespaces and takes capabilities")
	}
	s := startScheduler(t, startMesos(t))
	job := t.TempDir() + "/job.yaml"
	err := os.WriteFile(job, []byte(`
id: /confined
type: batch
restart: {attempts: 0}
workloads:
- name: look
  limits: {nofile: 300}
  linux:
    process:
      user: {umask: 23, additionalGids: [4242]}
      capabilities: {bounding: [CAP_KILL], permitted: [CAP_KILL], effective: [CAP_KILL]}
      rlimits: [{type: RLIMIT_CORE, soft: 0, hard: -1}, {type: RLIMIT_NOFILE, soft: 1, hard: 1}]
      noNewPrivileges: true
      oomScoreAdj: 321
    namespaces: [{type: pid}, {type: mount}]
    root: {readonly: true}
    mounts: [{destination: /mnt, type: tmpfs, options: [size=1m]}]
  cmd: |
    umask; ulimit -Sc; ulimit -Hc; ulimit -n; id -G | grep -o 4242; cat /proc/self/oom_score_adj
    grep -E 'CapBnd|CapEff|NoNewPrivs|^NSpid' /proc/self/status | tr '\t' ' '
    echo number $$
    touch /etc/tandem-was-here || echo cannot
    touch mine /mnt/there && echo can
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if r := s.tandem("run", "--wait", job); r.status != 0 {
		t.Fatalf("tandem run: %s", r)
	}
	r := s.tandem("logs", "confined.0.1.look")
	for _, want := range []string{
		"0027\n0\nunlimited\n300\n4242\n321\n",
		"NoNewPrivs: 1\n", "CapEff: 0000000000000020\nCapBnd: 0000000000000020\n", "number 1\n", "cannot\ncan\n",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("it does not say %q: %s", want, r)
		}
	}
}

// Commands beside a task that has namespaces of its own are in them: those of
// people, of checks, and before its end.
func TestCommandsBesideAConfinedTask(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: makes namespaces")
	}
	s := startScheduler(t, startMesos(t))
	s.run(`
id: /inside
workloads:
- name: web
  linux:
    namespaces: [{type: pid}, {type: mount}, {type: uts}]
    mounts: [{destination: /mnt, type: tmpfs, options: [size=1m]}]
  cmd: |
    hostname inside; echo here >/mnt/file
    trap 'cat /mnt/hook; exit 7' TERM
    while :; do sleep 0.1; done
  healthCheck: {command: {cmd: "grep here /mnt/file && [ $(hostname) = inside ]"}, interval: 1s, gracePeriod: 20s}
  kill: {preStopCommand: {cmd: "echo the hook was $(hostname) >/mnt/hook"}}
`)
	const task = "inside.0.1.web"
	s.awaitTask(task, func(task *tandemv1.TaskRecord) bool { return task.GetHealthy() })
	r := s.exec("", task, "sh", "-c", `hostname; cat /mnt/file; [ $$ != 1 ] && echo "not the first"; kill -9 $$`)
	if want := "inside\nhere\nnot the first\n"; r.stdout != want || r.status != 128+9 {
		t.Errorf("tandem exec: %swant %q and status 137", r, want)
	}
	if r := s.tandem("stop", "--wait", "/inside"); r.status != 0 {
		t.Fatalf("tandem stop: %s", r)
	}
	if ended := s.awaitTask(task, terminal); ended.GetReport().GetExitCode() != 7 {
		t.Errorf("the task ended with %v", ended)
	}
	if r := s.tandem("logs", task); !strings.Contains(r.stdout, "the hook was inside\n") {
		t.Errorf("the task does not see what its hook has written: %s", r)
	}
}
