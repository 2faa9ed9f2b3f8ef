package core

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// volumeLabel marks what was reserved for a volume, with the volume's ID, so that
// it is told from what others have reserved, and is never taken for anything
// else.
const volumeLabel = "tandem.volume"

// purgeLimit is how often a volume's end is asked for in vain: a master judges
// the same operation the same way every time.
const purgeLimit = 3

// VolumeDirectory is how an executor's sandbox names a volume. Mesos's isolators
// take no path with a slash for it.
func volumeDirectory(name string) string { return "volume-" + name }

func volumeSize(v *tandemv1.Volume) resource.Milli { return resource.Thousandths(v.Size) }

// diskKind is what a volume is to be made of. A job of before there was a choice
// says nothing.
func diskKind(v *tandemv1.Volume) resource.DiskKind {
	switch v.Disk {
	case tandemv1.VolumeDisk_VOLUME_DISK_PATH:
		return resource.PathDisk
	case tandemv1.VolumeDisk_VOLUME_DISK_MOUNT:
		return resource.MountDisk
	}
	return resource.RootDisk
}

// volumeDisk is what a resource's disk is.
func volumeDisk(r *mesos.Resource) tandemv1.VolumeDisk {
	kind, _ := resource.KindOfDisk(r)
	return [...]tandemv1.VolumeDisk{
		resource.RootDisk:  tandemv1.VolumeDisk_VOLUME_DISK_ROOT,
		resource.PathDisk:  tandemv1.VolumeDisk_VOLUME_DISK_PATH,
		resource.MountDisk: tandemv1.VolumeDisk_VOLUME_DISK_MOUNT,
	}[kind]
}

// addVolumeNeed adds what the making of a volume takes.
func addVolumeNeed(n *match.Need, v *tandemv1.Volume) {
	if kind := diskKind(v); kind != resource.RootDisk {
		n.Disks = append(n.Disks, match.Disk{Kind: kind, Size: volumeSize(v)})
	} else {
		n.Disk += volumeSize(v)
	}
}

// volumeID names a volume for good: no other attempt of this framework has its
// number, and no other framework this one's ID.
func (c *Core) volumeID(in *instance, attempt uint64, name string) string {
	return state.TaskName{Job: in.job.id(), Slot: in.slot, Attempt: attempt, Workload: name}.String() + "." + c.framework.GetFrameworkId()
}

// parseVolumeID takes an ID of volumeID's apart, and reports false for those of
// others.
func (c *Core) parseVolumeID(id string) (state.TaskName, bool) {
	name, ours := strings.CutSuffix(id, "."+c.framework.GetFrameworkId())
	if !ours {
		return state.TaskName{}, false
	}
	return state.ParseTaskName(name)
}

// volumeOf is the ID of the volume that a resource is, or is reserved for, or
// nothing.
func volumeOf(r *mesos.Resource) string {
	if len(r.Reservations) == 0 || r.Name != "disk" {
		return ""
	}
	if persistence := r.GetDisk().GetPersistence(); persistence != nil {
		return persistence.ID
	}
	for _, l := range r.Reservations[len(r.Reservations)-1].GetLabels().GetLabels() {
		if l.Key == volumeLabel {
			return l.GetValue()
		}
	}
	return ""
}

// sift takes what belongs to volumes out of the resources of an offer, and notes
// it in the agent's pool. What it returns may be launched with.
func (c *Core) sift(p *pool, resources []mesos.Resource) []mesos.Resource {
	some := false
	for i := range resources {
		some = some || volumeOf(&resources[i]) != ""
	}
	if !some {
		return resources
	}
	rest := make([]mesos.Resource, 0, len(resources))
	for i := range resources {
		r := &resources[i]
		switch id := volumeOf(r); {
		case id == "":
			rest = append(rest, *r)
		case r.GetDisk().GetPersistence() != nil:
			if p.volumes == nil {
				p.volumes = map[string]*mesos.Resource{}
			}
			p.volumes[id] = r
		default:
			if p.leftovers == nil {
				p.leftovers = map[string][]mesos.Resource{}
			}
			p.leftovers[id] = append(p.leftovers[id], *r)
		}
	}
	return rest
}

