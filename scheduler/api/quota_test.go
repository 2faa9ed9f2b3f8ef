package api_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

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

// TestQuotasOfTheFramework: the master is asked for whoever wants to know, and for
// nobody else; that it does not tell is no failure of the call.
func TestQuotasOfTheFramework(t *testing.T) {
	m := &master{}
	opt := options(&commander{}, &reader{framework: &tandemv1.FrameworkView{Name: "tandem"}})
	opt.Quotas = m
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

// TestQuotaThatIsShort: a master offers no more of an agent than a quota leaves, so
// that who asks why is told of the quota first, and by how much it is short.
func TestQuotaThatIsShort(t *testing.T) {
	const lack = "2 agents seen, 2 lack cpus (need 1.1, nearest a has 0.7)"
	for _, tc := range []struct {
		name      string
		told      *tandemv1.Explanation
		err       error
		asked     int
		summary   string
		missing   float64
		isUnknown bool
	}{
		{"short", &tandemv1.Explanation{Waiting: 1, Summary: lack, Needs: map[string]float64{"cpus": 1.1, "mem": 64}}, nil, 1,
			"the quota of role team leaves 0.7 of 4 cpus, and an instance takes 1.1; " + lack, 0.4, false},
		{"enough", &tandemv1.Explanation{Waiting: 1, Summary: lack, Needs: map[string]float64{"cpus": 0.7}}, nil, 1, lack, 0, false},
		{"all find room", &tandemv1.Explanation{Waiting: 1, Placeable: 1}, nil, 0, "", 0, false},
		{"all would, and no offers come", &tandemv1.Explanation{
			Waiting: 1, Placeable: 1, SilentSince: timestamppb.Now(), Needs: map[string]float64{"cpus": 1},
		}, nil, 1, "the quota of role team leaves 0.7 of 4 cpus, and an instance takes 1", 0.3, false},
		{"not told", &tandemv1.Explanation{Waiting: 1, Summary: lack}, errors.New("no"), 1, lack, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := &master{err: tc.err}
			opt := options(&commander{task: func(core.Command) (core.Reply, error) { return core.Reply{Explanation: tc.told}, nil }}, &reader{})
			opt.Quotas = m
			base, stop := serve(t, opt)
			defer stop()
			res, err := protocols(base)["gRPC"].ExplainJob(t.Context(), &tandemv1.ExplainJobRequest{Id: "/a"})
			if err != nil {
				t.Fatal(err)
			}
			x, missing := res.Explanation, 0.0
			if len(x.Quotas) > 0 {
				missing = x.Quotas[0].Limits[0].Missing
			}
			if m.asked != tc.asked || x.Summary != tc.summary || missing != tc.missing || (x.QuotasUnknown != "") != tc.isUnknown {
				t.Errorf("asked %d times: %v", m.asked, x)
			}
		})
	}
}
