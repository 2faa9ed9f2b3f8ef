package integration

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// rootArchive packs a root file system of busybox alone, and returns its path.
func rootArchive(t *testing.T) string {
	t.Helper()
	return packed(t, "./", "")
}

// packed packs a root file system into a directory of an archive, with a config.json
// beside it if there is one.
func packed(t *testing.T, below, config string) string {
	t.Helper()
	needCgroups(t)
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs a static busybox (Debian's package busybox-static)")
	}
	if _, err := exec.LookPath("crun"); err != nil {
		if _, err := exec.LookPath("runc"); err != nil {
			t.Skip("needs an OCI runtime (Debian's packages crun and runc)")
		}
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "root.tar")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	add := func(h tar.Header) {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if config != "" {
		add(tar.Header{Name: "config.json", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(config))})
		if _, err := w.Write([]byte(config)); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Name: below, Typeflag: tar.TypeDir, Mode: 0o755})
	add(tar.Header{Name: below + "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777})
	add(tar.Header{Name: below + "dev/null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3})
	add(tar.Header{Name: below + "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))})
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	for _, applet := range []string{"sh", "cat", "ls", "pwd", "sleep", "grep", "stat", "kill", "seq", "id"} {
		add(tar.Header{Name: below + "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox"})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// A job brings a root file system of its own: its program, its checks, hooks and
// the commands of people run there, with its limits, ports and volumes, and when
// it has ended its status is exact and nothing is left.
func TestRootFileSystem(t *testing.T) {
	archive := rootArchive(t)
	s := startScheduler(t, startMesos(t), "--role", "rooted")
	s.run(fmt.Sprintf(`
id: /rooted
restart: {attempts: 0}
volumes: [{name: data, size: 32Mi}]
workloads:
- name: web
  fetch: [{uri: %[1]s, rootfs: true, destPath: rootfs/root.tar}]
  linux:
    namespaces: [{type: mount}, {type: pid}]
    root: {path: rootfs, readonly: true}
    mounts: [{destination: /run, type: tmpfs, options: [size=1m]}]
  limits: {mem: 72Mi}
  logs: {maxFiles: 2, maxFileSize: 1Mi}
  ports: [{name: http}]
  cmd: |
    pwd; echo "$MESOS_SANDBOX"; ls /; echo "port ${PORT_HTTP:?}"; echo "number $$"
    echo here > /run/file; echo kept > data/file; echo no > /no || echo cannot
    trap 'cat /run/hook; exit 7' TERM
    while :; do sleep 0.1; done
  healthCheck: {command: {cmd: "grep here /run/file"}, interval: 1s, gracePeriod: 20s}
  kill: {preStopCommand: {cmd: "echo the hook was here > /run/hook"}}
`, archive))
	const task = "rooted.0.1.web"
	s.awaitTask(task, func(task *tandemv1.TaskRecord) bool { return task.GetHealthy() })
	r := s.exec("", task, "sh", "-c", "cat /run/file data/file; ls /bin/busybox; [ $$ != 1 ] && kill -9 $$")
	if want := "here\nkept\n/bin/busybox\n"; r.stdout != want || r.status != 128+9 {
		t.Errorf("tandem exec: %swant %q and status 137", r, want)
	}
	if r := s.tandem("stop", "--wait", "/rooted"); r.status != 0 {
		t.Fatalf("tandem stop: %s", r)
	}
	if ended := s.awaitTask(task, terminal); ended.GetReport().GetExitCode() != 7 || ended.GetReport().GetUsage().GetMemoryLimitBytes() != 72<<20 {
		t.Errorf("the task ended with %v", ended)
	}
	r = s.tandem("logs", task)
	for _, want := range []string{
		"/mnt/mesos/sandbox\n/mnt/mesos/sandbox\nbin\ndev\n", "number 1\ncannot\n", "the hook was here\n",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("it does not say %q: %s", want, r)
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), "/"+task+"/rootfs") {
		t.Errorf("a mount is left: %v, %s", err, mounts)
	}
}

// A bundle of the OCI runtime specification says what runs, as whom and how, where the
// job does not. What it asks for in vain is said, and its limits are the job's.
func TestBundle(t *testing.T) {
	archive := packed(t, "rootfs/", `{
		"ociVersion": "1.0.2",
		"process": {
			"terminal": true, "user": {"uid": 12345, "gid": 54321}, "cwd": "/tmp", "env": ["PATH=/bin", "MODE=image", "KEPT=yes"],
			"args": ["sh", "-c", "pwd; id -u; echo $MODE $KEPT; cat /proc/sys/kernel/hostname; echo own > /own || echo > file; ls; stat -c %u /mnt/mesos/sandbox/app; echo x > $MESOS_SANDBOX/app/config.json || exit 3"],
			"noNewPrivileges": true
		},
		"root": {"path": "rootfs", "readonly": true}, "hostname": "box",
		"mounts": [{"destination": "/proc", "type": "proc"}, {"destination": "/tmp", "type": "tmpfs", "options": ["mode=1777"]}],
		"linux": {"namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "uts"}, {"type": "mount"}], "resources": {"memory": {"limit": 1}}}
	}`)
	s := startScheduler(t, startMesos(t))
	job := filepath.Join(t.TempDir(), "job.yaml")
	if err := os.WriteFile(job, []byte(fmt.Sprintf(`
id: /bundled
type: batch
workloads:
- name: main
  env: {MODE: job}
  fetch: [{uri: %s, rootfs: true, destPath: app/bundle.tar}]
  linux: {bundle: app}
  limits: {mem: 72Mi}
`, archive)), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := s.tandem("run", "--wait", job); r.status == 0 {
		t.Fatalf("tandem run: %s", r)
	}
	ended := s.awaitTask("bundled.0.1.main", terminal)
	report := ended.GetReport()
	if report.GetExitCode() != 3 || report.GetUsage().GetMemoryLimitBytes() != 72<<20 {
		t.Errorf("the task ended with %v", ended)
	}
	for _, want := range []string{"the bundle's network namespace: a task has the agent's network and ports", "linux.resources of the bundle: a task's limits are the job's"} {
		if !slices.Contains(report.GetWarnings(), want) {
			t.Errorf("no warning of %q: %q", want, report.GetWarnings())
		}
	}
	if r := s.tandem("logs", "bundled.0.1.main"); !strings.Contains(r.stdout, "/tmp\n12345\njob yes\nbox\nfile\n0\n") {
		t.Errorf("it says %s", r)
	}
}

// Workloads that are started again in place, as those of two instances that share
// an executor, find their root as it was left.
func TestRootFileSystemOfAFewRuns(t *testing.T) {
	archive := rootArchive(t)
	s := startScheduler(t, startMesos(t))
	job := filepath.Join(t.TempDir(), "job.yaml")
	err := os.WriteFile(job, []byte(fmt.Sprintf(`
id: /again
type: batch
instances: 2
executor: {share: job}
workloads:
- name: main
  fetch: [{uri: %s, rootfs: true, destPath: rootfs/root.tar}]
  linux: {namespaces: [{type: mount}], root: {path: rootfs}}
  restart: {attempts: 3, delay: 10ms}
  cmd: |
    echo run >> /runs; cat /runs
    [ $(grep -c run /runs) = 3 ] && touch file && exit 0
    exit 5
`, archive)), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if r := s.tandem("run", "--wait", job); r.status != 0 {
		t.Fatalf("tandem run: %s", r)
	}
	for _, task := range []string{"again.0.1.main", "again.1.1.main"} {
		if ended := s.awaitTask(task, terminal); ended.GetReport().GetRestarts() != 2 {
			t.Errorf("the task ended with %v", ended)
		}
		if r := s.tandem("logs", task); r.stdout != strings.Repeat("run\n", 1+2+3) {
			t.Errorf("it says %s", r)
		}
	}
}

// What cannot be run in a root is a failure that says why.
func TestRootFileSystemThatFails(t *testing.T) {
	archive := rootArchive(t)
	s := startScheduler(t, startMesos(t))
	for name, c := range map[string]struct{ fetch, command, want string }{
		"program": {"[{uri: " + archive + ", rootfs: true, destPath: rootfs/root.tar}]", "[nothing-of-this-name]", "nothing-of-this-name"},
		"nothing": {"[]", "[sh]", "rootfs is no directory; let fetch bring it there"},
		"bundle":  {"[{uri: " + archive + ", rootfs: true, destPath: rootfs/root.tar}]", "[sh]", "Cannot use its bundle rootfs: it has no config.json"},
		"archive": {"[{uri: /etc/hostname, rootfs: true, destPath: rootfs/root.tar}]", "[sh]", "cannot unpack rootfs/root.tar"},
	} {
		linux := "{namespaces: [{type: mount}], root: {path: rootfs}}"
		if name == "bundle" {
			linux = "{bundle: rootfs}"
		}
		job := filepath.Join(t.TempDir(), "job.yaml")
		err := os.WriteFile(job, []byte(fmt.Sprintf(`
id: /fails-%s
type: batch
workloads:
- name: main
  fetch: %s
  linux: %s
  args: %s
`, name, c.fetch, linux, c.command)), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if r := s.tandem("run", "--wait", job); r.status == 0 {
			t.Errorf("%s: tandem run: %s", name, r)
		}
		ended := s.awaitTask("fails-"+name+".0.1.main", terminal)
		if ended.State != tandemv1.TaskState_TASK_FAILED || !strings.Contains(ended.Message, c.want) {
			t.Errorf("%s: %v", name, ended)
		}
	}
}
