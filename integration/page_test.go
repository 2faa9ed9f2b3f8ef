package integration

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/tandem-mesos/tandem/integration/browser"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestPage watches in a browser what a team does on the command line: a job is
// submitted, scaled, updated and stopped; one fails, and one finds no room.
func TestPage(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	p := browser.Open(t, s.address, "/")
	p.AwaitText("main", c.master)
	p.AwaitText("main", "No job yet")

	service := func(instances int, greeting string) string {
		return prefer(fmt.Sprintf(`
id: /greeter
instances: %d
workloads:
- name: main
  cmd: 'trap "exit 0" TERM; while :; do echo "%s $TANDEM_INSTANCE"; sleep 0.2; done'
  resources: {cpus: 0.05, mem: 32}
`, instances, greeting))
	}
	s.run(service(1, "hello"))
	p.AwaitText("tbody", "/greeter")
	p.AwaitText("tbody", "1/1")
	p.Click("a[href='/jobs/greeter']")
	p.AwaitText(".head", "running")

	s.run(service(2, "hello"))
	p.AwaitText("main", "2 running")
	p.Click("a[href='/tasks/greeter.1.1.main']")
	p.AwaitText(".log", "hello 1")
	p.AwaitText("main", "following")
	p.AwaitText("main", "Usage now")
	if os.Getuid() == 0 {
		p.Await(`document.querySelector(".chart svg:not([hidden])")?.getAttribute("aria-label")?.startsWith("Processors in the last five minutes. Now ")`)
	}

	// The update ends the task that is looked at; its log goes on in its heir's.
	s.run(service(2, "good morning"))
	p.AwaitText(".head", "killed")
	p.AwaitText(".log", "now task greeter.1.2.main")
	p.AwaitText(".log", "good morning 1")

	s.run(prefer(`
id: /failing
type: batch
workloads:
- {name: main, cmd: 'echo on my way; echo no luck >&2; exit 7'}
`))
	s.awaitPhase("/failing", tandemv1.JobPhase_JOB_PHASE_FAILED)
	p.Goto("/tasks/failing.0.1.main")
	p.AwaitText("main", "TASK_FAILED, exit 7")
	p.AwaitText(".log", "on my way")
	p.Click(".choice button:last-child")
	p.AwaitText(".log", "no luck")

	s.run(prefer(`
id: /huge
workloads:
- {name: main, cmd: "true", resources: {cpus: 5000}}
`))
	p.Goto("/jobs/huge")
	p.AwaitText(".explained", "cpus: needs 5000")

	if r := s.tandem("stop", "/greeter"); r.status != 0 {
		t.Fatalf("tandem stop: %s", r)
	}
	p.Goto("/jobs/greeter")
	p.AwaitText(".head", "stopped")

	// A scheduler that goes and comes back is noticed, and so is the page's need
	// to look anew.
	s.stop(syscall.SIGTERM)
	p.AwaitText("#live", "not connected")
}

// TestLogsOnTheCommandLine follows a job through a restart.
func TestLogsOnTheCommandLine(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run(prefer(`
id: /chatty
type: batch
restart: {attempts: 1, delay: 10ms}
workloads:
- name: main
  cmd: 'echo "attempt $TANDEM_ATTEMPT"; echo noise >&2; mkdir -p data; printf "\377" > data/bytes; sleep 0.5; exit $((2 - TANDEM_ATTEMPT))'
`))
	followed := s.tandem("logs", "-f", "/chatty")
	const want = "chatty.0.1.main  attempt 1\nchatty.0.2.main  attempt 2\n"
	if followed.status != 0 || followed.stdout != want {
		t.Errorf("tandem logs -f: %s", followed)
	}
	s.awaitPhase("/chatty", tandemv1.JobPhase_JOB_PHASE_FINISHED)
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"logs", "chatty.0.1.main"}, 0, "attempt 1\n"},
		{[]string{"logs", "--stderr", "chatty.0.2.main"}, 0, "noise\n"},
		{[]string{"logs", "--file", "data/bytes", "chatty.0.2.main"}, 0, "\xff"},
		{[]string{"logs", "--file", "nothing", "chatty.0.2.main"}, 4, "there is no nothing of task chatty.0.2.main"},
		{[]string{"logs", "chatty.0.9.main"}, 4, "there is no task chatty.0.9.main"},
		{[]string{"logs", "nobody"}, 4, "there is no job /nobody"},
		{[]string{"ls", "chatty.0.2.main"}, 0, "data/"},
		{[]string{"ls", "chatty.0.2.main", "data"}, 0, "bytes"},
	} {
		if r := s.tandem(tt.args...); r.status != tt.status || !strings.Contains(r.stdout+r.stderr, tt.want) {
			t.Errorf("tandem %s: %s", strings.Join(tt.args, " "), r)
		}
	}
}
