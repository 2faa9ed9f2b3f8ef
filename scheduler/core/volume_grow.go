package core

import (
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
)

// A volume that is smaller than its job asks for grows when its instance is to be
// started: then nothing uses it, and its agent's offer says what disk there is. Mesos
// offers what has grown anew and not to what follows in the same ACCEPT
// (Master::_accept in src/master/master.cpp), so that the instance is launched by the
// next offer. A volume that cannot grow does well enough as it is.

const (
	// growing is what the IDs of these operations begin with.
	growing = "grow"
	// growLimit is how often the same growth is tried without a word of what became
	// of it.
	growLimit = 3
	// growAgain is how long after a refusal a start of the instance tries again.
	growAgain = 10 * time.Minute
)

// growth is what is known of a volume's growth in this process.
type growth struct {
	to    resource.Milli
	tries int
	// refused is when it was last learned that it does not come about, and told
	// what a person was told of that.
	refused time.Time
	told    string
}

// growVolumes has those volumes of an instance grow that are too small, and says
// that it waits for that; nothing when it may start.
func (c *Core) growVolumes(in *instance, v *version, p *pool, candidate *match.Agent) (why string) {
	for _, want := range v.spec.Volumes {
		b := c.bound(in, want)
		if b == nil || !c.growable(b, want) {
			continue
		}
		if err := c.growVolume(b, want, p, candidate); err != nil {
			c.keepsSize(b, err.Error())
			continue
		}
		why = fmt.Sprintf("its volume %s grows to %v MiB first", want.Name, want.Size)
	}
	return why
}

// growable reports whether a volume is to be made larger, and it may come to that. A
// file system has its size; and where nobody tells of a refusal there would be no end
// of it.
func (c *Core) growable(v *volume, want *tandemv1.Volume) bool {
	size := volumeSize(want)
	if !c.volumes.feedback || v.rec.Disk == tandemv1.VolumeDisk_VOLUME_DISK_MOUNT || resource.Thousandths(v.rec.Size) >= size {
		return false
	}
	g := &v.growth
	if g.to != size {
		*g = growth{to: size}
	}
	if !g.refused.IsZero() && !c.now.Before(g.refused.Add(growAgain)) {
		g.refused, g.tries = time.Time{}, 0
	}
	return g.refused.IsZero()
}

// growVolume adds the operations. After an error nothing has changed.
func (c *Core) growVolume(v *volume, want *tandemv1.Volume, p *pool, candidate *match.Agent) error {
	if v.growth.tries == growLimit {
		v.growth.refused = c.now
		return fmt.Errorf("it was asked %d times to grow to %v, and has not", growLimit, want.Size)
	}
	there := *p.volumes[v.rec.Id]
	more := volumeSize(want) - resource.Thousandths(there.GetScalar().GetValue())
	whole := resource.WithoutVolume(there)
	plain := whole
	if v.rec.Reserved {
		plain.Reservations = there.Reservations[:len(there.Reservations)-1]
	}
	free, err := p.free()
	if err != nil {
		return err
	}
	addition, _, ok := free.TakeLike(plain, more)
	if !ok {
		return fmt.Errorf("agent %s does not offer %s MiB more of its disk", p.agent.place.Hostname, more)
	}
	spent, err := resource.FromMesos([]mesos.Resource{addition})
	if err != nil {
		return err
	}
	p.spent = p.spent.Add(spent)
	candidate.Spend(addition)
	r := c.editVolume(v)
	r.Operations++
	v.growth.tries++
	if r.Reserved {
		addition.Reservations = there.Reservations
		p.operations = append(p.operations, mesos.Offer_Operation{
			Type: mesos.Offer_Operation_RESERVE, ID: c.operationID("more", r),
			Reserve: &mesos.Offer_Operation_Reserve{Resources: []mesos.Resource{addition}},
		})
	}
	p.operations = append(p.operations, mesos.Offer_Operation{
		Type: mesos.Offer_Operation_GROW_VOLUME, ID: c.operationID(growing, r),
		GrowVolume: &mesos.Offer_Operation_GrowVolume{Volume: there, Addition: addition},
	})
	delete(p.volumes, r.Id)
	c.offers.newWork = true // it is offered anew
	return nil
}

// measured takes in how large a volume is.
func (c *Core) measured(v *volume, there *mesos.Resource) {
	if size := there.GetScalar().GetValue(); resource.Thousandths(size) != resource.Thousandths(v.rec.Size) {
		c.editVolume(v).Size = size
		c.noticeVolume(Info, v, "volume %s has %v MiB", v.rec.Id, size)
	}
}

// growthRefused has a volume used as it is.
func (c *Core) growthRefused(v *volume, why string) {
	v.growth.refused = c.now
	c.keepsSize(v, why)
	c.offers.newWork = true
}

// keepsSize says, once, why a volume does not grow.
func (c *Core) keepsSize(v *volume, why string) {
	told := fmt.Sprintf("volume %s keeps its %v MiB: %s", v.rec.Id, v.rec.Size, why)
	if v.growth.told != told {
		v.growth.told = told
		c.noticeVolume(Warn, v, "%s", told)
	}
}
