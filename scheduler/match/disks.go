package match

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Disk is a disk beside the agent's own: of one that an agent offers, how much is
// free; of one that a group needs, how much at least.
type Disk struct {
	Kind resource.DiskKind
	Size resource.Milli
}

// diskOf returns the disk that a resource is, unless that is the agent's own or
// holds a volume.
func diskOf(r *mesos.Resource) (Disk, bool) {
	kind, ok := resource.KindOfDisk(r)
	if !ok || kind == resource.RootDisk || !resource.EmptyDisk(r) {
		return Disk{}, false
	}
	return Disk{kind, resource.Thousandths(r.Scalar.GetValue())}, true
}

// Spend takes disk off the agent that goes elsewhere than to a group.
func (a *Agent) Spend(r mesos.Resource) {
	amount := resource.Thousandths(r.GetScalar().GetValue())
	if d, ok := diskOf(&r); ok {
		a.Disks, _ = takeDisks(a.Disks, []Disk{{d.Kind, amount}})
		return
	}
	a.Free.Disk -= amount
}

// takeDisks returns what is left of disks when each need has got the smallest that
// suffices, as resource.TakeDisk does; or the first need for which none does.
func takeDisks(disks, needs []Disk) (rest []Disk, short *Disk) {
	if len(needs) == 0 {
		return disks, nil
	}
	rest = append([]Disk(nil), disks...)
	for i := range needs {
		best := -1
		for at, d := range rest {
			if d.Kind == needs[i].Kind && d.Size >= needs[i].Size && (best < 0 || d.Size < rest[best].Size) {
				best = at
			}
		}
		switch {
		case best < 0:
			return rest, &needs[i]
		case needs[i].Kind == resource.MountDisk:
			rest[best].Size = 0
		default:
			rest[best].Size -= needs[i].Size
		}
	}
	return rest, nil
}

// diskShort says what disk a group lacks on an agent, and how large the largest
// is that is left there; nothing where it lacks none.
func diskShort(a *Agent, n *Need) (what string, need, have resource.Milli) {
	rest, short := takeDisks(a.Disks, n.Disks)
	if short == nil {
		return "", 0, 0
	}
	for _, d := range rest {
		if d.Kind == short.Kind {
			have = max(have, d.Size)
		}
	}
	return short.Kind.String() + " disk", short.Size, have
}