// reviewVolumes compares what agents offer with what is known of their volumes,
// and puts an end to those that are to be purged.
func (c *Core) reviewVolumes(pools []pool) {
	if len(c.volumes.byID) == 0 && !slices.ContainsFunc(pools, func(p pool) bool { return p.volumes != nil || p.leftovers != nil }) {
		return
	}
	for i := range pools {
		p := &pools[i]
		if !p.ours {
			continue
		}
		for _, v := range slices.Clone(c.volumes.on[p.agent.id]) {
			if v.rec.Role == p.role && c.user(v) == nil {
				c.reviewVolume(v, p)
			}
		}
		for _, id := range sortedKeys(p.volumes) {
			c.adopt(id, p)
		}
		for _, id := range sortedKeys(p.leftovers) {
			if _, ours := c.parseVolumeID(id); ours && c.volumes.byID[id] == nil {
				// Nothing is lost with disk that holds no volume.
				p.operations = append(p.operations, unreserve(nil, p.leftovers[id]...))
			}
		}
	}
}

// reviewVolume looks at a volume that nothing uses, whose agent has made an
// offer.
func (c *Core) reviewVolume(v *volume, p *pool) {
	there, leftover := p.volumes[v.rec.Id], p.leftovers[v.rec.Id]
	if there != nil {
		c.measured(v, there)
		if len(leftover) > 0 { // it was to grow by that, and has not
			p.operations = append(p.operations, unreserve(nil, leftover...))
		}
	}
	switch s := v.rec.State; {
	case there != nil && s == creatingVolume:
		// The master takes it for made, and the agent may never have heard of it.
	case there != nil && s == lostVolume:
		c.setVolume(v, readyVolume, "")
		c.retie(v)
	case there != nil && s == purgingVolume && !c.volumes.feedback && v.rec.Purges >= purgeLimit:
		c.setVolume(v, readyVolume, "the master does not destroy it: its log says why")
	case there != nil && s == purgingVolume:
		c.destroy(v, p, *there)
	case there != nil:
	case s == readyVolume, s == lostVolume:
		// Another framework of the role may have been offered it.
	case len(leftover) > 0:
		if s == creatingVolume {
			c.setVolume(v, purgingVolume, "it was not made")
			c.retie(v)
		}
		c.asked(v)
		p.operations = append(p.operations, unreserve(c.operationID("unreserve", v.rec), leftover...))
	case s == purgingVolume && v.rec.Seen && v.rec.Purges == 0:
	case s == purgingVolume && v.rec.Purges > 0 && c.volumes.feedback && c.now.Before(v.rec.Purged.AsTime().Add(c.cfg.AnswerTimeout)):
		// The answer says whether it is gone.
	default:
		c.forgetVolume(v)
	}
}

func (c *Core) asked(v *volume) {
	r := c.editVolume(v)
	r.Operations++
	r.Purges++
	r.Purged = c.stamp
	if r.Purges == 1 {
		r.Reason = "it is being destroyed"
	}
}

// destroy ends a volume and gives back its disk if it was reserved for it.
func (c *Core) destroy(v *volume, p *pool, there mesos.Resource) {
	c.asked(v)
	p.operations = append(p.operations, mesos.Offer_Operation{
		Type: mesos.Offer_Operation_DESTROY, ID: c.operationID("destroy", v.rec),
		Destroy: &mesos.Offer_Operation_Destroy{Volumes: []mesos.Resource{there}},
	})
	if v.rec.Reserved {
		p.operations = append(p.operations, unreserve(c.operationID("unreserve", v.rec), resource.WithoutVolume(there)))
	}
}

func unreserve(id *mesos.OperationID, resources ...mesos.Resource) mesos.Offer_Operation {
	return mesos.Offer_Operation{
		Type: mesos.Offer_Operation_UNRESERVE, ID: id,
		Unreserve: &mesos.Offer_Operation_Unreserve{Resources: resources},
	}
}

