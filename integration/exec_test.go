package integration

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestExec runs commands beside a task, from the command line through the
// scheduler and the executor's call back.
func TestExec(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run(prefer(`
id: /host
restart: {delay: 100ms}
workloads:
- name: main
  cmd: 'cat /proc/self/cgroup; trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done'
  env: {GREETING: hello}
  resources: {cpus: 0.2, mem: 32}
`))
	const id = "host.0.1.main"
	s.awaitTask(id, inState(tandemv1.TaskState_TASK_RUNNING))
	eventually(t, func() string {
		if r := s.tandem("logs", id); !strings.Contains(r.stdout, "ready\n") {
			return "the task is not ready: " + r.String()
		}
		return ""
	})
	where := strings.TrimSuffix(s.tandem("logs", id).stdout, "ready\n")

	for _, tt := range []struct {
		stdin          string
		args           []string
		status         int
		stdout, stderr string
	}{
		{"", []string{id, "--", "cat", "/proc/self/cgroup"}, 0, where, ""},
		{"", []string{id, "--", "sh", "-c", `echo "$GREETING $MESOS_TASK_ID"; pwd | sed "s:.*/::"; echo oops >&2; exit 42`}, 42, "hello " + id + "\n" + id + "\n", "oops\n"},
		{"", []string{id, "cat"}, 0, "", ""},
		{"ignored", []string{id, "cat"}, 0, "", ""},
		{"one\ntwo\n", []string{"-i", id, "--", "tr", "a-z", "A-Z"}, 0, "ONE\nTWO\n", ""},
		{"", []string{id, "--", "sh", "-c", "kill -KILL $$"}, 137, "", "tandem: the command was ended by SIGKILL\n"},
		{"", []string{id, "--", "/no/such/program"}, 4, "", `cannot run "/no/such/program": no such file or directory`},
		{"", []string{"host.0.9.main", "--", "true"}, 4, "", "tandem: there is no task host.0.9.main, or not any more; did you mean host.0.1.main?\n"},
		{"", []string{"-t", id, "--", "true"}, 2, "", "tandem: -t needs a terminal, and the standard input is none\n"},
	} {
		r := s.exec(tt.stdin, tt.args...)
		if r.status != tt.status || r.stdout != tt.stdout || !strings.Contains(r.stderr, tt.stderr) || tt.stderr == "" && r.stderr != "" {
			t.Errorf("tandem exec %s: %s\nwant status %d\n%s%s", strings.Join(tt.args, " "), r, tt.status, tt.stdout, tt.stderr)
		}
	}
	// Much, both ways.
	much := strings.Repeat("0123456789abcde\n", 1<<16)
	if r := s.exec(much, "-i", id, "--", "cat"); r.status != 0 || r.stdout != much {
		t.Errorf("%d bytes came back of %d: status %d, %s", len(r.stdout), len(much), r.status, r.stderr)
	}

	// Nothing of a command is left when its caller goes, and the task takes no
	// notice.
	cmd := s.command("exec", id, "--", "sh", "-c", "sleep 4321 & (setsid sleep 4321 &); echo begun; exec sleep 4321")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("begun\n"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if n := len(sleeping(t, id)); n < 3 {
			return itoa(n) + " processes of the command run, want 3"
		}
		return ""
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	eventually(t, func() string {
		if left := sleeping(t, id); len(left) > 0 && os.Getuid() == 0 {
			return "its caller has gone, and of the command are left " + strings.Join(left, ", ")
		}
		return ""
	})

	// An interruption is the command's.
	cmd = s.command("exec", id, "--", "sh", "-c", "trap 'echo caught; exit 3' INT; echo begun; while :; do sleep 0.05; done")
	var said bytes.Buffer
	begun := make(chan struct{})
	cmd.Stdout = &notifier{to: &said, wait: "begun\n", seen: begun}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 3 || said.String() != "begun\ncaught\n" {
		t.Errorf("interrupted it ended with %d and said %q", status, &said)
	}

	// The task's end is exact, and ends what is run beside it.
	cmd = s.command("exec", id, "--", "sh", "-c", "echo begun; trap '' TERM HUP; while :; do sleep 0.05; done")
	begun = make(chan struct{})
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &notifier{to: io.Discard, wait: "begun\n", seen: begun}, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-begun
	if r := s.tandem("signal", id, "TERM"); r.status != 0 {
		t.Fatalf("tandem signal: %s", r)
	}
	task := s.awaitTask(id, terminal)
	if task.State != tandemv1.TaskState_TASK_FAILED || task.Report.GetExitCode() != 9 {
		t.Errorf("the task is %s: %s", task.State, task.Message)
	}
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status == 0 {
		t.Errorf("the command beside it ended with %d: %s", status, &stderr)
	}
	// Who did it and how it ended is written down, and not what they typed.
	for _, line := range []string{"ExecTask", "exit status 42"} {
		if !strings.Contains(s.log.String(), line) {
			t.Errorf("the scheduler's log has no line with %q", line)
		}
	}
	if strings.Contains(s.log.String(), "sleep 4321") {
		t.Error("the scheduler's log has a command's arguments")
	}
}

// TestExecOnATerminal opens a shell as a person does.
func TestExecOnATerminal(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run(prefer(`
id: /shelly
workloads:
- {name: main, cmd: sleep 1000, resources: {cpus: 0.2, mem: 32}}
`))
	const id = "shelly.0.1.main"
	s.awaitTask(id, inState(tandemv1.TaskState_TASK_RUNNING))
	cmd := s.command("exec", "-it", id, "--", "sh")
	cmd.Env = append(cmd.Env, "TERM=xterm")
	ours, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 101, Rows: 33})
	if err != nil {
		t.Skipf("needs terminals: %v", err)
	}
	defer ours.Close()
	screen := &output{}
	go io.Copy(screen, ours)
	typed := func(keys, want string) {
		t.Helper()
		screen.mark()
		if _, err := ours.WriteString(keys); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() string {
			if strings.Contains(screen.sinceMark(), want) {
				return ""
			}
			return "the screen shows " + screen.sinceMark() + ", and not " + want
		})
	}
	typed("stty size; tty -s && echo it is' 'one $TERM\n", "33 101\r\nit is one xterm\r\n")
	if err := pty.Setsize(ours, &pty.Winsize{Cols: 55, Rows: 22}); err != nil {
		t.Fatal(err)
	}
	typed("while [ \"$(stty size)\" != '22 55' ]; do sleep 0.05; done; echo resized' 'now\n", "resized now\r\n")
	typed("sleep 4321\n", "sleep 4321")
	typed("\x03", "^C")
	typed("echo still' 'here\n", "still here\r\n")
	typed("exit 7\n", "")
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("the shell ended with %v", err)
	}
}

// exec runs a command beside a task.
func (s *tandemScheduler) exec(stdin string, args ...string) result {
	s.t.Helper()
	cmd := s.command(append([]string{"exec"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// command is a verb of the command line that is not run yet.
func (s *tandemScheduler) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "tandem"), args...)
	cmd.Env = []string{"TANDEM_SCHEDULER=" + s.address, "PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGKILL) }
	return cmd
}

// sleeping lists the processes of a task that sleep 4321 seconds.
func sleeping(t *testing.T, id string) []string {
	t.Helper()
	var all []string
	for _, pid := range processesOf(t, id) {
		line, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "cmdline"))
		if err == nil && strings.Contains(string(line), "sleep\x004321") {
			all = append(all, itoa(pid))
		}
	}
	return all
}

// notifier tells when something was written.
type notifier struct {
	to   io.Writer
	wait string
	seen chan struct{}
	all  string
}

func (n *notifier) Write(p []byte) (int, error) {
	before := strings.Contains(n.all, n.wait)
	n.all += string(p)
	if !before && strings.Contains(n.all, n.wait) {
		close(n.seen)
	}
	return n.to.Write(p)
}
