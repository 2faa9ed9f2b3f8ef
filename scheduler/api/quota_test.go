package api_test

import (
	"context"
	"errors"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
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
	return []*tandemv1.RoleQuota{{Role: "team"}}, nil
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