// adopt takes in a volume that this framework has made and does not know any
// more, as after an older copy of its state was put back. It is never destroyed
// unasked.
func (c *Core) adopt(id string, p *pool) {
	name, ours := c.parseVolumeID(id)
	if !ours || c.volumes.byID[id] != nil {
		return
	}
	there := p.volumes[id]
	reserved := there.Reservations[len(there.Reservations)-1]
	v := c.newVolume(&tandemv1.VolumeRecord{
		Id: id, JobId: name.Job, Slot: name.Slot, Name: name.Workload, Attempt: name.Attempt,
		AgentId: p.agent.id, Hostname: p.agent.place.Hostname, Role: p.role, Size: there.GetScalar().GetValue(),
		// What it went through before is forgotten, and was less.
		Operations: uint64(max(0, c.now.Unix())),
		State:      readyVolume, Seen: true, Reason: "found on its agent", Created: c.stamp, Disk: volumeDisk(there),
		Reserved: len(reserved.GetLabels().GetLabels()) > 0 && reserved.GetLabels().GetLabels()[0].Key == volumeLabel,
	})
	c.noticeVolume(Warn, v, "found volume %s, which was not known", id)
	c.retie(v)
}

// operationID is one that this volume's operations have not had, or nil where
// nobody would tell what becomes of them.
func (c *Core) operationID(what string, r *tandemv1.VolumeRecord) *mesos.OperationID {
	if !c.volumes.feedback {
		return nil
	}
	return &mesos.OperationID{Value: what + "." + strconv.FormatUint(r.Operations, 10) + "." + r.Id}
}

// volumeLaunch is what an attempt's launch needs for its volumes.
type volumeLaunch struct {
	resources  []mesos.Resource
	ids        []string
	made       []*tandemv1.VolumeRecord
	operations []mesos.Offer_Operation
}

// mountVolumes finds or makes the volumes of an attempt in what is free. After an
// error nothing has changed.
func (c *Core) mountVolumes(in *instance, v *version, p *pool, free resource.Resources, attempt uint64) (volumeLaunch, resource.Resources, error) {
	var l volumeLaunch
	for _, want := range v.spec.Volumes {
		if b := c.bound(in, want); b != nil {
			there := p.volumes[b.rec.Id]
			if there == nil {
				return l, free, fmt.Errorf("its volume %s is not offered", b.rec.Id)
			}
			l.resources = append(l.resources, *there)
			l.ids = append(l.ids, b.rec.Id)
			continue
		}
		if p.role == resource.AnyRole {
			return l, free, fmt.Errorf("volume %s takes disk that is reserved for a role, and for role * nothing can be: give the scheduler a role of its own (--role)", want.Name)
		}
		disk, rest, err := free.TakeDisk(diskKind(want), volumeSize(want))
		if err != nil {
			var short *resource.Shortage
			if errors.As(err, &short) {
				err = fmt.Errorf("volume %s takes %s disk in one place and of one reservation: %w", want.Name, diskKind(want), err)
			}
			return l, free, err
		}
		free = rest
		c.makeVolume(in, want, p, disk, attempt, &l)
	}
	return l, free, nil
}

func (c *Core) makeVolume(in *instance, want *tandemv1.Volume, p *pool, disk mesos.Resource, attempt uint64, l *volumeLaunch) {
	rec := &tandemv1.VolumeRecord{
		Id: c.volumeID(in, attempt, want.Name), JobId: in.job.id(), Slot: in.slot, Name: want.Name, Attempt: attempt,
		AgentId: p.agent.id, Hostname: p.agent.place.Hostname, Role: p.role, Size: disk.GetScalar().GetValue(),
		Disk: volumeDisk(&disk), State: creatingVolume, Created: c.stamp, Reserved: reservable(disk, p.role),
	}
	var principal *string
	if c.cfg.Principal != "" {
		principal = &c.cfg.Principal
	}
	if rec.Reserved {
		disk.Reservations = append(slices.Clone(disk.Reservations), mesos.Resource_ReservationInfo{
			Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &rec.Role, Principal: principal,
			Labels: &mesos.Labels{Labels: []mesos.Label{{Key: volumeLabel, Value: &rec.Id}}},
		})
		l.operations = append(l.operations, mesos.Offer_Operation{
			Type: mesos.Offer_Operation_RESERVE, ID: c.operationID("reserve", rec),
			Reserve: &mesos.Offer_Operation_Reserve{Resources: []mesos.Resource{disk}},
		})
	}
	mode := mesos.RW
	disk.Disk = &mesos.Resource_DiskInfo{
		Source:      disk.GetDisk().GetSource(),
		Persistence: &mesos.Resource_DiskInfo_Persistence{ID: rec.Id, Principal: principal},
		Volume:      &mesos.Volume{Mode: &mode, ContainerPath: volumeDirectory(want.Name)},
	}
	l.operations = append(l.operations, mesos.Offer_Operation{
		Type: mesos.Offer_Operation_CREATE, ID: c.operationID("create", rec),
		Create: &mesos.Offer_Operation_Create{Volumes: []mesos.Resource{disk}},
	})
	l.resources = append(l.resources, disk)
	l.ids = append(l.ids, rec.Id)
	l.made = append(l.made, rec)
}

