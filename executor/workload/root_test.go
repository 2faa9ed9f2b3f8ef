package workload_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/confine"
)

// inside is where a workload with a root of its own finds its directory.
const inside = "/mnt/mesos/sandbox"

// rooted runs a test with each OCI runtime that the machine has, in every setup
// with cgroups.
func rooted(t *testing.T, test func(t *testing.T, e *env)) {
	t.Helper()
	needRoot(t)
	for _, runtime := range []string{"crun", "runc"} {
		for _, s := range everywhere[:2] {
			t.Run(runtime+" "+s.name, func(t *testing.T) {
				e := newEnv(t, s)
				if !e.launcher.OnlyRuntime(runtime) {
					t.Skipf("needs %s (Debian's package of that name)", runtime)
				}
				test(t, e)
				if left, _ := os.ReadDir(filepath.Join(e.dir, "work")); len(left) > 0 {
					t.Errorf("left of the runtime: %v", left)
				}
			})
		}
	}
}

// inRoot is a workload of a command in a root file system that has nothing but
// busybox.
func (e *env) inRoot(command string) workload.Spec {
	e.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		e.Skip("needs a static busybox (Debian's package busybox-static)")
	}
	root := filepath.Join(e.dir, "rootfs")
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		e.Fatal(err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		e.Fatal(err)
	}
	if name := filepath.Join(root, "bin/busybox"); !exists(name) {
		if err := os.WriteFile(name, program, 0o755); err != nil {
			e.Fatal(err)
		}
	}
	for _, name := range []string{"sh", "cat", "ls", "id", "pwd", "umask", "env", "sort", "grep", "sleep", "touch", "head", "tail", "tr", "mkdir", "readlink", "dd", "tty"} {
		_ = os.Symlink("busybox", filepath.Join(root, "bin", name)) // It may be there already.
	}
	s := e.shell(command)
	s.Dir = inside
	s.Env = []string{"PATH=/bin", "MESOS_SANDBOX=" + inside}
	s.View = workload.View{
		Namespaces: []specs.LinuxNamespaceType{specs.MountNamespace},
		Root:       &workload.Root{Path: root, Sandbox: e.dir, Inside: inside, Work: filepath.Join(e.dir, "work")},
	}
	return s
}

func TestRootIsItsOwn(t *testing.T) {
	rooted(t, func(t *testing.T, e *env) {
		volume := t.TempDir()
		s := e.inRoot(`ls -d /*; pwd; id -u; id -g; id -G; umask; env | sort; cat /proc/self/oom_score_adj
			grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; ulimit -c
			echo kept > $MESOS_SANDBOX/file; echo data > $MESOS_SANDBOX/data/file; ls $MESOS_SANDBOX/rootfs/bin/sh
			ls /tmp; touch /tmp/x; touch /sys/fs/cgroup/x || ls -d /sys/fs/cgroup/*/x; exit 3`)
		s.User, s.Groups, s.Umask, s.OOMScoreAdj, s.NoNewPrivileges = "nobody", []int{77}, ptr(0o27), ptr(100), true
		s.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 1024, Hard: 1024}}
		s.Capabilities = &specs.LinuxCapabilities{Bounding: []string{netBind}}
		s.View.Mounts = []confine.Mount{{Destination: "/tmp", Type: "tmpfs", Options: []string{"size=1m", "mode=1777"}}}
		s.View.Root.Volumes = []workload.Volume{{Source: volume, Destination: inside + "/data"}}
		if err := os.Chmod(volume, 0o777); err != nil {
			t.Fatal(err)
		}
		if exit := e.run(s); exit.Status != (workload.Status{Code: 3}) {
			t.Fatalf("exit = %+v: %s", exit, e.output("stderr"))
		}
		want := strings.Join([]string{
			"/bin", "/dev", "/etc", "/mnt", "/proc", "/sys", "/tmp", inside, "65534", "65534", "65534 77", "0027", "HOME", "MESOS_SANDBOX=" + inside, "PATH=/bin", "PWD", "SHLVL", "100",
			"CapBnd:\t0000000000000400", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "2", inside + "/rootfs/bin/sh",
		}, "\n")
		var got []string
		for line := range strings.Lines(e.output("stdout")) {
			line = strings.TrimSpace(line)
			for _, shells := range []string{"HOME=", "PWD=", "SHLVL="} {
				if strings.HasPrefix(line, shells) { // The shell's own, or the runtime's.
					line = strings.TrimSuffix(shells, "=")
				}
			}
			got = append(got, line)
		}
		lines := strings.Split(want, "\n")
		slices.Sort(lines)
		slices.Sort(got)
		if diff := cmp.Diff(lines, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if data, err := os.ReadFile(filepath.Join(volume, "file")); string(data) != "data\n" || e.output("file") != "kept\n" {
			t.Errorf("file = %q, %v", data, err)
		}
		if data, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(data), e.dir) {
			t.Errorf("a mount is left:\n%s", data)
		}
	})
}

