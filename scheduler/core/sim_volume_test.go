package core_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// converted is what an operation on reservations or volumes takes and gives.
func (m *simMaster) converted(op *mesos.Offer_Operation) (from, to resource.Resources) {
	without := func(rs []mesos.Resource, strip func(*mesos.Resource)) resource.Resources {
		out := slices.Clone(rs)
		for i := range out {
			strip(&out[i])
		}
		return m.read(out)
	}
	unreserved := func(r *mesos.Resource) { r.Reservations = r.Reservations[:len(r.Reservations)-1] }
	plain := func(r *mesos.Resource) { *r = resource.WithoutVolume(*r) }
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		return without(op.Reserve.Resources, unreserved), m.read(op.Reserve.Resources)
	case mesos.Offer_Operation_UNRESERVE:
		return m.read(op.Unreserve.Resources), without(op.Unreserve.Resources, unreserved)
	case mesos.Offer_Operation_CREATE:
		return without(op.Create.Volumes, plain), m.read(op.Create.Volumes)
	case mesos.Offer_Operation_GROW_VOLUME:
		g := op.GrowVolume
		grown := g.Volume
		grown.Scalar = &mesos.Value_Scalar{Value: g.Volume.Scalar.Value + g.Addition.Scalar.Value}
		return m.read([]mesos.Resource{g.Volume, g.Addition}), m.read([]mesos.Resource{grown})
	case mesos.Offer_Operation_DESTROY:
		return m.read(op.Destroy.Volumes), without(op.Destroy.Volumes, plain)
	}
	m.w.fail("unexpected operation %s", op.Type)
	return
}

// operate carries an operation out on what is left of an ACCEPT's offers.
func (m *simMaster) operate(op *mesos.Offer_Operation, at *masterAgent, offered resource.Resources, valid bool) resource.Resources {
	if op.ID != nil {
		if m.operations[op.ID.Value] {
			m.w.fail("operation ID %s is used twice, which a real master does not survive", op.ID.Value)
		}
		m.operations[op.ID.Value] = true
	}
	if !valid {
		m.refuseOperation(op, "Operation attempted with invalid offers: Offer is no longer valid")
		return offered
	}
	if m.w.faults() && m.w.chance(0.03) {
		m.refuseOperation(op, "Not authorized to "+strings.ToLower(op.Type.String()))
		return offered
	}
	from, to := m.converted(op)
	rest, err := offered.Subtract(from)
	if err != nil {
		m.refuseOperation(op, "Invalid operation: "+err.Error())
		return offered
	}
	if op.Type == mesos.Offer_Operation_DESTROY {
		for _, v := range op.Destroy.Volumes {
			m.destroying(at, v.Disk.Persistence.ID)
		}
	}
	at.change(from, to)
	m.tell(at.agent, func() { at.agent.operate(op, from, to) })
	if op.Type == mesos.Offer_Operation_GROW_VOLUME {
		m.quiet = false
		return rest // what follows in the ACCEPT cannot have it
	}
	return rest.Add(to)
}

func (m *simMaster) refuseOperation(op *mesos.Offer_Operation, message string) {
	if op.ID == nil {
		return
	}
	for range m.w.copies() { // it is said once, and nobody need say that he knows
		m.send(core.OperationUpdated{Status: mesos.OperationStatus{OperationID: op.ID, State: mesos.OPERATION_ERROR, Message: &message}})
	}
}

// copies is how often what is said of an operation arrives.
func (w *world) copies() int {
	switch {
	case w.faults() && w.chance(0.1):
		return 0
	case w.faults() && w.chance(0.1):
		return 2
	}
	return 1
}

// destroying: what holds data is destroyed only for somebody who has asked.
func (m *simMaster) destroying(at *masterAgent, id string) {
	if at.agent.written[id] && !m.w.team.purged[id] {
		m.w.fail("volume %s holds data, and is destroyed unasked", id)
	}
}

func (a *masterAgent) change(from, to resource.Resources) {
	if rest, err := a.total.Subtract(from); err == nil {
		a.total = rest.Add(to)
	}
}

