package core

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// volume carries out a line about volumes:
//
//	purge-volume ID [forget]
//	operation ID STATE [MESSAGE]   what became of an operation, such as create.0.web.0.1.data.fw FINISHED
//
// Offers have them as volume=ID:SIZE, and disk reserved for one as reserved=ID:SIZE.
func (s *script) volume(words []string) bool {
	switch words[0] {
	case "purge-volume":
		s.id++
		p := &PurgeVolume{ID: words[1]}
		for _, w := range words[2:] {
			if state, ok := strings.CutPrefix(w, "expect="); ok {
				p.ExpectedState = tandemv1.VolumeState(tandemv1.VolumeState_value["VOLUME_STATE_"+state]).Enum()
				continue
			}
			p.Forget = true
		}
		s.step(Command{ID: s.id, PurgeVolume: p})
	case "operation":
		status := mesos.OperationStatus{
			OperationID: &mesos.OperationID{Value: words[1]}, State: mesos.OperationState(mesos.OperationState_value["OPERATION_"+words[2]]),
		}
		if len(words) > 3 {
			message := strings.Join(words[3:], " ")
			status.Message = &message
		}
		if status.State == mesos.OPERATION_FINISHED {
			s.uuid++
			status.UUID, status.AgentID = &mesos.UUID{Value: []byte{s.uuid}}, &mesos.AgentID{Value: "a1"}
		}
		s.step(OperationUpdated{status})
	default:
		return false
	}
	return true
}

func parseVolume(t *testing.T, text string) *tandemv1.Volume {
	name, rest, _ := strings.Cut(text, ":")
	size, lost, _ := strings.Cut(rest, ":")
	n, err := strconv.ParseFloat(size, 64)
	if err != nil {
		t.Fatal(err)
	}
	v := &tandemv1.Volume{Name: name, Size: n, WhenLost: tandemv1.WhenLost_WHEN_LOST_WAIT}
	if lost == "replace" {
		v.WhenLost = tandemv1.WhenLost_WHEN_LOST_REPLACE
	}
	return v
}

// offeredVolume is a volume, or the disk reserved for one, as a master offers it.
func offeredVolume(t *testing.T, text, role string, there bool) mesos.Resource {
	id, size, _ := strings.Cut(text, ":")
	n, err := strconv.ParseFloat(size, 64)
	if err != nil {
		t.Fatal(err)
	}
	r := mesos.Resource{
		Name: "disk", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: n},
		AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
		Reservations: []mesos.Resource_ReservationInfo{{
			Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &role,
			Labels: &mesos.Labels{Labels: []mesos.Label{{Key: volumeLabel, Value: &id}}},
		}},
	}
	if there {
		mode := mesos.RW
		r.Disk = &mesos.Resource_DiskInfo{
			Persistence: &mesos.Resource_DiskInfo_Persistence{ID: id},
			Volume:      &mesos.Volume{Mode: &mode, ContainerPath: fmt.Sprint("volume-", id)},
		}
	}
	return r
}

// TestVolumesNeedARole: Mesos reserves nothing for *.
func TestVolumesNeedARole(t *testing.T) {
	job := parseJob(t, []string{"/db", "service", "1", "volume=data:100"})
	for _, c := range []struct {
		roles []string
		taken bool
	}{{[]string{"*"}, false}, {[]string{"prod"}, true}, {[]string{"*", "prod"}, true}} {
		cfg := testConfig()
		cfg.Roles = c.roles
		e := New(cfg, state.Snapshot{}).Step(epoch, Command{ID: 1, Submit: &Submit{Job: job}})
		if len(e.Replies) != 1 || (e.Replies[0].Refused == nil) != c.taken {
			t.Errorf("with roles %v a job with volumes is answered with %v", c.roles, e.Replies)
		}
	}
}

// TestAVolumeOfAnotherRole: an instance whose volume nothing is offered of says so,
// and wants no offers.
func TestAVolumeOfAnotherRole(t *testing.T) {
	saved := state.Snapshot{Volumes: []*tandemv1.VolumeRecord{{
		Id: "db.0.1.data.fw", JobId: "/db", Name: "data", Attempt: 1, AgentId: "a1", Hostname: "a1.example",
		Role: "old", State: tandemv1.VolumeState_VOLUME_STATE_READY,
	}}}
	c := New(testConfig(), saved)
	job := parseJob(t, []string{"/db", "service", "1", "volume=data:100"})
	e := c.Step(epoch, Command{ID: 1, Submit: &Submit{Job: job}})
	why := ""
	for _, s := range e.Save {
		if r, ok := s.Record.(*tandemv1.InstanceRecord); ok {
			why = r.PhaseReason
		}
	}
	if !strings.Contains(why, "kept for role old, which is not ours any more") {
		t.Errorf("the instance waits because %q", why)
	}
	if !c.Wanted().None {
		t.Error("offers are wanted")
	}
}
