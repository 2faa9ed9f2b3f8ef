package core

import (
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/resource"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// TestVolumesInHierarchicalRoles: what is reserved for a role above is used, and a
// volume's disk is reserved for the framework's own role on top of that, or else
// the other roles below would be offered the volume too.
func TestVolumesInHierarchicalRoles(t *testing.T) {
	kinds := [...]mesos.Resource_ReservationInfo_Type{mesos.Resource_ReservationInfo_STATIC, mesos.Resource_ReservationInfo_DYNAMIC}
	for _, c := range []struct {
		name     string
		reserved []string // the disk's stack of reservations
		first    string   // the first operation, on what
	}{
		{"reserved for nobody", nil,
			"RESERVE disk(allocated: team/web)(reservations: [(DYNAMIC,team/web,{tandem.volume: db.0.1.data.fw})]):100"},
		{"reserved for the role above", []string{"team"},
			"RESERVE disk(allocated: team/web)(reservations: [(STATIC,team),(DYNAMIC,team/web,{tandem.volume: db.0.1.data.fw})]):100"},
		{"reserved for the role itself", []string{"team/web"},
			"CREATE disk(allocated: team/web)(reservations: [(STATIC,team/web)])[db.0.1.data.fw:volume-data]:100"},
		{"reserved for both", []string{"team", "team/web"},
			"CREATE disk(allocated: team/web)(reservations: [(STATIC,team),(DYNAMIC,team/web)])[db.0.1.data.fw:volume-data]:100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.Roles = []string{"team/web"}
			core := New(cfg, state.Snapshot{})
			version := "1.9.0"
			core.Step(epoch, Subscribed{FrameworkID: mesos.FrameworkID{Value: "fw"}, Master: mesos.MasterInfo{Version: &version}})
			core.Step(epoch, Command{ID: 1, Submit: &Submit{Job: parseJob(t, []string{"/db", "service", "1", "volume=data:100"})}})
			role := "team/web"
			free := resource.New(resource.Whole(4), resource.Whole(4096), resource.Whole(16), 0).Allocate(role).ToMesos()
			disk := mesos.Resource{
				Name: "disk", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 500},
				AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
			}
			for i := range c.reserved {
				disk.Reservations = append(disk.Reservations, mesos.Resource_ReservationInfo{Type: &kinds[i], Role: &c.reserved[i]})
			}
			e := core.Step(epoch, Offers{Offers: []mesos.Offer{{
				ID: mesos.OfferID{Value: "o"}, AgentID: mesos.AgentID{Value: "a1"}, Hostname: "a1.example",
				Resources: append(free, disk), AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
			}}})
			for _, call := range e.Calls {
				if call.Type != scheduler.Call_ACCEPT {
					continue
				}
				op := call.Accept.Operations[0]
				got := op.Type.String() + " "
				if op.Reserve != nil {
					got += resource.Format(&op.Reserve.Resources[0])
				} else {
					got += resource.Format(&op.Create.Volumes[0])
				}
				if got != c.first {
					t.Errorf("the first operation is\n%s, and should be\n%s", got, c.first)
				}
				return
			}
			t.Error("nothing was launched")
		})
	}
}
