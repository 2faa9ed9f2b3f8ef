package core

import (
	"fmt"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// diskEvery is the time between the end of one measurement of a task's directory and
// the next. An agent that enforces disk looks every fifteen seconds, and ends the
// whole executor: it should not have to.
const diskEvery = 5 * time.Second

// A directory of a million files takes seconds to look through. So the time until the
// next look is diskCalm times what the last one took, but no more than diskSeldom.
const (
	diskCalm   = 20
	diskSeldom = time.Minute
)

// DiskLimit returns how many bytes a task's directory may take; 0 for any number.
func DiskLimit(s *tandemv1.TaskSettings) uint64 { return uint64(s.GetLimits().GetDisk() * mebibyte) }

func (t *task) diskLimit() uint64 { return DiskLimit(t.settings) }

// watchDisk has the directory of a task that runs measured, if it is limited. The last
// look took so long; 0 where there was none.
func (c *Core) watchDisk(t *task, took time.Duration) {
	if t.diskLimit() > 0 {
		t.diskAt = c.now.Add(max(diskEvery, min(diskCalm*took, diskSeldom)))
	}
}

func (c *Core) measureDisk(t *task) {
	if due(t.diskAt, c.now) {
		t.diskAt, t.diskBegun = time.Time{}, c.now
		c.out.Disks = append(c.out.Disks, t.run)
	}
}

// diskMeasured ends a task that takes more than it may. It has no time to clean up:
// what is full is full for others, too.
func (c *Core) diskMeasured(in DiskMeasured) {
	t := c.runs[in.Run]
	if t == nil || t.phase != running || t.kill != nil {
		return
	}
	limit := t.diskLimit()
	if in.Err != "" {
		c.note(Warn, t, "cannot measure its directory: %s", in.Err)
	}
	if in.Used > limit {
		c.kill(t, byDisk, fmt.Sprintf("disk limit exceeded: its directory takes %s of %s", size(in.Used), size(limit)), 0)
		return
	}
	c.watchDisk(t, c.now.Sub(t.diskBegun))
	c.arm(t)
}
