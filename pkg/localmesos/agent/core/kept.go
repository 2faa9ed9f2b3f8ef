package core

import (
	"fmt"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// keepResources keeps what operations have made of the agent, whoever they are of.
func (c *Core) keepResources() {
	if !c.config.Checkpoint {
		return
	}
	var record KeepResources
	for _, r := range c.total() {
		if converted(&r) {
			record.Resources = append(record.Resources, r)
		}
	}
	for _, o := range c.operations {
		record.Operations = append(record.Operations, o.info)
	}
	c.emit(Keep{Record: record})
}

// converted says that a resource is what an operation has made of it, and not what
// the agent was started with (needCheckpointing in src/common/resources_utils.cpp).
func converted(r *mesos.Resource) bool {
	n := len(r.Reservations)
	return n > 0 && r.Reservations[n-1].GetType() == mesos.Resource_ReservationInfo_DYNAMIC || r.GetDisk().GetPersistence() != nil
}

// original is what an operation has found (applyCheckpointedResources there).
func original(r mesos.Resource) mesos.Resource {
	var static []mesos.Resource_ReservationInfo
	if len(r.Reservations) > 0 && r.Reservations[0].GetType() == mesos.Resource_ReservationInfo_STATIC {
		static = r.Reservations[:1:1]
	}
	r.Reservations, r.Shared = static, nil
	if r.GetDisk().GetPersistence() != nil {
		var disk *mesos.Resource_DiskInfo
		if source := r.Disk.Source; source != nil {
			disk = &mesos.Resource_DiskInfo{Source: source}
		}
		r.Disk = disk
	}
	return r
}

// recoverResources does the operations of the agent's former process again, and
// sees to it that there are the directories of its volumes.
func (c *Core) recoverResources(saved *Saved) error {
	for _, o := range saved.Operations {
		c.operations = append(c.operations, &operation{info: o, update: link.OperationUpdate{
			AgentID: c.AgentID(), FrameworkID: o.FrameworkID, Operation: o.UUID.Value, Status: o.LatestStatus,
		}})
	}
	if len(saved.Resources) == 0 {
		return nil
	}
	total, err := resource.FromMesos(c.config.Info.Resources)
	if err != nil {
		return err
	}
	var volumes []mesos.Resource
	for i := range saved.Resources {
		r := saved.Resources[i]
		before, err := resource.FromMesos([]mesos.Resource{original(r)})
		if err != nil {
			return err
		}
		after, err := resource.FromMesos([]mesos.Resource{r})
		if err != nil {
			return err
		}
		if !total.Contains(before) {
			return fmt.Errorf("there is no %v in %v", before, total)
		}
		if total, err = total.Subtract(before); err != nil {
			return err
		}
		total = total.Add(after)
		if r.GetDisk().GetPersistence() != nil {
			volumes = append(volumes, r)
		}
	}
	c.converted = total.ToMesos()
	if len(volumes) > 0 {
		c.emit(Volumes{Created: volumes})
	}
	return nil
}
