package app_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
)

// asProgram, in the environment, makes the tests' program the scheduler's.
const asProgram = "TANDEM_TEST_AS_PROGRAM"

// calm is how long after a burst its memory is looked at.
const calm = 15 * time.Second

// BenchmarkResident is the memory of a scheduler's process with 100,000 tasks, in use
// and not given back, for each of them: a while after all have been launched at once,
// after a start, and the most there is while another 10,000 come and go three times.
// Pages of files, such as the mapped state, are left out: the kernel takes them back
// when it needs them.
func BenchmarkResident(b *testing.B) {
	const tasks, agents, each = 100_000, 1000, 10_000
	cluster := fakeCluster(b, agents)
	for b.Loop() {
		dir := b.TempDir()
		s := startProgram(b, cluster.URL(), dir)
		for n := range tasks / each {
			submitMany(b, s.client, n, each)
		}
		s.until(b, tasks)
		time.Sleep(calm)
		launched := s.resident(b)
		s.stop(b)

		s = startProgram(b, cluster.URL(), dir)
		until(b, s.at, `tandem_loop_inputs_total{type="updated"}`, func(n float64) bool { return n >= tasks })
		s.until(b, tasks)
		started := s.resident(b)
		most := 0.0
		for range 3 {
			submitMany(b, s.client, 100, each)
			s.until(b, tasks+each)
			most = max(most, s.resident(b)/(tasks+each))
			s.purge(b, 100)
			s.until(b, tasks)
			most = max(most, s.resident(b)/tasks)
		}
		b.ReportMetric(launched/tasks, "B/task-launched")
		b.ReportMetric(started/tasks, "B/task-started")
		b.ReportMetric(most, "B/task-most")
		for n := range tasks / each {
			s.purge(b, n)
		}
		s.until(b, 0)
		s.stop(b)
	}
}

// program is a scheduler in a process of its own.
type program struct {
	at     string
	client tandemv1connect.SchedulerServiceClient
	cmd    *exec.Cmd
}

func startProgram(b *testing.B, master, dir string) *program {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	listen := l.Addr().String()
	l.Close()
	p := &program{at: "http://" + listen, client: tandemv1connect.NewSchedulerServiceClient(http.DefaultClient, "http://"+listen)}
	p.cmd = exec.Command(os.Args[0], "scheduler", "--master", strings.TrimPrefix(master, "http://"),
		"--listen", listen, "--state", dir+"/state", "--executor", os.Args[0])
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for {
		f, err := p.client.GetFramework(b.Context(), &tandemv1.GetFrameworkRequest{})
		if err == nil && f.Framework.Subscribed {
			return p
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// until waits until so many instances run and the master has answered.
func (p *program) until(b *testing.B, instances int) {
	b.Helper()
	until(b, p.at, `tandem_instances{phase="running"}`, func(n float64) bool { return int(n) == instances })
	until(b, p.at, "tandem_mesos_calls_waiting", func(n float64) bool { return n == 0 })
}

func (p *program) purge(b *testing.B, n int) {
	b.Helper()
	if _, err := p.client.StopJob(b.Context(), &tandemv1.StopJobRequest{Id: fmt.Sprintf("/job%d", n), Purge: true}); err != nil {
		b.Fatal(err)
	}
}

// resident returns the bytes of the process's memory that no file holds.
func (p *program) resident(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb * 1024
}

func (p *program) stop(b *testing.B) {
	b.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		b.Fatal(err)
	}
}