// reservable reports whether disk can be reserved for a role: where it is reserved
// for nobody, or for a role above, whose other children would be offered the
// volume too. For the very same role Mesos takes no second reservation.
func reservable(disk mesos.Resource, role string) bool {
	n := len(disk.Reservations)
	return n == 0 || resource.IsSubrole(role, disk.Reservations[n-1].GetRole())
}

// onOperation takes in what became of an operation.
func (c *Core) onOperation(s *mesos.OperationStatus) {
	if s.UUID != nil && s.OperationID != nil && c.subscribed {
		c.calls.acknowledge = append(c.calls.acknowledge, &scheduler.Call{
			Type: scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS,
			AcknowledgeOperationStatus: &scheduler.Call_AcknowledgeOperationStatus{
				AgentID: s.AgentID, ResourceProviderID: s.ResourceProviderID, UUID: s.UUID.Value, OperationID: *s.OperationID,
			},
		})
	}
	what, rest, _ := strings.Cut(s.GetOperationID().GetValue(), ".")
	number, id, _ := strings.Cut(rest, ".")
	v := c.volumes.byID[id]
	if v == nil {
		return
	}
	switch s.State {
	case mesos.OPERATION_FINISHED:
		switch {
		case what == "create" && v.rec.State == creatingVolume && v.rec.Reason != "":
			c.editVolume(v).Reason = ""
		case v.rec.State == purgingVolume && (what == "unreserve" || what == "destroy" && !v.rec.Reserved):
			c.noticeVolume(Info, v, "volume %s is purged", id)
			c.forgetVolume(v)
		}
	case mesos.OPERATION_ERROR, mesos.OPERATION_FAILED, mesos.OPERATION_DROPPED:
		// Of an operation that was asked for again since, only the latest counts.
		if number == strconv.FormatUint(v.rec.Operations, 10) {
			c.operationRefused(what, v, s.GetMessage())
		}
	}
}

func (c *Core) operationRefused(what string, v *volume, message string) {
	why := "the master refuses to " + what + " it: " + cmp.Or(message, "it does not say why")
	switch {
	case (what == "reserve" || what == "create") && v.rec.State == creatingVolume && v.rec.Reason == "":
		c.editVolume(v).Reason = why
		c.noticeVolume(Warn, v, "volume %s: %s", v.rec.Id, why)
	case what == growing:
		c.growthRefused(v, why)
	case (what == "destroy" || what == "unreserve") && v.rec.State == purgingVolume:
		if v.rec.Reason != why {
			c.noticeVolume(Warn, v, "volume %s: %s", v.rec.Id, why)
		}
		if what == "destroy" && v.rec.Purges >= purgeLimit {
			c.setVolume(v, readyVolume, why)
			return
		}
		c.setVolume(v, purgingVolume, why)
		c.offers.newWork = true // for another try
	}
}

// refusedVolume is why the volumes of a launch that the master refused were not
// made, or nothing.
func (c *Core) refusedVolume(a *attempt) string {
	for _, id := range a.rec.Volumes {
		if v := c.volumes.byID[id]; v != nil && v.rec.State == creatingVolume && v.rec.Reason != "" {
			return "volume " + v.rec.Name + ": " + v.rec.Reason
		}
	}
	return ""
}
