package master

import (
	"net"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	allocatorpb "github.com/mesos/mesos-go/api/v1/lib/allocator"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// Maintenance is planned for machines, on which agents are: their offers say when
// they will be unavailable, and frameworks that have something there are asked
// for it back by inverse offers (src/master/maintenance.cpp, Master::Http).

// machine identifies a machine; host names are the same in whatever case.
type machine struct{ hostname, ip string }

// String prints a machine as a real master does.
func (m machine) String() string { return m.hostname + " (" + m.ip + ")" }

func machineOf(id mesos.MachineID) machine {
	return machine{strings.ToLower(id.GetHostname()), id.GetIP()}
}

// machine returns where the agent is.
func (a *agent) machine() machine {
	_, address, _ := strings.Cut(a.pid, "@")
	ip, _, _ := net.SplitHostPort(address)
	return machine{strings.ToLower(a.info.Hostname), ip}
}

// inverseOffer asks a framework for what it has on an agent.
type inverseOffer struct {
	id        offerID
	framework frameworkID
	agent     agentID
	timeout   *timer
}

// plan is what is planned for machines, and what frameworks say of it.
type plan struct {
	schedule maintenance.Schedule
	down     map[machine]mesos.MachineID
	// known are all machines that were ever in a schedule.
	known   map[machine]bool
	offers  map[offerID]*inverseOffer
	answers map[agentID]map[frameworkID]allocatorpb.InverseOfferStatus
	// refused says until when a framework is not to be asked again.
	refused map[agentID]map[frameworkID]time.Time
}

func newPlan() plan {
	return plan{
		known: make(map[machine]bool),
		down:  make(map[machine]mesos.MachineID), offers: make(map[offerID]*inverseOffer),
		answers: make(map[agentID]map[frameworkID]allocatorpb.InverseOfferStatus),
		refused: make(map[agentID]map[frameworkID]time.Time),
	}
}

// unavailability is when a machine will be; nil for no plan.
func (p *plan) unavailability(m machine) *mesos.Unavailability {
	for i := range p.schedule.Windows {
		w := &p.schedule.Windows[i]
		if slices.ContainsFunc(w.MachineIDs, func(id mesos.MachineID) bool { return machineOf(id) == m }) {
			return &w.Unavailability
		}
	}
	return nil
}

// named is a machine's ID as the schedule writes it.
func (p *plan) named(id mesos.MachineID) mesos.MachineID {
	for _, w := range p.schedule.Windows {
		for _, scheduled := range w.MachineIDs {
			if machineOf(scheduled) == machineOf(id) {
				return scheduled
			}
		}
	}
	return id
}

// machineText is a machine's ID as answers have it.
func (c *core) machineText(id *mesos.MachineID) string {
	text, err := c.options.Schema.Encode(wire.JSON, id)
	if err != nil {
		return id.GetHostname()
	}
	return string(text)
}

func (c *core) validMachine(id *mesos.MachineID, seen map[machine]bool) error {
	if id.GetHostname() == "" && id.GetIP() == "" {
		return wire.BadRequest("Both 'hostname' and 'ip' for a machine are empty")
	}
	if ip := id.GetIP(); ip != "" && net.ParseIP(ip).To4() == nil {
		return wire.BadRequest("Failed to parse IPv4: %s", ip)
	}
	if m := machineOf(*id); seen[m] {
		return wire.BadRequest("Machine '%s' appears more than once in the schedule", c.machineText(id))
	} else {
		seen[m] = true
	}
	return nil
}

// updateSchedule replaces what is planned. Machines that are down stay so.
func (c *core) updateSchedule(s maintenance.Schedule, who viewer) error {
	seen := make(map[machine]bool)
	for i := range s.Windows {
		w := &s.Windows[i]
		if len(w.MachineIDs) == 0 {
			return wire.BadRequest("List of machines in the maintenance window is empty")
		}
		if w.Unavailability.GetDuration().GetNanoseconds() < 0 {
			return wire.BadRequest("Unavailability 'duration' is negative")
		}
		for j := range w.MachineIDs {
			if err := c.validMachine(&w.MachineIDs[j], seen); err != nil {
				return err
			}
		}
	}
	for m, id := range c.plan.down {
		if !seen[m] {
			return wire.BadRequest("Machine '%s' is deactivated and cannot be removed from the schedule", c.machineText(&id))
		}
	}
	if len(s.Windows) > 0 {
		if err := who.allowedAny(acl.UpdateMaintenanceSchedules); err != nil {
			return err
		}
	}
	for m := range seen {
		c.plan.known[m] = true
	}
	before := c.plan.schedule
	c.plan.schedule = s
	c.changed = true
	for _, a := range c.sortedAgents() {
		old := plan{schedule: before}
		if old.unavailability(a.machine()) == nil && c.plan.unavailability(a.machine()) == nil {
			continue
		}
		for _, o := range sortedOffers(a.offers) {
			c.rescind(o)
		}
		c.forgetPlan(a)
		c.allocateSoon(a.id)
	}
	return nil
}

// forgetPlan takes inverse offers back, and forgets what was said to them.
func (c *core) forgetPlan(a *agent) {
	for _, o := range c.plan.offers {
		if o.agent == a.id {
			c.rescindInverse(o)
		}
	}
	delete(c.plan.answers, a.id)
	delete(c.plan.refused, a.id)
}

func (c *core) rescindInverse(o *inverseOffer) {
	c.forgetInverse(o)
	if f := c.frameworks[o.framework]; f != nil {
		f.send(&scheduler.Event{
			Type:                scheduler.Event_RESCIND_INVERSE_OFFER,
			RescindInverseOffer: &scheduler.Event_RescindInverseOffer{InverseOfferID: mesos.OfferID{Value: string(o.id)}},
		})
	}
}

func (c *core) forgetInverse(o *inverseOffer) {
	o.timeout.cancel()
	delete(c.plan.offers, o.id)
}

// forgetInverseOf forgets the inverse offers of a framework that is not there.
func (c *core) forgetInverseOf(f *framework) {
	for _, o := range c.plan.offers {
		if o.framework == f.id {
			c.forgetInverse(o)
		}
	}
}

// forgetInverseFilters lets a framework be asked again what it has answered.
func (c *core) forgetInverseFilters(f *framework) {
	for _, refused := range c.plan.refused {
		delete(refused, f.id)
	}
}

// planned tells whether all machines are in the schedule, and down or not, and
// whether the operator may change that.
func (c *core) planned(ids []mesos.MachineID, down bool, allowed error) error {
	if len(ids) == 0 {
		return wire.BadRequest("List of machines is empty")
	}
	seen := make(map[machine]bool)
	for i := range ids {
		if err := c.validMachine(&ids[i], seen); err != nil {
			return err
		}
	}
	for i := range ids {
		m := machineOf(ids[i])
		_, isDown := c.plan.down[m]
		known := c.plan.known[m] || c.plan.unavailability(m) != nil ||
			slices.ContainsFunc(c.sortedAgents(), func(a *agent) bool { return a.machine() == m })
		switch {
		case !known:
			return wire.BadRequest("Machine '%s' is not part of a maintenance schedule", c.machineText(&ids[i]))
		case down && !isDown:
			return wire.BadRequest("Machine '%s' is not in DOWN mode and cannot be brought up", c.machineText(&ids[i]))
		case !down && (isDown || c.plan.unavailability(m) == nil):
			return wire.BadRequest("Machine '%s' is not in DRAINING mode and cannot be brought down", c.machineText(&ids[i]))
		case allowed != nil:
			return allowed
		}
	}
	return nil
}

const downMessage = "Operator initiated 'Machine DOWN'"

// startMaintenance removes the agents of machines, and lets none come.
func (c *core) startMaintenance(ids []mesos.MachineID, who viewer) error {
	if err := c.planned(ids, false, who.allowedAny(acl.StartMaintenances)); err != nil {
		return err
	}
	for _, id := range ids {
		c.plan.down[machineOf(id)] = c.plan.named(id)
		c.changed = true
	}
	for _, a := range c.sortedAgents() {
		if _, down := c.plan.down[a.machine()]; down {
			a.link.Shutdown(downMessage)
			c.leave(a, downMessage)
		}
	}
	return nil
}

// stopMaintenance lets agents come again, and takes the machines from the plan.
func (c *core) stopMaintenance(ids []mesos.MachineID, who viewer) error {
	if err := c.planned(ids, true, who.allowedAny(acl.StopMaintenances)); err != nil {
		return err
	}
	for _, id := range ids {
		delete(c.plan.down, machineOf(id))
	}
	var windows []maintenance.Window
	for _, w := range c.plan.schedule.Windows {
		w.MachineIDs = slices.DeleteFunc(slices.Clone(w.MachineIDs), func(id mesos.MachineID) bool {
			return slices.ContainsFunc(ids, func(up mesos.MachineID) bool { return machineOf(up) == machineOf(id) })
		})
		if len(w.MachineIDs) > 0 {
			windows = append(windows, w)
		}
	}
	c.plan.schedule.Windows = windows
	c.changed = true
	return nil
}

// shownSchedule is what an operator may see of the schedule.
func (c *core) shownSchedule(who viewer) maintenance.Schedule {
	if who.allowedAny(acl.GetMaintenanceSchedules) != nil {
		return maintenance.Schedule{}
	}
	return c.plan.schedule
}

// maintenanceStatus lists the machines of the plan, with what frameworks
// answered.
func (c *core) maintenanceStatus(who viewer) maintenance.ClusterStatus {
	var status maintenance.ClusterStatus
	if who.allowedAny(acl.GetMaintenanceStatuses) != nil {
		return status
	}
	for _, w := range c.plan.schedule.Windows {
		for _, id := range w.MachineIDs {
			if _, down := c.plan.down[machineOf(id)]; down {
				status.DownMachines = append(status.DownMachines, id)
				continue
			}
			draining := maintenance.ClusterStatus_DrainingMachine{ID: id}
			for _, a := range c.sortedAgents() {
				if a.machine() != machineOf(id) {
					continue
				}
				for _, f := range c.sortedFrameworks() {
					if answer, ok := c.plan.answers[a.id][f.id]; ok {
						draining.Statuses = append(draining.Statuses, answer)
					}
				}
			}
			status.DrainingMachines = append(status.DrainingMachines, draining)
		}
	}
	return status
}

// invert makes inverse offers to all that have something on the agents, or on
// all if none is named. Who has answered is asked again when the answer's filter
// ends.
func (c *core) invert(agents ...string) {
	if len(c.plan.schedule.Windows) == 0 {
		return
	}
	asked := make(map[frameworkID][]mesos.InverseOffer)
	for _, a := range c.sortedAgents() {
		unavailable := c.plan.unavailability(a.machine())
		if unavailable == nil || !c.usable(a) || len(agents) > 0 && !slices.Contains(agents, string(a.id)) {
			continue
		}
		for _, f := range c.sortedFrameworks() {
			if !f.connected || !c.holds(f, a) || c.now().Before(c.plan.refused[a.id][f.id]) || c.asked(f, a) {
				continue
			}
			o := &inverseOffer{id: c.newOfferID(), framework: f.id, agent: a.id}
			c.plan.offers[o.id] = o
			if c.options.OfferTimeout > 0 {
				o.timeout = c.after(c.options.OfferTimeout, func() { c.rescindInverse(o) })
			}
			asked[f.id] = append(asked[f.id], mesos.InverseOffer{
				OfferID: mesos.OfferID{Value: string(o.id)}, URL: a.url(), FrameworkID: mesos.FrameworkID{Value: string(f.id)},
				AgentID: &mesos.AgentID{Value: string(a.id)}, Unavailability: *unavailable,
			})
		}
	}
	for _, f := range c.sortedFrameworks() {
		if offers := asked[f.id]; len(offers) > 0 {
			f.send(&scheduler.Event{Type: scheduler.Event_INVERSE_OFFERS, InverseOffers: &scheduler.Event_InverseOffers{InverseOffers: offers}})
		}
	}
}

// holds tells whether a framework has anything on an agent, be it offers.
func (c *core) holds(f *framework, a *agent) bool {
	if len(a.executors[f.id]) > 0 {
		return true
	}
	for _, t := range a.tasks[f.id] {
		if !t.freed {
			return true
		}
	}
	for _, o := range a.offers {
		if o.framework == f.id {
			return true
		}
	}
	return false
}

func (c *core) asked(f *framework, a *agent) bool {
	for _, o := range c.plan.offers {
		if o.framework == f.id && o.agent == a.id {
			return true
		}
	}
	return false
}

// answerInverse handles ACCEPT_INVERSE_OFFERS and DECLINE_INVERSE_OFFERS. What is
// not there, or another's, is ignored.
func (c *core) answerInverse(f *framework, ids []mesos.OfferID, filters *mesos.Filters, answer allocatorpb.InverseOfferStatus_Status) {
	for _, id := range ids {
		o := c.plan.offers[offerID(id.Value)]
		if o == nil || o.framework != f.id {
			continue
		}
		c.forgetInverse(o)
		if c.plan.answers[o.agent] == nil {
			c.plan.answers[o.agent] = make(map[frameworkID]allocatorpb.InverseOfferStatus)
			c.plan.refused[o.agent] = make(map[frameworkID]time.Time)
		}
		c.plan.answers[o.agent][f.id] = allocatorpb.InverseOfferStatus{
			Status: &answer, FrameworkID: mesos.FrameworkID{Value: string(f.id)}, Timestamp: *nanoseconds(c.now()),
		}
		c.plan.refused[o.agent][f.id] = c.now().Add(refusal(filters))
	}
}

// maintenanceChange returns what a call about maintenance changes; nil if it is
// none.
func maintenanceChange(call *mesosmaster.Call, who viewer) *change {
	switch call.Type {
	case mesosmaster.Call_UPDATE_MAINTENANCE_SCHEDULE:
		sent := call.UpdateMaintenanceSchedule
		return &change{field: "update_maintenance_schedule", present: sent != nil, status: 200, make: func(c *core) error { return c.updateSchedule(sent.Schedule, who) }}
	case mesosmaster.Call_START_MAINTENANCE:
		sent := call.StartMaintenance
		return &change{field: "start_maintenance", present: sent != nil, status: 200, make: func(c *core) error { return c.startMaintenance(sent.Machines, who) }}
	case mesosmaster.Call_STOP_MAINTENANCE:
		sent := call.StopMaintenance
		return &change{field: "stop_maintenance", present: sent != nil, status: 200, make: func(c *core) error { return c.stopMaintenance(sent.Machines, who) }}
	}
	return nil
}

// refusesMachine sends away an agent on a machine that is down.
func (c *core) refusesMachine(l link.Agent, r link.Registration) bool {
	on := agent{info: r.Info, pid: r.PID}
	_, down := c.plan.down[on.machine()]
	if down {
		l.Shutdown("Machine is `DOWN`")
	}
	return down
}