// operate is the agent's part of an operation: it says so until that is
// acknowledged.
func (a *simAgent) operate(op *mesos.Offer_Operation, from, to resource.Resources) {
	rest, err := a.total.Subtract(from)
	if err != nil {
		a.w.fail("agent %s cannot %s: %v", a.id, op.Type, err)
	}
	a.total = rest.Add(to)
	if op.Type == mesos.Offer_Operation_DESTROY {
		for _, v := range op.Destroy.Volumes {
			delete(a.written, v.Disk.Persistence.ID)
		}
	}
	if op.ID == nil {
		return
	}
	a.w.uuids++
	status := mesos.OperationStatus{
		OperationID: op.ID, State: mesos.OPERATION_FINISHED, AgentID: &mesos.AgentID{Value: a.id},
		UUID: &mesos.UUID{Value: fmt.Appendf(nil, "uuid%012d", a.w.uuids)},
	}
	a.operations[op.ID.Value] = true
	a.tellOperation(status)
}

func (a *simAgent) tellOperation(s mesos.OperationStatus) {
	if a.dead || !a.operations[s.OperationID.Value] {
		return
	}
	for range a.w.copies() {
		a.w.message(a, func() { a.w.master.send(core.OperationUpdated{Status: s}) })
	}
	a.w.after(10*time.Second, func() { a.tellOperation(s) })
}

