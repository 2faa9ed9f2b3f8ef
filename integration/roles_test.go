package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestHierarchicalRoles reserves part of an agent for a role, as an operator does,
// and has a framework of a role below use it: its volume is made of that, and
// reserved for its own role on top. When all has ended, what the operator has
// reserved is as it was.
func TestHierarchicalRoles(t *testing.T) {
	c := startMesos(t)
	agent := c.anyAgent(t)
	reserved := `, "resources": [
		{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, "reservations": [{"type": "DYNAMIC", "role": "crew"}]},
		{"name": "mem", "type": "SCALAR", "scalar": {"value": 256}, "reservations": [{"type": "DYNAMIC", "role": "crew"}]},
		{"name": "disk", "type": "SCALAR", "scalar": {"value": 256}, "reservations": [{"type": "DYNAMIC", "role": "crew"}]}]`
	c.operate(t, "RESERVE_RESOURCES", agent, reserved)
	s := startScheduler(t, c, "--role", "crew/web")
	s.run(strings.Replace(fmt.Sprintf(volumeJob, "first"), "/keeper", "/refined", 1))
	s.awaitTask("refined.0.1.main", inState(tandemv1.TaskState_TASK_RUNNING))
	s.starts("refined.0.1.main", 1)
	volume := s.volume(tandemv1.VolumeState_VOLUME_STATE_READY)
	if !volume.Reserved || volume.Role != "crew/web" {
		t.Errorf("the volume's record is %v", volume)
	}
	if got, want := c.rolesOf(t, volume.Id), "crew crew/web"; got != want {
		t.Errorf("the volume's disk is reserved for %q, and should be for %q", got, want)
	}
	if r := s.tandem("stop", "--purge", "--wait", "/refined"); r.status != 0 {
		t.Fatalf("tandem stop: %s", r)
	}
	s.purges(c, volume.Id)
	c.operate(t, "UNRESERVE_RESOURCES", agent, reserved)
}

// anyAgent is the ID of one of the master's agents.
func (c *cluster) anyAgent(t *testing.T) string {
	t.Helper()
	var all struct {
		Agents []struct {
			ID string `json:"id"`
		} `json:"slaves"`
	}
	eventually(t, func() string {
		getJSON(t, "http://"+c.master+"/slaves", &all)
		if len(all.Agents) == 0 {
			return "there is no agent"
		}
		return ""
	})
	return all.Agents[0].ID
}

// rolesOf are the roles that a volume's disk is reserved for, the outermost first.
func (c *cluster) rolesOf(t *testing.T, volume string) string {
	t.Helper()
	var all struct {
		Agents []struct {
			Reserved map[string][]struct {
				Reservations []struct {
					Role string `json:"role"`
				} `json:"reservations"`
				Disk json.RawMessage `json:"disk"`
			} `json:"reserved_resources_full"`
		} `json:"slaves"`
	}
	getJSON(t, "http://"+c.master+"/slaves", &all)
	for _, a := range all.Agents {
		for _, resources := range a.Reserved {
			for _, r := range resources {
				if !strings.Contains(string(r.Disk), volume) {
					continue
				}
				var roles []string
				for _, reservation := range r.Reservations {
					roles = append(roles, reservation.Role)
				}
				return strings.Join(roles, " ")
			}
		}
	}
	return ""
}

// TestOutOfQuota: what waits because its role may have no more says so, with the
// numbers that the master has.
func TestOutOfQuota(t *testing.T) {
	c := startMesos(t)
	c.anyAgent(t)
	quota := func(limits string) {
		t.Helper()
		body := `{"type": "UPDATE_QUOTA", "update_quota": {"force": true, "quota_configs": [{"role": "bounded", "limits": ` + limits + `}]}}`
		resp, err := http.Post("http://"+c.master+"/api/v1", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("the quota is answered with %s: %s", resp.Status, text)
		}
	}
	quota(`{"cpus": {"value": 1}}`)
	defer quota(`{}`)
	s := startScheduler(t, c, "--role", "bounded")
	s.run(`
id: /bounded
instances: 2
workloads:
- {name: main, cmd: exec sleep 1000, resources: {cpus: 0.5}}
`)
	eventually(t, func() string {
		r := s.tandem("explain", "/bounded")
		if !strings.Contains(r.stdout, "the quota of role bounded leaves 0.4 of 1 cpus, and an instance takes 0.6; ") {
			return r.String()
		}
		return ""
	})
	if r := s.tandem("stop", "--purge", "--wait", "/bounded"); r.status != 0 {
		t.Fatalf("tandem stop: %s", r)
	}
}
