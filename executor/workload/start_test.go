package workload_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

func ptr[T any](v T) *T { return &v }

func TestStatusIsExact(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		for command, want := range map[string]workload.Status{
			"exit 0":        {},
			"exit 3":        {Code: 3},
			"exit 127":      {Code: 127},
			"kill -TERM $$": {Signal: syscall.SIGTERM},
			"kill -KILL $$": {Signal: syscall.SIGKILL},
			"kill -USR2 $$": {Signal: syscall.SIGUSR2},
		} {
			if exit := e.run(e.shell(command)); exit.Status != want || exit.OOMKills != 0 || exit.Leftovers != 0 {
				t.Errorf("%s: %+v, want %v", command, exit, want)
			}
		}
	})
}

func TestCoreDumpIsTold(t *testing.T) {
	e := newEnv(t, setup{"", none})
	s := e.shell("kill -SEGV $$")
	s.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 1 << 30, Hard: 1 << 30}}
	exit := e.run(s)
	if exit.Status.Signal != syscall.SIGSEGV {
		t.Fatalf("exit = %+v", exit)
	}
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil || strings.HasPrefix(string(pattern), "|") || strings.TrimSpace(string(pattern)) == "" {
		t.Skipf("needs core dumps to files; core_pattern is %q", pattern)
	}
	if !exit.Status.CoreDumped {
		t.Errorf("status = %v, want a core dump", exit.Status)
	}
}

// The workload gets what it was given and nothing of the executor's.
func TestWhatAWorkloadGets(t *testing.T) {
	t.Setenv("EXECUTOR_SECRET", "must not be passed on")
	stray, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer stray.Close()
	inherited, err := syscall.Dup(int(stray.Fd())) // without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(inherited) }()
	each(t, func(t *testing.T, e *env) {
		s := e.shell(`env | sort > env; umask > umask; pwd > pwd; cat > stdin
			links=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo "$links" > fds; ls /proc/$$/fd > numbers
			cut -d' ' -f5,6 /proc/$$/stat > ids; echo $$ > pid
			grep -E 'open files' /proc/$$/limits > nofile; cat /proc/$$/oom_score_adj > score; echo out; echo err >&2`)
		s.Env = append(s.Env, "BYTES=\xff\xfe")
		exit := e.run(s)
		if !exit.Status.Success() {
			t.Fatalf("exit = %+v, %s", exit, e.output("stderr"))
		}
		numbers := strings.Fields(e.output("numbers"))
		got := map[string]string{
			"env":    e.output("env"),
			"umask":  e.output("umask"),
			"pwd":    e.output("pwd"),
			"stdin":  e.output("stdin"),
			"fds":    e.output("fds"),
			"stdout": e.output("stdout"),
			"stderr": e.output("stderr"),
			"score":  e.output("score"),
		}
		want := map[string]string{
			"env":    "BYTES=\xff\xfe\nGREETING=hello\nPATH=/usr/local/bin:/usr/bin:/bin\nPWD=" + e.dir + "\n",
			"umask":  "0022\n",
			"pwd":    e.dir + "\n",
			"stdin":  "",
			"fds":    "/dev/null\n" + s.Stdout + "\n" + s.Stderr + "\n",
			"stdout": "out\n",
			"stderr": "err\n",
			"score":  "0\n",
		}
		if e.container == nil {
			want["env"] += "TANDEM_PROCESS_OF=executor/" + s.ID + "\n" // nothing else tells its processes
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		// ls has the directory itself open, and the shell a copy of its output.
		for _, n := range numbers {
			if fd, _ := strconv.Atoi(n); fd > 2 && fd < 10 {
				t.Errorf("descriptor %d is open", fd)
			}
		}
		pid := strings.TrimSpace(e.output("pid"))
		if got, want := strings.TrimSpace(e.output("ids")), pid+" "+pid; got != want {
			t.Errorf("process group and session = %s, want %s", got, want)
		}
		var own syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &own); err != nil {
			t.Fatal(err)
		}
		if fields := strings.Fields(e.output("nofile")); own.Cur > 1024 && own.Cur == own.Max && fields[3] == fmt.Sprint(own.Cur) && softLimit(t) != own.Cur {
			t.Errorf("RLIMIT_NOFILE: %v is what Go raised for itself", fields)
		}
	})
}

