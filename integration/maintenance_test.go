package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// schedule sets the master's maintenance schedule, to one window for the machine
// or, with none, to nothing.
func (c *cluster) schedule(t *testing.T, machine string, start time.Time) {
	t.Helper()
	windows := ""
	if machine != "" {
		windows = fmt.Sprintf(`{"machine_ids":[%s],"unavailability":{"start":{"nanoseconds":%d},"duration":{"nanoseconds":%d}}}`,
			machine, start.UnixNano(), time.Hour.Nanoseconds())
	}
	resp, err := http.Post("http://"+c.master+"/maintenance/schedule", "application/json", strings.NewReader(`{"windows":[`+windows+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the schedule is answered with %s: %s", resp.Status, text)
	}
}

// TestMaintenance is of the only agent, half an hour ahead: what runs has nowhere
// to go and runs on, nothing new is placed there, and once nothing of the team is
// left the master is told that it may begin. Called off, all goes on.
func TestMaintenance(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run("id: /before\nworkloads:\n- name: web\n  cmd: exec sleep 1000\n")
	s.awaitPhase("/before", tandemv1.JobPhase_JOB_PHASE_RUNNING)

	var all struct {
		Slaves []struct{ Hostname, Pid string }
	}
	getJSON(t, "http://"+c.master+"/slaves", &all)
	_, address, _ := strings.Cut(all.Slaves[0].Pid, "@")
	ip, _, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatalf("the agent's pid is %q: %v", all.Slaves[0].Pid, err)
	}
	c.schedule(t, fmt.Sprintf(`{"hostname":%q,"ip":%q}`, all.Slaves[0].Hostname, ip), time.Now().Add(30*time.Minute))
	t.Cleanup(func() { c.schedule(t, "", time.Time{}) })
	eventually(t, func() string {
		if r := s.tandem("agents"); !strings.Contains(r.stdout, "maintenance in ") {
			return "tandem agents does not speak of the maintenance: " + r.String()
		}
		return ""
	})

	s.run("id: /after\nworkloads:\n- name: web\n  cmd: exec sleep 1000\n")
	eventually(t, func() string {
		if r := s.tandem("explain", "/after"); !strings.Contains(r.stdout, "maintenance") {
			return "tandem explain does not speak of the maintenance: " + r.String()
		}
		return ""
	})
	if task := s.awaitTask("before.0.1.web", inState(tandemv1.TaskState_TASK_RUNNING)); task.Message != "" {
		t.Errorf("the task that has nowhere to go: %s", task.Message)
	}

	if r := s.tandem("stop", "--wait", "/before"); r.status != 0 {
		t.Fatalf("tandem stop: %s", r)
	}
	id := s.framework().FrameworkId
	eventually(t, func() string {
		var status struct {
			Draining []struct {
				Statuses []struct {
					Status      string
					FrameworkID struct{ Value string } `json:"framework_id"`
				}
			} `json:"draining_machines"`
		}
		getJSON(t, "http://"+c.master+"/maintenance/status", &status)
		for _, m := range status.Draining {
			for _, answer := range m.Statuses {
				if answer.FrameworkID.Value == id && answer.Status == "ACCEPT" {
					return ""
				}
			}
		}
		return fmt.Sprintf("the master has not been told that it may begin: %+v", status)
	})

	c.schedule(t, "", time.Time{})
	s.awaitPhase("/after", tandemv1.JobPhase_JOB_PHASE_RUNNING)
}