func TestStatusInARootIsExact(t *testing.T) {
	rooted(t, func(t *testing.T, e *env) {
		for command, want := range map[string]workload.Status{
			"exit 0":                   {},
			"exit 127":                 {Code: 127},
			"kill -KILL $$":            {Signal: syscall.SIGKILL},
			"kill -USR2 $$":            {Signal: syscall.SIGUSR2},
			"sleep 1000 & exit 5":      {Code: 5},
			"(sleep 1000 &) ; exit 42": {Code: 42},
		} {
			exit := e.run(e.inRoot(command))
			if exit.Status != want || (exit.Leftovers > 0) != strings.Contains(command, "sleep") {
				t.Errorf("%s: %+v, want %v", command, exit, want)
			}
		}
	})
}

// The program and the runtime before it run in the workload's cgroup and nowhere
// else.
func TestProgramInARootIsInItsCgroup(t *testing.T) {
	rooted(t, func(t *testing.T, e *env) {
		before, above := everyCgroup(t), e.controllersAbove()
		p := e.start(e.inRoot(`cat /proc/self/cgroup > cgroup; touch ready; sleep 1000`))
		e.until("it has written", func() bool { return e.exists("ready") })
		for line := range strings.Lines(e.output("cgroup")) {
			mine, err := os.ReadFile("/proc/self/cgroup")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(line, "tandem-workload-") && !strings.Contains(string(mine), line) {
				t.Errorf("it is in %s", line)
			}
		}
		if u, err := p.Usage(); err != nil || u.CPU == nil && u.Memory == nil && e.x.Has("memory") {
			t.Errorf("usage = %+v, %v", u, err)
		}
		for _, made := range everyCgroup(t) {
			if !slices.Contains(before, made) && !strings.Contains(made, "tandem-workload-") {
				t.Errorf("made a cgroup %s", made)
			}
		}
		if diff := cmp.Diff(above, e.controllersAbove()); diff != "" {
			t.Errorf("controllers of the cgroups above: -before +after:\n%s", diff)
		}
		p.Kill()
		if exit := e.wait(p); exit.Status.Signal != syscall.SIGKILL {
			t.Errorf("exit = %+v", exit)
		}
	})
}

// controllersAbove is what is enabled in each cgroup from the container's up, on v2.
func (e *env) controllersAbove() map[string]string {
	all := map[string]string{}
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		for dir := filepath.Dir(e.x.String()); ; dir = filepath.Dir(dir) {
			name := filepath.Join(mount, dir, "cgroup.subtree_control")
			if data, err := os.ReadFile(name); err == nil {
				all[name] = string(data)
			}
			if dir == "/" {
				break
			}
		}
	}
	return all
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// everyCgroup lists those that could be made by a runtime, and not by other
// programs meanwhile: those with its name.
func everyCgroup(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "workload" || strings.Contains(d.Name(), "crun") || strings.Contains(d.Name(), "runc")) {
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCommandsShareTheRootOfAWorkload(t *testing.T) {
	rooted(t, func(t *testing.T, e *env) {
		s := e.inRoot("echo hello > /own; touch ready; sleep 1000")
		s.View.Namespaces = append(s.View.Namespaces, specs.PIDNamespace)
		p := e.start(s)
		e.until("it is ready", func() bool { return e.exists("ready") })
		check := e.inRoot("cat /own; pwd")
		check.View, check.With = s.View, p
		check.Stdout = filepath.Join(e.dir, "check")
		if exit := e.run(check); !exit.Status.Success() {
			t.Errorf("check: %+v", exit)
		}
		if got := e.output("check"); got != "hello\n"+inside+"\n" {
			t.Errorf("check says %q", got)
		}
		out, err := os.Create(filepath.Join(e.dir, "guest"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		guest := e.inRoot("cat /own; exit 9")
		guest.View = s.View
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		g, err := p.Join(context.Background(), workload.Guest{Spec: guest, Files: [3]*os.File{null, out, null}})
		if err != nil {
			t.Fatal(err)
		}
		if exit := <-g.Exit(); exit.Status.Code != 9 || e.output("guest") != "hello\n" {
			t.Errorf("guest: %+v, %q", exit, e.output("guest"))
		}
		p.Kill()
		e.wait(p)
	})
}

func TestOutOfMemoryInARoot(t *testing.T) {
	rooted(t, func(t *testing.T, e *env) {
		if !e.x.Has("memory") {
			t.Skip("needs the memory controller")
		}
		s := e.inRoot("touch ready; dd if=/dev/zero of=/dev/null bs=200M")
		s.Limits = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](64 << 20), Swap: ptr[int64](64 << 20)}}
		if exit := e.run(s); exit.OOMKills == 0 || exit.Usage.Memory == nil {
			t.Errorf("exit = %+v", exit)
		}
	})
}

