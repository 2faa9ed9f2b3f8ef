package loop_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/scheduler/loop"
)

// What readers see of offers is what each agent had when it was last offered, in
// however many offers, until it is gone or another master leads.
func TestLastOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		l := start(t, loop.Options{Core: &fakeCore{}}, m)
		stream := m.next()
		stream.subscribed("77a7fa47-0002")
		offer := func(agent string, cpus, mem float64) mesos.Offer {
			scalar := func(name string, n float64) mesos.Resource {
				return mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: n}}
			}
			ports := mesos.Resource{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 1, End: 9}}}}
			return mesos.Offer{AgentID: mesos.AgentID{Value: agent}, Resources: []mesos.Resource{scalar("cpus", cpus), scalar("mem", mem), ports}}
		}
		sends := func(offers ...mesos.Offer) {
			stream.events <- &scheduler.Event{Type: scheduler.Event_OFFERS, Offers: &scheduler.Event_Offers{Offers: offers}}
		}
		for _, step := range []struct {
			what string
			do   func()
			want string
		}{
			{"nothing yet", func() {}, "0 cpus 0 mem on 0"},
			{"two agents, one in two offers", func() { sends(offer("S1", 1.5, 100), offer("S2", 2, 200), offer("S1", 0.1, 11)) }, "3.6 cpus 311 mem on 2"},
			{"one of them again, with less", func() { sends(offer("S1", 0.2, 0)) }, "2.2 cpus 200 mem on 2"},
			{"an executor ends", func() {
				stream.events <- &scheduler.Event{Type: scheduler.Event_FAILURE, Failure: &scheduler.Event_Failure{
					AgentID: &mesos.AgentID{Value: "S2"}, ExecutorID: &mesos.ExecutorID{Value: "E"}}}
			}, "2.2 cpus 200 mem on 2"},
			{"an agent is gone", func() {
				stream.events <- &scheduler.Event{Type: scheduler.Event_FAILURE, Failure: &scheduler.Event_Failure{AgentID: &mesos.AgentID{Value: "S2"}}}
			}, "0.2 cpus 0 mem on 1"},
			{"another subscription", func() { close(stream.events); stream = m.next(); stream.subscribed("77a7fa47-0002") }, "0 cpus 0 mem on 0"},
		} {
			step.do()
			settle()
			f := l.View().Framework()
			if got := fmt.Sprintf("%g cpus %g mem on %d", f.LastOffered.GetCpus(), f.LastOffered.GetMem(), f.AgentsOffered); got != step.want {
				t.Errorf("%s: readers see %s, want %s", step.what, got, step.want)
			}
		}
	})
}
