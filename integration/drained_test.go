package integration

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// operate makes a call of the master's operator API about an agent.
func (c *cluster) operate(t *testing.T, call, agent, more string) {
	t.Helper()
	body := fmt.Sprintf(`{"type":%q,%q:{"agent_id":{"value":%q}%s}}`, call, strings.ToLower(call), agent, more)
	resp, err := http.Post("http://"+c.master+"/api/v1", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
		t.Fatalf("%s is answered with %s: %s", call, resp.Status, text)
	}
}

// TestOperatorDrains has an operator of Mesos drain the agent that an instance is
// on: its task ends as the operator asks, and another runs when the agent may be
// used again.
func TestOperatorDrains(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run("id: /web\nworkloads:\n- name: web\n  cmd: exec sleep 1000\n")
	s.awaitPhase("/web", tandemv1.JobPhase_JOB_PHASE_RUNNING)
	agent := s.job("/web").Instances[0].Attempts[0].AgentId
	c.operate(t, "DRAIN_AGENT", agent, `,"max_grace_period":{"seconds":5}`)
	drained := func() bool {
		var all struct {
			Slaves []struct {
				ID        string
				DrainInfo struct{ State string } `json:"drain_info"`
			}
		}
		getJSON(t, "http://"+c.master+"/slaves", &all)
		for _, a := range all.Slaves {
			if a.ID == agent {
				return a.DrainInfo.State == "DRAINED"
			}
		}
		return false
	}
	eventually(t, func() string {
		if !drained() {
			return "the agent has not drained"
		}
		return ""
	})
	task := s.job("/web").Instances[0].Attempts[0].Tasks[0]
	if task.State != tandemv1.TaskState_TASK_KILLED || task.Reason != "AGENT_DRAINING" {
		t.Errorf("the task is %s because of %s: %s", task.State, task.Reason, task.Message)
	}
	c.operate(t, "REACTIVATE_AGENT", agent, "")
	eventually(t, func() string {
		i := s.job("/web").Instances[0]
		for _, a := range i.Attempts {
			for _, task := range a.Tasks {
				if task.State == tandemv1.TaskState_TASK_RUNNING {
					return ""
				}
			}
		}
		return fmt.Sprintf("no other task runs: %v", i)
	})
}
