package master

import (
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/localmesos/master/allocator"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/validation"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// subscription is a SUBSCRIBE call whose form is right.
type subscription struct {
	info        mesos.FrameworkInfo
	suppressed  []string
	constraints *constraints
	invalid     error // what is wrong with the constraints
	streamID    string
	events      *wire.Events
}

// refuse ends a subscription with an ERROR event, which is how a master refuses
// what is well-formed.
func (s *subscription) refuse(message string) {
	s.events.Send(&scheduler.Event{
		Type:  scheduler.Event_ERROR,
		Error: &scheduler.Event_Error{Message: message},
	})
	s.events.Close()
}

// subscribe handles SUBSCRIBE. It returns the framework's ID, or none if the
// subscription was refused. A framework ID that nobody knows is taken as it is,
// so that frameworks outlive a master; only one that this master saw removed is
// refused.
func (c *core) subscribe(s *subscription) frameworkID {
	if c.stopped {
		s.events.Close()
		return ""
	}
	if s.info.ID.GetValue() == "" {
		c.metrics.messages["register_framework"]++
	} else {
		c.metrics.messages["reregister_framework"]++
	}
	if err := c.subscribable(s); err != nil {
		s.refuse(err.Error())
		return ""
	}
	id := frameworkID("")
	if s.info.ID != nil {
		id = frameworkID(s.info.ID.Value)
	}
	f, isNew := c.frameworks[id], id == ""
	switch {
	case isNew:
		id = c.newFrameworkID()
		s.info.ID = &mesos.FrameworkID{Value: string(id)}
		f = c.addFramework(id, s.info)
	case f == nil:
		f = c.recoverFramework(s.info)
	default:
		if err := validation.Principal(&f.info, &s.info); err != nil {
			s.refuse(err.Error())
			return ""
		}
		// These cannot be changed; they are kept without a word.
		s.info.User, s.info.Checkpoint = f.info.User, f.info.Checkpoint
		c.updateFramework(f, s.info)
	}
	if f.recovered {
		f.registered = c.now()
	}
	if !isNew {
		f.reregistered = c.now()
	}
	f.constraints = s.constraints
	f.count("calls", scheduler.Call_SUBSCRIBE.String())
	active := f.connected
	c.connect(f, s)
	c.allocator.SetFramework(c.allocatable(f, s.suppressed))
	c.allocator.ActivateFramework(string(f.id), true)
	if !active {
		c.allocateSoon()
	}
	if isNew {
		c.tellFrameworkAdded(f)
	} else {
		c.announce(f)
	}
	return f.id
}

// subscribable finds what is wrong with a subscription in itself.
func (c *core) subscribable(s *subscription) error {
	if err := c.validFramework(&s.info); err != nil {
		return err
	}
	if s.info.ID != nil && slices.ContainsFunc(c.completed, func(f *framework) bool { return string(f.id) == s.info.ID.Value }) {
		return errRemoved
	}
	if err := validation.SuppressedRoles(validation.Roles(&s.info), s.suppressed); err != nil {
		return err
	}
	if s.invalid != nil {
		return s.invalid
	}
	return c.registrable(&s.info)
}

// validFramework looks at the description of a framework, by itself and by what
// the master permits.
func (c *core) validFramework(info *mesos.FrameworkInfo) error {
	if err := validation.Framework(info); err != nil {
		return err
	}
	if err := c.permittedRoles(info); err != nil {
		return err
	}
	if info.User == "root" && c.options.NoRootSubmissions {
		return errRootSubmission
	}
	return nil
}

func (c *core) addFramework(id frameworkID, info mesos.FrameworkInfo) *framework {
	f := &framework{
		id:         id,
		info:       info,
		registered: c.now(),
		tasks:      make(map[taskID]*task),
		executors:  make(map[agentID]map[executorID]*executor),
		offers:     make(map[offerID]*offer),
		counts:     newCounts(),
	}
	c.frameworks[id] = f
	return f
}

// recoverFramework adds a framework that this master has not seen: from what an
// agent says of it, or from its own subscription.
func (c *core) recoverFramework(info mesos.FrameworkInfo) *framework {
	f := c.addFramework(frameworkID(info.ID.Value), info)
	f.recovered, f.registered = true, time.Time{}
	c.allocator.SetFramework(c.allocatable(f, nil))
	c.allocator.ActivateFramework(string(f.id), false)
	c.tellFrameworkAdded(f)
	return f
}

// connect ties a framework to a new stream and tells the one before, if any,
// that it is out of date. The offers of before are withdrawn without RESCIND.
func (c *core) connect(f *framework, s *subscription) {
	if f.events != nil {
		f.events.Send(&scheduler.Event{
			Type:  scheduler.Event_ERROR,
			Error: &scheduler.Event_Error{Message: "Framework failed over"},
		})
		f.events.Close()
	}
	for _, o := range sortedOffers(f.offers) {
		c.removeOffer(o, 0)
	}
	c.forgetInverseOf(f)
	f.failover.cancel()
	f.heartbeat.cancel()
	f.events, f.streamID = s.events, s.streamID
	f.connected, f.recovered = true, false
	f.unregistered = time.Time{}

	info := c.info
	f.send(&scheduler.Event{
		Type: scheduler.Event_SUBSCRIBED,
		Subscribed: &scheduler.Event_Subscribed{
			FrameworkID:              f.info.ID,
			HeartbeatIntervalSeconds: new(heartbeatInterval.Seconds()),
			MasterInfo:               &info,
		},
	})
	c.beat(f)
	c.options.Logger.WithField("framework", string(f.id)).Info("framework subscribed")
}

// beat sends a HEARTBEAT, and again after each interval.
func (c *core) beat(f *framework) {
	f.send(&scheduler.Event{Type: scheduler.Event_HEARTBEAT})
	f.heartbeat = c.after(heartbeatInterval, func() { c.beat(f) })
}

// allocatable describes the framework to the allocator.
func (c *core) allocatable(f *framework, suppressed []string) allocator.Framework {
	has := func(capability mesos.FrameworkInfo_Capability_Type) bool {
		return validation.HasCapability(&f.info, capability)
	}
	out := allocator.Framework{
		ID:         string(f.id),
		Roles:      validation.Roles(&f.info),
		Suppressed: suppressed,
		GPUs:       has(mesos.FrameworkInfo_Capability_GPU_RESOURCES),
		Revocable:  has(mesos.FrameworkInfo_Capability_REVOCABLE_RESOURCES),
		Shared:     has(mesos.FrameworkInfo_Capability_SHARED_RESOURCES),
		Refined:    has(mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT),
		Regions:    has(mesos.FrameworkInfo_Capability_REGION_AWARE),
	}
	for role, filters := range f.info.OfferFilters {
		if filters.MinAllocatableResources == nil {
			continue
		}
		alternatives := []allocator.Quantities{}
		for _, quantities := range filters.MinAllocatableResources.Quantities {
			q := make(allocator.Quantities)
			for name, value := range quantities.Quantities {
				q[name] = resource.Thousandths(value.Value)
			}
			alternatives = append(alternatives, q)
		}
		if out.MinAllocatable == nil {
			out.MinAllocatable = make(map[string][]allocator.Quantities)
		}
		out.MinAllocatable[role] = alternatives
	}
	if f.constraints != nil {
		out.Accepts = f.constraints.accepts
	}
	return out
}

// updateFramework takes a new description: offers of roles that it no longer
// has are rescinded.
func (c *core) updateFramework(f *framework, info mesos.FrameworkInfo) {
	info.ID = &mesos.FrameworkID{Value: string(f.id)}
	f.info = info
	roles := validation.Roles(&info)
	for _, o := range sortedOffers(f.offers) {
		if !slices.Contains(roles, o.role) {
			c.rescind(o)
		}
	}
}

// announce tells operators and agents what a framework is now.
func (c *core) announce(f *framework) {
	c.tellFrameworkUpdated(f)
	for _, a := range c.sortedAgents() {
		if a.connected {
			a.link.UpdateFramework(f.info)
		}
	}
}

// disconnectFramework notes that a stream has ended. A framework without a
// failover timeout is removed at once.
func (c *core) disconnectFramework(id frameworkID, streamID string) {
	f := c.frameworks[id]
	if f == nil || !f.connected || f.streamID != streamID || c.stopped {
		return
	}
	f.connected = false
	f.events.Close()
	f.events = nil
	f.heartbeat.cancel()
	f.unregistered = c.now()
	c.allocator.ActivateFramework(string(id), false)
	for _, o := range sortedOffers(f.offers) {
		c.removeOffer(o, 0)
	}
	c.forgetInverseOf(f)
	c.forgetInverseFilters(f)
	c.options.Logger.WithField("framework", string(id)).Info("framework disconnected")
	timeout := seconds(f.info.GetFailoverTimeout())
	if timeout <= 0 {
		c.removeFramework(f)
		return
	}
	f.failover = c.after(timeout, func() { c.removeFramework(f) })
}

// seconds converts what validation.Seconds has found to fit.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// killRemoved ends a task of a framework that is being removed, so far as the
// record goes: it may live on until its executor is gone.
func (c *core) killRemoved(f *framework, t *task) {
	c.endTask(f, t, c.status(t.info.TaskID, mesos.TASK_KILLED, mesos.REASON_FRAMEWORK_REMOVED, "Framework "+string(f.id)+" removed"))
}

// removeFramework ends a framework: its executors are shut down, its tasks are
// killed without a word to anybody, and its ID is never accepted again.
func (c *core) removeFramework(f *framework) {
	f.failover.cancel()
	f.heartbeat.cancel()
	if f.events != nil {
		f.events.Close()
		f.events = nil
	}
	f.connected = false
	f.unregistered = c.now()
	for _, o := range sortedOffers(f.offers) {
		c.removeOffer(o, 0)
	}
	c.forgetInverseOf(f)
	for _, a := range c.sortedAgents() {
		if a.connected {
			a.link.ShutdownFramework(mesos.FrameworkID{Value: string(f.id)})
		}
	}
	for _, t := range sortedTasks(f.tasks) {
		c.killRemoved(f, t)
		c.removeTask(f, t)
	}
	for _, t := range f.unreachable {
		c.killRemoved(f, t)
	}
	f.finished = append(f.finished, f.unreachable...)
	f.unreachable = nil
	for id, executors := range f.executors {
		for executor := range executors {
			c.removeExecutor(id, f.id, executor)
		}
	}
	c.allocator.RemoveFramework(string(f.id))
	delete(c.frameworks, f.id)
	c.completed = append(c.completed, f)
	if len(c.completed) > maxCompletedFrameworks {
		c.completed = c.completed[1:]
	}
	c.tellFrameworkRemoved(f)
	c.options.Logger.WithField("framework", string(f.id)).Info("framework removed")
}

func (c *core) isCompleted(id frameworkID) bool {
	for _, f := range c.completed {
		if f.id == id {
			return true
		}
	}
	return false
}