// A shell would block and catch signals itself, and so would grep.
func TestSignalsHaveTheirDefaults(t *testing.T) {
	signal.Ignore(syscall.SIGUSR1, syscall.SIGHUP)
	defer signal.Reset(syscall.SIGUSR1, syscall.SIGHUP)
	each(t, func(t *testing.T, e *env) {
		s := e.shell("")
		s.Shell, s.Args = "", []string{"cat", "/proc/self/status"}
		if exit := e.run(s); !exit.Status.Success() {
			t.Fatalf("exit = %+v", exit)
		}
		for line := range strings.Lines(e.output("stdout")) {
			if strings.HasPrefix(line, "Sig") && !strings.HasPrefix(line, "SigQ") && strings.Fields(line)[1] != "0000000000000000" {
				t.Errorf("%s", line)
			}
		}
	})
}

// softLimit is the soft RLIMIT_NOFILE that this process was started with, as
// its parent still has it.
func softLimit(t *testing.T) uint64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", os.Getppid()))
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			n, _ := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

func TestWhatIsAskedForIsSet(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		s := e.shell(`umask; cat /proc/$$/oom_score_adj; grep NoNewPrivs /proc/$$/status; ulimit -n; ulimit -Hn`)
		s.Umask = ptr(0o077)
		s.OOMScoreAdj = ptr(500)
		s.NoNewPrivileges = true
		s.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 300, Hard: 400}}
		if exit := e.run(s); !exit.Status.Success() {
			t.Fatalf("exit = %+v", exit)
		}
		if got, want := e.output("stdout"), "0077\n500\nNoNewPrivs:\t1\n300\n400\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestFirstInstructionIsInItsCgroup(t *testing.T) {
	for _, s := range everywhere[:2] {
		t.Run(s.name, func(t *testing.T) {
			e := newEnv(t, s)
			spec := e.shell("")
			spec.Shell, spec.Args = "", []string{"cat", "/proc/self/cgroup"}
			if exit := e.run(spec); !exit.Status.Success() {
				t.Fatalf("exit = %+v", exit)
			}
			m, err := cgroup.ParseMembership(strings.NewReader(e.output("stdout")))
			if err != nil {
				t.Fatal(err)
			}
			if s.name == "v2" {
				if want := e.x.String() + "/mesos/leaf"; m.Unified != want {
					t.Errorf("in %s, want %s", m.Unified, want)
				}
				return
			}
			for _, c := range controllers {
				if want := e.x.String() + "/task-" + spec.ID; m.Controllers[c] != want {
					t.Errorf("%s: in %s, want %s", c, m.Controllers[c], want)
				}
			}
			for c, group := range m.Controllers {
				if strings.HasPrefix(group, e.x.String()) != e.hasController(c) {
					t.Errorf("%s: in %s", c, group)
				}
			}
		})
	}
}

func (e *env) hasController(c string) bool {
	for _, have := range e.container.Controllers() {
		if have == c {
			return true
		}
	}
	return false
}

func TestStartsThatFail(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		script := filepath.Join(e.dir, "script")
		if err := os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		plain := filepath.Join(e.dir, "plain")
		if err := os.WriteFile(plain, []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
		args := func(args ...string) func(*workload.Spec) {
			return func(s *workload.Spec) { s.Shell, s.Args = "", args }
		}
		for _, c := range []struct {
			name, want string
			change     func(*workload.Spec)
		}{
			{"a program that is not there", `"/no/such/program": no such file or directory`, args("/no/such/program")},
			{"a name that is in no PATH", `"no-such-program": it is in no directory of PATH`, args("no-such-program")},
			{"a script without its interpreter", "its interpreter", args(script)},
			{"a file that may not be executed", "permission denied", args(plain)},
			{"a directory", "permission denied", args("/")},
			{"a working directory that is not there", "working directory", func(s *workload.Spec) { s.Dir = "/no/such/dir" }},
			{"a user that is not there", `no user "nobody-such"`, func(s *workload.Spec) { s.User = "nobody-such" }},
			{"a user's number that is not there", `no user "987654"`, func(s *workload.Spec) { s.User = "987654" }},
			{"a log in no directory", "no such file", func(s *workload.Spec) { s.Stdout = "/no/such/dir/stdout" }},
			{"a log that is a directory", "cannot write its output", func(s *workload.Spec) { s.Stderr = e.dir }},
			{"a log that is a device", "regular file", func(s *workload.Spec) { s.Stderr = "/dev/zero" }},
			{"a resource limit that is too high", "RLIMIT_NOFILE", func(s *workload.Spec) {
				s.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1 << 40, Hard: 1 << 40}}
			}},
			{"no id", "no id", func(s *workload.Spec) { s.ID = "" }},
			{"no command", "exactly one", func(s *workload.Spec) { s.Shell = "" }},
			{"a command and arguments", "exactly one", func(s *workload.Spec) { s.Args = []string{"true"} }},
			{"a relative directory", "not an absolute path", func(s *workload.Spec) { s.Dir = "here" }},
			{"an environment that is none", "not name=value", func(s *workload.Spec) { s.Env = []string{"PATH"} }},
			{"limits that make no sense", "cpu.quota", func(s *workload.Spec) {
				s.Limits = &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(0))}}
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				s := e.shell("true")
				c.change(&s)
				p, err := e.launcher.Start(t.Context(), s)
				if err == nil {
					t.Fatalf("it was started, and ended with %+v", e.wait(p))
				}
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("err = %v, want something about %q", err, c.want)
				}
			})
		}
		// Nothing is left that would be in the way.
		if exit := e.run(e.shell("true")); !exit.Status.Success() {
			t.Errorf("afterwards: %+v", exit)
		}
	})
}

