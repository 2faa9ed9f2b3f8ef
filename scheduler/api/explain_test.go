package api_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// master tells of quotas, or why it does not, and counts how often it is asked.
type master struct {
	asked int
	err   error
}

func (m *master) Quotas(context.Context) ([]*tandemv1.RoleQuota, error) {
	m.asked++
	if m.err != nil {
		return nil, m.err
	}
	return []*tandemv1.RoleQuota{{Role: "team", Limits: []*tandemv1.QuotaLimit{
		{Resource: "cpus", Limit: 4, Consumed: 3.3}, {Resource: "mem", Limit: 1024, Consumed: 512},
	}}}, nil
}

func (m *master) Withheld(_ context.Context, agents []string) (core.Withheld, error) {
	m.asked++
	w := core.Withheld{Agents: map[string]string{}}
	for _, id := range agents {
		w.Agents[id] = "an operator's drain"
	}
	return w, m.err
}

// TestQuotasOfTheFramework: the master is asked for whoever wants to know, and for
// nobody else; that it does not tell is no failure of the call.
func TestQuotasOfTheFramework(t *testing.T) {
	m := &master{}
	opt := options(&commander{}, &reader{framework: &tandemv1.FrameworkView{Name: "tandem"}})
	opt.Master = m
	base, stop := serve(t, opt)
	defer stop()
	ask := func(with bool) *tandemv1.GetFrameworkResponse {
		t.Helper()
		res, err := protocols(base)["gRPC"].GetFramework(t.Context(), &tandemv1.GetFrameworkRequest{WithQuotas: with})
		if err != nil || res.Framework.Name != "tandem" {
			t.Fatalf("%v, %v", res, err)
		}
		return res
	}
	if res := ask(false); len(res.Quotas) != 0 || m.asked != 0 {
		t.Errorf("asked %d times unasked: %v", m.asked, res)
	}
	if res := ask(true); len(res.Quotas) != 1 || res.Quotas[0].Role != "team" || res.QuotasUnknown != "" {
		t.Errorf("got %v", res)
	}
	m.err = errors.New("it does not let this principal look")
	if res := ask(true); len(res.Quotas) != 0 || res.QuotasUnknown != "it does not let this principal look" {
		t.Errorf("got %v", res)
	}
}

// TestExplainAsksTheMaster: the core is told what the master keeps from it, and of the
// agents that seem to have room, where something waits, and nobody is asked where
// nothing does. That the master does not tell is no failure of the call.
func TestExplainAsksTheMaster(t *testing.T) {
	lack := []*tandemv1.Obstacle{{What: "cpus"}}
	waits := &tandemv1.Explanation{Waiting: 1, Places: []string{"b"}, Agents: []*tandemv1.AgentExplanation{
		{AgentId: "full", Hostname: "a", Obstacles: lack}, {AgentId: "used", Hostname: "b", Obstacles: lack}, {AgentId: "idle", Hostname: "c"},
	}}
	for _, tc := range []struct {
		name    string
		told    *tandemv1.Explanation
		err     error
		asked   int
		heard   string
		unknown string
	}{
		{"something waits", waits, nil, 1, "[idle:an operator's drain used:an operator's drain]", ""},
		{"nothing waits", &tandemv1.Explanation{}, nil, 0, "", ""},
		{"it does not tell", waits, errors.New("no"), 1, "", "no"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := &master{err: tc.err}
			heard := ""
			opt := options(&commander{task: func(c core.Command) (core.Reply, error) {
				if w := c.Explain.Withheld; w != nil {
					heard = strings.TrimPrefix(fmt.Sprint(w.Agents), "map")
				}
				return core.Reply{Explanation: proto.CloneOf(tc.told)}, nil
			}}, &reader{})
			opt.Master = m
			base, stop := serve(t, opt)
			defer stop()
			res, err := protocols(base)["gRPC"].ExplainJob(t.Context(), &tandemv1.ExplainJobRequest{Id: "/a"})
			if err != nil {
				t.Fatal(err)
			}
			if m.asked != tc.asked || heard != tc.heard || res.Explanation.QuotasUnknown != tc.unknown {
				t.Errorf("asked %d times, told %q: %v", m.asked, heard, res.Explanation)
			}
		})
	}
}
