package app_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/pkg/zookeeper/zktest"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/leader"
)

// TestAnEnsembleThatLosesServers: with one of three gone, even the one that leads
// the others, a leader goes on; with two gone it ends, and one of the schedulers
// leads when there is a majority again. No submission that was answered is lost.
func TestAnEnsembleThatLosesServers(t *testing.T) {
	ensemble := zktest.StartEnsemble(t, 3)
	m := newTeam(t, startMesos(t))
	// The longest that these servers give: they need some time to agree.
	m.session = 10 * time.Second
	a := m.join(ensemble.Addresses())
	a.leads(t)
	view := subscribed(t, a.client)
	b := m.join(ensemble.Addresses())
	b.standsBy(t, a)
	submit := func(s *member, id string) {
		t.Helper()
		if _, err := s.client.SubmitJob(t.Context(), aJob(id)); err != nil {
			t.Fatalf("submitting %s: %v", id, err)
		}
	}
	submit(a, "/with/three")

	first := ensemble.Leader(t)
	first.Stop()
	submit(b, "/with/two")
	ensemble.Leader(t)
	a.leads(t)
	b.standsBy(t, a)
	first.Restart(t)
	submit(b, "/with/three/again")

	left := slices.DeleteFunc(slices.Clone(ensemble.Servers), func(s *zktest.Server) bool { return s == first })
	for _, s := range left {
		s.Stop()
	}
	if _, err := a.client.SubmitJob(t.Context(), aJob("/with/one")); err == nil {
		t.Error("a submission was answered with a minority of the ensemble")
	}
	if err := <-a.done; !errors.Is(err, leader.ErrLost) {
		t.Errorf("Run returned %v", err)
	}
	close(a.done)
	says(t, b.at.Local+"/readyz", http.StatusServiceUnavailable, "standby; no leader is known")
	for _, s := range left {
		s.Launch(t)
	}
	b.leads(t)
	if again := subscribed(t, b.client); again.FrameworkId != view.FrameworkId {
		t.Errorf("subscribed again as %s, was %s", again.FrameworkId, view.FrameworkId)
	}
	r, err := b.client.ListJobs(t.Context(), &tandemv1.ListJobsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, j := range r.Jobs {
		ids = append(ids, j.Spec.Id)
	}
	for _, want := range []string{"/with/three", "/with/two", "/with/three/again"} {
		if !slices.Contains(ids, want) {
			t.Errorf("%s is lost: the jobs are %q", want, ids)
		}
	}
}