func TestRootsThatFail(t *testing.T) {
	rooted(t, func(t *testing.T, e *env) {
		for name, c := range map[string]struct {
			change func(*workload.Spec)
			want   string
		}{
			"no such program":  {func(s *workload.Spec) { s.Shell, s.Args = "", []string{"nothing"} }, "nothing"},
			"no root":          {func(s *workload.Spec) { s.View.Root.Path += "x" }, "is no directory; let fetch bring it there"},
			"no shell":         {func(s *workload.Spec) { s.View.Root.Path = t.TempDir() }, "/bin/sh"},
			"no mount":         {func(s *workload.Spec) { s.View.Namespaces = nil }, "takes a mount namespace"},
			"no sandbox":       {func(s *workload.Spec) { s.View.Root.Sandbox += "/missing" }, "missing"},
			"another name":     {func(s *workload.Spec) { s.Shell, s.Path, s.Args = "", "/bin/busybox", []string{"sh"} }, "which an OCI runtime cannot give it"},
			"no such user":     {func(s *workload.Spec) { s.User = "nobody-at-all" }, "there is no user"},
			"relative sandbox": {func(s *workload.Spec) { s.View.Root.Sandbox = "x" }, "not absolute"},
		} {
			s := e.inRoot("exit 0")
			c.change(&s)
			_, err := e.launcher.Start(context.Background(), s)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("%s: err = %v, want %q", name, err, c.want)
			}
		}
		if e.x.Has("pids") {
			s := e.inRoot("exit 0")
			s.Limits = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](1)}}
			if _, err := e.launcher.Start(context.Background(), s); err == nil || strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("too few processes: %v", err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := e.launcher.Start(ctx, e.inRoot("sleep 1000")); err == nil {
			t.Error("started after its time")
		}
	})
}

// A start is broken off at any time without leaving anything, and an exit that
// comes at once is not lost.
func TestStartInARootIsBrokenOff(t *testing.T) {
	rooted(t, func(t *testing.T, e *env) {
		for i := range count(12) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*5*time.Millisecond)
			p, err := e.launcher.Start(ctx, e.inRoot("exit 7"))
			cancel()
			if err != nil {
				continue
			}
			if exit := e.wait(p); exit.Status.Code != 7 {
				t.Errorf("exit = %+v", exit)
			}
		}
	})
}

// An end of the runtime that the executor hears of by SIGCHLD alone is not hidden
// by that of the program.
func TestRootWhereTheRuntimeHasNoPidfd(t *testing.T) {
	rooted(t, func(t *testing.T, e *env) {
		e.launcher.WithoutPidfds()
		for range 5 {
			if exit := e.run(e.inRoot("exit 7")); exit.Status.Code != 7 {
				t.Errorf("exit = %+v", exit)
			}
		}
	})
}

func TestRootWithoutARuntime(t *testing.T) {
	needRoot(t)
	// One launcher at a time: each reaps all children of the process.
	t.Run("no runtime", func(t *testing.T) {
		e := newEnv(t, everywhere[0])
		e.launcher.OnlyRuntime("none")
		_, err := e.launcher.Start(context.Background(), e.inRoot("exit 0"))
		if err == nil || !strings.Contains(err.Error(), "install crun or runc") {
			t.Errorf("err = %v", err)
		}
	})
	t.Run("no further cgroup", func(t *testing.T) {
		full := newEnv(t, setup{"", func(t testing.TB) place { return chain(t, 1) }})
		sleeper := full.start(full.shell("exec sleep 1000"))
		_, err := full.launcher.Start(context.Background(), full.inRoot("exit 0"))
		if err == nil || !strings.Contains(err.Error(), "takes a cgroup: the container has as many as it can have") {
			t.Errorf("err = %v", err)
		}
		sleeper.Kill()
		full.wait(sleeper)
	})
	t.Run("no cgroup", func(t *testing.T) {
		without := newEnv(t, setup{"", none})
		_, err := without.launcher.Start(context.Background(), without.inRoot("exit 0"))
		if err == nil || !strings.Contains(err.Error(), "takes a cgroup") {
			t.Errorf("err = %v", err)
		}
	})
}

// A guest's terminal has a name in the root, by which programs find it again, and is
// that of whom the guest runs as.
func TestTerminalOfARoot(t *testing.T) {
	rooted(t, func(t *testing.T, e *env) {
		host := e.start(e.inRoot("touch ready; exec sleep 1000"))
		e.until("it is ready", func() bool { return e.exists("ready") })
		ours, tty, err := host.Terminal()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		if err := errors.Join(syscall.SetNonblock(int(tty.Fd()), false), tty.Chown(65534, 65534)); err != nil {
			t.Fatal(err)
		}
		spec := e.inRoot("tty && echo a terminal >$(tty); exec cat")
		spec.User = "nobody"
		guest, err := host.Join(t.Context(), workload.Guest{Spec: spec, Files: [3]*os.File{tty, tty, tty}, Terminal: true})
		tty.Close()
		if err != nil {
			t.Fatal(err)
		}
		if said := e.interrupted(guest, ours); !strings.HasPrefix(said, "/dev/pts/0\r\n") {
			t.Errorf("it says %q", said)
		}
		host.Kill()
		e.wait(host)
		if _, _, err := host.Terminal(); err == nil || err.Error() != "it has ended" {
			t.Errorf("after its end: %v", err)
		}
	})
}
