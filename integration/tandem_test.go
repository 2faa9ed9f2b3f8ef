package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// bin is where the two programs are, built once for all tests.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tandem-integration-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o755); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		for program, pkg := range map[string]string{"tandem": "../scheduler", "tandem-executor": "../executor"} {
			build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, program), pkg)
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "cannot build %s: %v\n%s", program, err, out)
				return 1
			}
		}
		bin = dir
		return m.Run()
	}())
}

// tandemScheduler is a running `tandem scheduler`.
type tandemScheduler struct {
	t       *testing.T
	cluster *cluster
	name    string
	dir     string
	flags   []string
	// tornDown says that the test has ended the framework itself.
	tornDown bool

	process *exec.Cmd
	log     *output
	// address is that of its API.
	address string
	client  tandemv1connect.SchedulerServiceClient
}

// startScheduler starts a scheduler for the test, and waits until it is
// subscribed. At the end of the test its framework is torn down.
func startScheduler(t *testing.T, c *cluster, flags ...string) *tandemScheduler {
	t.Helper()
	s := &tandemScheduler{t: t, cluster: c, name: "tandem " + t.Name(), dir: t.TempDir(), flags: flags}
	s.start()
	id := s.framework().FrameworkId
	t.Cleanup(func() {
		s.stop(syscall.SIGTERM)
		if err := c.teardown(id); err != nil && !s.tornDown {
			t.Errorf("cannot tear the framework down: %v", err)
		}
		if t.Failed() {
			t.Logf("the scheduler's log:\n%s", s.log)
		}
	})
	return s
}

var apiAt = regexp.MustCompile(`the API and the page are at (http://[0-9.:]+)`)

// start starts the scheduler's process, for the first time or again.
func (s *tandemScheduler) start() {
	s.t.Helper()
	if s.log == nil {
		s.log = &output{}
	}
	s.log.mark()
	s.process = exec.Command(filepath.Join(bin, "tandem"), s.arguments()...)
	s.process.Stdout, s.process.Stderr = s.log, s.log
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, func() string {
		if found := apiAt.FindStringSubmatch(s.log.sinceMark()); found != nil {
			s.address = found[1]
			return ""
		}
		return "the scheduler has not said where its API is:\n" + s.log.sinceMark()
	})
	s.client = tandemv1connect.NewSchedulerServiceClient(http.DefaultClient, s.address)
	eventually(s.t, func() string {
		// One that stands by may not know the leader yet.
		r, err := s.client.GetFramework(s.t.Context(), &tandemv1.GetFrameworkRequest{})
		if err == nil && r.Framework.Subscribed {
			return ""
		}
		return fmt.Sprintf("the scheduler is not subscribed (%v):\n%s", err, s.log.sinceMark())
	})
}

func (s *tandemScheduler) arguments() []string {
	return append([]string{"scheduler",
		"--master", s.cluster.master, "--listen", "127.0.0.1:0", "--state", filepath.Join(s.dir, "state"),
		"--name", s.name, "--log-level", "debug"}, s.flags...)
}

// stop ends the process with the signal and waits for its end.
func (s *tandemScheduler) stop(signal syscall.Signal) {
	s.t.Helper()
	if s.process == nil {
		return
	}
	if err := s.process.Process.Signal(signal); err != nil {
		s.t.Errorf("cannot signal the scheduler: %v", err)
	}
	err := s.process.Wait()
	if signal == syscall.SIGTERM && err != nil {
		s.t.Errorf("the scheduler did not end in order: %v", err)
	}
	s.process = nil
}

func (s *tandemScheduler) framework() *tandemv1.FrameworkView {
	s.t.Helper()
	r, err := s.client.GetFramework(s.t.Context(), &tandemv1.GetFrameworkRequest{})
	if err != nil {
		s.t.Fatalf("cannot ask for the framework: %v", err)
	}
	return r.Framework
}

// run submits a job that is written here.
func (s *tandemScheduler) run(job string) {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "job.yaml")
	if err := os.WriteFile(file, []byte(job), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if r := s.tandem("run", file); r.status != 0 {
		s.t.Fatalf("tandem run: %s", r)
	}
}

func (s *tandemScheduler) job(id string) *tandemv1.JobView {
	s.t.Helper()
	r, err := s.client.GetJob(s.t.Context(), &tandemv1.GetJobRequest{Id: id})
	if err != nil {
		s.t.Fatalf("cannot ask for job %s: %v", id, err)
	}
	return r.Job
}

// awaitPhase waits until the job has the phase.
func (s *tandemScheduler) awaitPhase(id string, phase tandemv1.JobPhase) *tandemv1.JobView {
	s.t.Helper()
	var job *tandemv1.JobView
	eventually(s.t, func() string {
		job = s.job(id)
		if job.Job.Phase == phase {
			return ""
		}
		return fmt.Sprintf("job %s is %s (%s), not %s", id, job.Job.Phase, job.Job.PhaseReason, phase)
	})
	return job
}

// awaitTask waits until a task satisfies the condition.
func (s *tandemScheduler) awaitTask(id string, holds func(*tandemv1.TaskRecord) bool) *tandemv1.TaskRecord {
	s.t.Helper()
	name, ok := state.ParseTaskName(id)
	if !ok {
		s.t.Fatalf("%s is not a task's ID", id)
	}
	var found *tandemv1.TaskRecord
	eventually(s.t, func() string {
		found = nil
		for _, i := range s.job(name.Job).Instances {
			for _, a := range i.Attempts {
				for _, task := range a.Tasks {
					if task.TaskId == id {
						found = task
					}
				}
			}
		}
		switch {
		case found == nil:
			return "there is no task " + id
		case !holds(found):
			return fmt.Sprintf("task %s is %s: %s", id, found.State, found.Message)
		}
		return ""
	})
	return found
}

// inState is a condition of awaitTask.
func inState(want tandemv1.TaskState) func(*tandemv1.TaskRecord) bool {
	return func(task *tandemv1.TaskRecord) bool { return task.State == want }
}

// terminal is a condition of awaitTask.
func terminal(task *tandemv1.TaskRecord) bool { return state.Terminal(task.State) }

// result is how a command ended.
type result struct {
	stdout, stderr string
	status         int
}

func (r result) String() string {
	return fmt.Sprintf("status %d\n%s%s", r.status, r.stdout, r.stderr)
}

// tandem runs a verb of the command line against the scheduler.
func (s *tandemScheduler) tandem(args ...string) result {
	s.t.Helper()
	return tandem(s.t, []string{"TANDEM_SCHEDULER=" + s.address}, args...)
}

// tandem runs the command line with these variables in its environment.
func tandem(t *testing.T, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "tandem"), args...)
	cmd.Env = append(env, "PATH="+os.Getenv("PATH"), "HOME="+t.TempDir())
	// An interrupted tandem ends its embedded Mesos in order.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("cannot run tandem %s: %v", strings.Join(args, " "), err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// output gathers what a process says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	from int
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// mark begins a new stretch for sinceMark.
func (o *output) mark() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.from = o.text.Len()
}

func (o *output) sinceMark() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text.Bytes()[o.from:])
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
