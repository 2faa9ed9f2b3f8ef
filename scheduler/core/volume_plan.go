package core

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
)

// boundNeed is what an instance takes beside the volumes that are there for it.
func (c *Core) boundNeed(in *instance, v *version) match.Need {
	n := v.need
	n.Disks = nil
	for _, want := range v.spec.Volumes {
		if diskKind(want) == resource.RootDisk {
			n.Disk -= volumeSize(want)
		}
	}
	for _, want := range v.spec.Volumes {
		if c.bound(in, want) == nil {
			addVolumeNeed(&n, want)
		}
	}
	return n
}

// planVolumes says which volumes the instances of a job that is not submitted would
// have; of those that stay as they are, which are not what the job asks for then. It
// takes the instances that are tied to agents out of the request: each of them goes
// to its agent or nowhere.
func (c *Core) planVolumes(spec *tandemv1.Job, r *match.Request, x *tandemv1.Explanation, seen []*agent, agents []match.Agent) {
	if len(spec.Volumes) == 0 {
		return
	}
	j := &job{rec: &tandemv1.JobRecord{Spec: spec}}
	v := c.newVersion(j, &tandemv1.VersionRecord{JobId: spec.Id, Spec: spec})
	candidates := make(map[string]*match.Agent, len(seen))
	for i := range seen {
		candidates[seen[i].id] = &agents[i]
	}
	tied := 0
	in := &instance{job: j}
	for slot := range spec.GetInstances() {
		in.slot = slot
		stays := slot < spec.GetInstances()-int32(r.Count)
		for _, want := range spec.Volumes {
			b := c.bound(in, want)
			switch {
			case b == nil && !stays:
				x.NewVolumes++
			case b == nil, stays && c.unlike(b.rec, want) == "":
			case len(x.KeptVolumes) < explainedAgents:
				x.KeptVolumes = append(x.KeptVolumes, &tandemv1.KeptVolume{
					Slot: slot, Name: b.rec.Name, Id: b.rec.Id, Hostname: b.rec.Hostname, Size: b.rec.Size,
					Note: c.unlike(b.rec, want),
				})
			}
		}
		if stays {
			continue
		}
		home, apart := c.home(in, v)
		if home == nil {
			continue
		}
		tied++
		against := c.awaits(in, v)
		if apart == nil && home.rec.State != lostVolume && !c.foreign(home) {
			against = c.againstHome(in, v, home, candidates[home.rec.AgentId])
		}
		if against == "" {
			x.Placeable++
			x.Places = append(x.Places, home.rec.Hostname)
			continue
		}
		x.Summary = cmp.Or(x.Summary, fmt.Sprintf("instance %d: %s", slot, against))
		for _, k := range slices.Backward(x.KeptVolumes) {
			if k.Slot == slot && k.Id == home.rec.Id {
				k.Note = against
			}
			if k.Slot != slot {
				break
			}
		}
	}
	r.Count -= tied
}

// againstHome says why an instance would not find room on the agent of its volumes,
// or nothing. What it has there now ends before.
func (c *Core) againstHome(in *instance, v *version, home *volume, at *match.Agent) string {
	if at == nil {
		return fmt.Sprintf("its volume %s is on agent %s, which has offered nothing yet", home.rec.Name, home.rec.Hostname)
	}
	a := *at
	if now := c.holder(home); now != nil && now.live != nil && now.live.version != nil {
		var ports []uint64
		for _, t := range now.live.rec.Tasks {
			for _, p := range t.Ports {
				ports = append(ports, uint64(p))
			}
		}
		n := c.boundNeed(now, now.live.version)
		a.Return(n.Amount, ports)
	}
	own := match.Request{Need: c.boundNeed(in, v), Rules: v.rules, Spread: match.NewSpread(v.rules), Count: 1}
	if len(match.Explain(&a, &own)) == 0 {
		return ""
	}
	return fmt.Sprintf("its volume %s is on agent %s, which %s", home.rec.Name, home.rec.Hostname, match.Against(&a, &own))
}

// unlike says in what a volume that is there is not what the job asks for, and what
// can be done about it; nothing where that is of no account.
func (c *Core) unlike(r *tandemv1.VolumeRecord, want *tandemv1.Volume) string {
	has := r.Disk
	if has == tandemv1.VolumeDisk_VOLUME_DISK_UNSPECIFIED {
		has = tandemv1.VolumeDisk_VOLUME_DISK_ROOT
	}
	switch {
	case has != want.Disk && want.Disk != tandemv1.VolumeDisk_VOLUME_DISK_UNSPECIFIED:
		return "stays on the disk that it was made of: purge it for a new one"
	case resource.Thousandths(r.Size) < volumeSize(want) && c.volumes.feedback && has != tandemv1.VolumeDisk_VOLUME_DISK_MOUNT:
		return fmt.Sprintf("has %v MiB, and grows to %v when its instance is started anew, if its agent has the disk then", r.Size, want.Size)
	case resource.Thousandths(r.Size) < volumeSize(want):
		return fmt.Sprintf("keeps its %v MiB, and %v are asked for: purge it for a new one", r.Size, want.Size)
	case resource.Thousandths(r.Size) > volumeSize(want) && has != tandemv1.VolumeDisk_VOLUME_DISK_MOUNT:
		return fmt.Sprintf("keeps its %v MiB, and no more than %v are asked for", r.Size, want.Size)
	}
	return ""
}

// tellUnlike says in a job's events which of its volumes stay other than it asks
// for now, the first of each name.
func (c *Core) tellUnlike(j *job) {
	for _, want := range j.rec.Spec.Volumes {
		more := 0
		var first *volume
		in := &instance{job: j}
		for in.slot = range j.rec.Spec.GetInstances() {
			b := c.bound(in, want)
			switch {
			case b == nil || c.unlike(b.rec, want) == "":
			case first == nil:
				first = b
			default:
				more++
			}
		}
		if first == nil {
			continue
		}
		others := ""
		if more > 0 {
			others = fmt.Sprintf(" (and %d more)", more)
		}
		c.noticeVolume(Warn, first, "volume %s%s %s", first.rec.Id, others, c.unlike(first.rec, want))
	}
}