func TestStartIsBrokenOff(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := e.launcher.Start(ctx, e.shell("sleep 1000")); !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v", err)
		}
	})
}

func TestTheSameIDTwice(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		s := e.shell("sleep 1000")
		p := e.start(s)
		if _, err := e.launcher.Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), "running already") {
			t.Errorf("err = %v", err)
		}
		p.Kill()
		e.wait(p)
		if _, ok := <-p.Exit(); ok {
			t.Error("the exit came twice")
		}
		s.Shell = "true"
		e.run(s)
	})
}

func TestUserIsSwitched(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: runs workloads as other users")
	}
	each(t, func(t *testing.T, e *env) {
		for _, user := range []string{"nobody", "65534"} {
			s := e.shell("id -u; id -g; id -G; touch made")
			s.User = user
			if exit := e.run(s); !exit.Status.Success() {
				t.Fatalf("exit = %+v: %s", exit, e.output("stderr"))
			}
			if got, want := e.output("stdout"), "65534\n65534\n65534\n"; got != want {
				t.Errorf("%s: got %q, want %q", user, got, want)
			}
			for _, name := range []string{"stdout", "stderr", "made"} {
				var st syscall.Stat_t
				if err := syscall.Stat(filepath.Join(e.dir, name), &st); err != nil || st.Uid != 65534 {
					t.Errorf("%s belongs to %d, %v", name, st.Uid, err)
				}
				_ = os.Remove(filepath.Join(e.dir, name))
			}
		}
	})
}

func TestSupplementaryGroups(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: runs workloads as other users")
	}
	e := newEnv(t, setup{"", none})
	s := e.shell("grep Groups /proc/self/status")
	s.User = "root"
	if exit := e.run(s); !exit.Status.Success() {
		t.Fatalf("exit = %+v", exit)
	}
	if got := strings.Fields(e.output("stdout")); len(got) < 2 || got[1] != "0" {
		t.Errorf("groups = %v", got)
	}
}

func TestLogThatIsALinkIsRefused(t *testing.T) {
	e := newEnv(t, setup{"", none})
	target := filepath.Join(e.dir, "target")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(old, new string) error{
		"symbolic": os.Symlink, "hard": os.Link,
		"pipe": func(_, new string) error { return syscall.Mkfifo(new, 0o666) },
	} {
		s := e.shell("true")
		s.Stdout = filepath.Join(e.dir, name)
		if err := make(target, s.Stdout); err != nil {
			t.Fatal(err)
		}
		if _, err := e.launcher.Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

func TestScriptWithoutInterpreterIsAShells(t *testing.T) {
	e := newEnv(t, setup{"", none})
	if err := os.WriteFile(filepath.Join(e.dir, "script"), []byte("echo $1 $2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := e.shell("")
	s.Shell, s.Args, s.Path = "", []string{"anything", "a", "b"}, "./script"
	e.run(s)
	if got := e.output("stdout"); got != "a b\n" {
		t.Errorf("got %q", got)
	}
}

func TestOutputIsAppendedAndShared(t *testing.T) {
	e := newEnv(t, setup{"", none})
	for range 2 {
		s := e.shell("echo out; echo err >&2")
		s.Stderr = s.Stdout
		e.run(s)
	}
	if got, want := e.output("stdout"), "out\nerr\nout\nerr\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