// volumesIn are the IDs of the volumes among resources.
func volumesIn(rs []mesos.Resource) []string {
	var ids []string
	for i := range rs {
		if p := rs[i].GetDisk().GetPersistence(); p != nil {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// mount begins the use of an executor's volumes, and reports false where the
// agent does not have them.
func (a *simAgent) mount(g *simGroup, rs []mesos.Resource) bool {
	has := volumesIn(a.total.ToMesos())
	for _, id := range volumesIn(rs) {
		if !slices.Contains(has, id) {
			return false
		}
		for _, t := range a.running() {
			if t.group != g && slices.Contains(t.group.volumes, id) {
				a.w.fail("volume %s is used by %s and by %s", id, t.group.executor, g.executor)
			}
		}
		g.volumes = append(g.volumes, id)
	}
	return true
}

// write is what workloads do with their volumes.
func (a *simAgent) write(g *simGroup) {
	for _, id := range g.volumes {
		a.written[id] = true
	}
}

// purge asks for the end of some volume. It is refused as often as not.
func (t *team) purge() {
	volumes := sortedKeys(t.w.sched.store[state.KindVolume])
	if len(volumes) == 0 || t.w.sched.down {
		return
	}
	t.purgeVolume(volumes[t.w.random.IntN(len(volumes))], t.w.chance(0.1))
}

func (t *team) purgeVolume(id string, forget bool) {
	if t.w.sched.down {
		return
	}
	before := t.purged[id]
	t.purged[id] = true
	t.send(core.Command{PurgeVolume: &core.PurgeVolume{ID: id, Forget: forget}}, func(r core.Reply) {
		if r.Refused != nil {
			t.purged[id] = before
		}
	})
}

// buryVolumes forgets, when all is calm, what dead agents have taken along.
func (t *team) buryVolumes() {
	for _, id := range sortedKeys(t.w.sched.store[state.KindVolume]) {
		r, ok := t.w.sched.store[state.KindVolume][id]
		if !ok {
			continue
		}
		for _, a := range t.w.agents {
			if a.id == r.record.(*tandemv1.VolumeRecord).AgentId && a.dead {
				t.purgeVolume(id, true)
			}
		}
	}
}

func (k *checks) anyPurging() bool {
	for _, r := range k.s.store[state.KindVolume] {
		if r.record.(*tandemv1.VolumeRecord).State == tandemv1.VolumeState_VOLUME_STATE_PURGING {
			return true
		}
	}
	return false
}

// waitsForAPerson reports whether the volume of an instance may be lost.
func (k *checks) waitsForAPerson(in *tandemv1.InstanceRecord) bool {
	agents := map[string]bool{}
	for _, r := range k.s.store[state.KindVolume] {
		v := r.record.(*tandemv1.VolumeRecord)
		if v.JobId != in.JobId || v.Slot != in.Slot {
			continue
		}
		if v.State == tandemv1.VolumeState_VOLUME_STATE_LOST {
			return true
		}
		agents[v.AgentId] = true
	}
	return len(agents) > 1
}

// crowdedOut reports whether an instance is kept from its volume by what else
// runs there.
func (k *checks) crowdedOut(j *tandemv1.JobRecord, in *tandemv1.InstanceRecord) bool {
	if len(j.Spec.Volumes) == 0 {
		return false
	}
	for _, r := range k.s.store[state.KindVolume] {
		v := r.record.(*tandemv1.VolumeRecord)
		if v.JobId != in.JobId || v.Slot != in.Slot {
			continue
		}
		if m := k.s.w.master; !m.hasRoom(m.agents[v.AgentId], j.Spec) {
			return true
		}
	}
	return false
}

// crowded reports whether that is so of an instance of the job.
func (k *checks) crowded(j *tandemv1.JobRecord) bool {
	for _, r := range k.s.store[state.KindInstance] {
		in := r.record.(*tandemv1.InstanceRecord)
		if in.JobId == j.Spec.Id && in.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_WAITING && k.crowdedOut(j, in) {
			return true
		}
	}
	return false
}

// wants reports whether an instance runs with the volume.
func (k *checks) wants(v *tandemv1.VolumeRecord) bool {
	in, ok := k.s.store[state.KindInstance][state.InstanceKey(v.JobId, v.Slot)].record.(*tandemv1.InstanceRecord)
	if !ok || in.Phase != tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING {
		return false
	}
	a := k.rules.attempt(v.JobId, v.Slot, in.Attempt)
	return a != nil && slices.Contains(a.Volumes, v.Id)
}

// volumesAtRest: every volume that is there is known, and nothing is reserved for
// one that is not.
func (k *checks) volumesAtRest() {
	w := k.s.w
	for _, id := range sortedKeys(k.s.store[state.KindVolume]) {
		v := k.s.store[state.KindVolume][id].record.(*tandemv1.VolumeRecord)
		if v.State == tandemv1.VolumeState_VOLUME_STATE_CREATING && !k.wants(v) {
			continue // no task runs with it, and none has told of it
		}
		if v.State != tandemv1.VolumeState_VOLUME_STATE_READY {
			w.fail("volume %s is still %v", id, v)
		}
		at := slices.IndexFunc(w.agents, func(a *simAgent) bool { return a.id == v.AgentId })
		if !slices.Contains(volumesIn(w.agents[at].total.ToMesos()), id) {
			w.fail("volume %s is recorded, and not there: %v", id, v)
		}
	}
	for _, a := range w.agents {
		if a.dead {
			continue
		}
		for _, id := range sortedKeys(a.operations) {
			w.fail("nobody acknowledges operation %s", id)
		}
		for _, r := range a.total.ToMesos() {
			if !w.ours(&r) {
				if !resource.EmptyDisk(&r) {
					w.fail("volume %s is offered to others: %s", r.Disk.Persistence.ID, resource.Format(&r))
				}
				continue
			}
			if resource.EmptyDisk(&r) && k.expected(&r) {
				continue
			}
			if resource.EmptyDisk(&r) {
				w.fail("agent %s has %s reserved for nothing", a.id, resource.Format(&r))
			}
			if id := r.Disk.Persistence.ID; k.s.store[state.KindVolume][id].record == nil && !w.team.purged[id] {
				w.fail("volume %s is there, and not known", id)
			}
		}
	}
}

// expected reports whether disk is reserved for a volume that is known and will have
// it given back: it was to grow by that, did not, and has been in use since; or it was
// not made, and its agent has offered nothing since.
func (k *checks) expected(r *mesos.Resource) bool {
	id := r.Reservations[len(r.Reservations)-1].Labels.Labels[0].GetValue()
	v, ok := k.s.store[state.KindVolume][id].record.(*tandemv1.VolumeRecord)
	if !ok || k.wants(v) {
		return ok && v.Operations > 0
	}
	return v.State == tandemv1.VolumeState_VOLUME_STATE_CREATING
}

// volumesOf gives some jobs volumes, which tie them to agents and so go with no
// constraints.
func (t *team) volumesOf(j *tandemv1.Job) {
	r := t.w.random
	if j.Type != tandemv1.JobType_JOB_TYPE_SERVICE && j.Type != tandemv1.JobType_JOB_TYPE_BATCH || len(j.Constraints) > 0 || r.IntN(5) == 0 {
		return
	}
	// The same jobs, so that one finds the volumes of its earlier versions.
	if (t.w.seed+uint64(j.Id[len(j.Id)-1]))%2 == 0 {
		return
	}
	j.Executor.Share = tandemv1.ExecutorShare_EXECUTOR_SHARE_INSTANCE
	for n := range 1 + r.IntN(2) {
		j.Volumes = append(j.Volumes, &tandemv1.Volume{
			Name: fmt.Sprintf("v%d", n), Size: float64(50 * (1 + r.IntN(3))), WhenLost: tandemv1.WhenLost(1 + r.IntN(2)),
			Disk: t.w.disk(),
		})
	}
}

// disk is what a volume is to be made of. In most worlds agents have one disk each,
// for many take their time.
func (w *world) disk() tandemv1.VolumeDisk {
	if w.seed%4 != 0 {
		return tandemv1.VolumeDisk_VOLUME_DISK_ROOT
	}
	return tandemv1.VolumeDisk(1 + w.random.IntN(3))
}

// enlarge asks for larger volumes of a job that has some, and has its instances
// started anew.
func (t *team) enlarge() {
	ids := slices.DeleteFunc(sortedKeys(t.asked), func(id string) bool {
		w := t.asked[id]
		return w.stopped || w.unsure || len(w.spec.Volumes) == 0
	})
	if len(ids) == 0 {
		return
	}
	id := ids[t.w.random.IntN(len(ids))]
	w := t.asked[id]
	spec := proto.CloneOf(w.spec)
	for _, v := range spec.Volumes {
		v.Size = min(v.Size+50, 150)
	}
	t.submit(spec)
	if !t.w.sched.down {
		t.send(core.Command{Restart: &core.Restart{JobID: id}}, func(core.Reply) {})
	}
}

// otherDisks are what an agent has beside its own disk: one for parts, and file
// systems enough for all that comes to it.
func otherDisks(w *world) resource.Resources {
	if w.seed%4 != 0 {
		return resource.Resources{}
	}
	disk := func(size float64, source mesos.Resource_DiskInfo_Source) mesos.Resource {
		return mesos.Resource{
			Name: "disk", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: size},
			AllocationInfo: &mesos.Resource_AllocationInfo{Role: &w.role}, Disk: &mesos.Resource_DiskInfo{Source: &source},
		}
	}
	root := "/parts"
	disks := []mesos.Resource{disk(20000, mesos.Resource_DiskInfo_Source{
		Type: mesos.Resource_DiskInfo_Source_PATH, Path: &mesos.Resource_DiskInfo_Source_Path{Root: &root},
	})}
	for i := range 24 {
		root := fmt.Sprintf("/disks/%d", i)
		disks = append(disks, disk(float64(80+i%2*80), mesos.Resource_DiskInfo_Source{
			Type: mesos.Resource_DiskInfo_Source_MOUNT, Mount: &mesos.Resource_DiskInfo_Source_Mount{Root: &root},
		}))
	}
	r, err := resource.FromMesos(disks)
	if err != nil {
		w.fail("%v", err)
	}
	return r
}

// recount takes in what an agent has when it registers.
func (m *simMaster) recount(known *masterAgent) {
	if known.total.Equal(known.agent.total) {
		return
	}
	known.total = known.agent.total
	for _, offer := range slices.Sorted(maps.Keys(m.offers)) {
		if m.offers[offer].agent == known {
			delete(m.offers, offer)
			m.send(core.Rescinded{OfferID: mesos.OfferID{Value: offer}})
		}
	}
}
