package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// describe writes effects down, a line for each.
func describe(e Effects, now time.Time) []string {
	var out []string
	add := func(format string, args ...any) {
		out = append(out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
	for _, c := range e.Save {
		switch r := c.Record.(type) {
		case nil:
			add("remove %s %s", c.Kind, c.Key)
		case *tandemv1.FrameworkRecord:
			add("save framework %s floor=%d", r.FrameworkId, r.AttemptFloor)
		case *tandemv1.VersionRecord:
			add("save version %s %d", r.JobId, r.Version)
		case *tandemv1.JobRecord:
			flags := ""
			if r.Stopped {
				flags += " stopped"
			}
			if r.Purge {
				flags += " purge"
			}
			if u := r.Update; u != nil && u.Phase != tandemv1.UpdatePhase_UPDATE_PHASE_DONE {
				flags += fmt.Sprintf(" update %d→%d %s %s", u.FromVersion, u.Version, strings.TrimPrefix(u.Phase.String(), "UPDATE_PHASE_"), quoted(u.Reason))
			}
			if cr := r.Cron; cr != nil {
				flags += fmt.Sprintf(" cron last=%s runs=%d skipped=%d missed=%d", cr.Last.AsTime().Format(time.TimeOnly), cr.Runs, cr.Skipped, cr.Missed)
				if cr.Held != nil {
					flags += " held"
				}
			}
			add("save job %s v%d%s %s %s", r.Spec.Id, r.Version, strings.TrimRight(flags, " "), strings.TrimPrefix(r.Phase.String(), "JOB_PHASE_"), quoted(r.PhaseReason))
		case *tandemv1.InstanceRecord:
			text := fmt.Sprintf("save instance %s#%d v%d %s", r.JobId, r.Slot, r.JobVersion, strings.TrimPrefix(r.Phase.String(), "INSTANCE_PHASE_"))
			if r.NotBefore != nil {
				text += " until " + since(r.NotBefore, now)
			}
			if r.Streak+r.Losses > 0 {
				text += fmt.Sprintf(" streak=%d losses=%d", r.Streak, r.Losses)
			}
			add("%s %s", text, quoted(r.PhaseReason))
		case *tandemv1.AttemptRecord:
			var tasks []string
			for _, t := range r.Tasks {
				tasks = append(tasks, t.Workload+"="+strings.TrimPrefix(t.State.String(), "TASK_"))
			}
			text := fmt.Sprintf("save attempt %s#%d#%d v%d on %s [%s]", r.JobId, r.Slot, r.Attempt, r.JobVersion, r.AgentId, strings.Join(tasks, " "))
			if r.ExecutorDigest != "" {
				text += " program=" + r.ExecutorDigest
			}
			if r.Unreachable != nil {
				text += " unreachable"
			}
			if r.Ended != nil {
				text += " ended"
			}
			if r.KillReason != "" {
				text += " kill " + quoted(r.KillReason)
			}
			add("%s", text)
		case *tandemv1.RequestRecord:
			text := fmt.Sprintf("save request %s %s %s", r.Caller, r.Call, r.Key)
			if a := r.Answer; a != nil {
				text += fmt.Sprintf(" answered version=%d changed=%t tasks=%d", a.Version, a.Changed, a.Tasks)
			}
			add("%s", text)
		case *tandemv1.AgentRecord:
			add("%s", describeAgent(r, now))
		case *tandemv1.VolumeRecord:
			text := fmt.Sprintf("save volume %s %s on %s", r.Id, strings.TrimPrefix(r.State.String(), "VOLUME_STATE_"), r.AgentId)
			if r.Reason != "" {
				text += " " + quoted(r.Reason)
			}
			add("%s", text)
		}
	}
	for _, c := range e.Calls {
		if c.Message != nil {
			describeMessage(add, c.Message)
			continue
		}
		describeCall(add, c)
	}
	for _, r := range e.Replies {
		if x := r.Explanation; x != nil {
			add("reply %d of %d waiting %d would find room %v; %s (suppressed=%t filtered=%t)", r.ID, x.Waiting, x.Placeable, x.Places, x.Summary, x.Suppressed, x.Filtered)
			if x.Nearest != "" || x.Constrained || x.SilentSince != nil {
				add("  nearest=%s constrained=%t silent=%t", x.Nearest, x.Constrained, x.SilentSince != nil)
			}
			for _, v := range x.KeptVolumes {
				add("  instance %d finds %s of %v MiB on %s: %s", v.Slot, v.Id, v.Size, v.Hostname, v.Note)
			}
			if x.NewVolumes > 0 {
				add("  %d volumes would be made", x.NewVolumes)
			}
			for _, a := range x.Agents {
				var obstacles []string
				for _, o := range a.Obstacles {
					obstacles = append(obstacles, strings.TrimSpace(o.What+" "+o.Need+"/"+o.Have))
				}
				add("  %s: %s", a.Hostname, strings.Join(obstacles, ", "))
			}
		} else if len(r.Offers) > 0 {
			add("reply %d", r.ID)
			for _, o := range r.Offers {
				until := ""
				if o.DeclinedUntil != nil {
					until = " declined for " + o.DeclinedUntil.AsTime().Sub(now).String()
				}
				add("  %s offered %s cpus=%v mem=%v disk=%v ports=%d %s ago launched=%d refused=%q%s %v", o.Hostname, o.Role, o.Resources.Cpus, o.Resources.Mem,
					o.Resources.Disk, o.Ports, now.Sub(o.Received.AsTime()), o.Launched, o.Refused, until, o.Attributes)
			}
		} else if r.Refused != nil {
			add("reply %d refused: %s", r.ID, r.Refused.Reason)
		} else if r.Program != "" {
			add("reply %d executor version=%s changed=%t", r.ID, r.Program, r.Changed)
		} else if a := r.Agent; a != nil {
			add("reply %d agent %s %s attempts=%d changed=%t", r.ID, a.AgentId, a.Hostname, a.Attempts, r.Changed)
		} else {
			more := ""
			if r.Tasks > 0 {
				more = fmt.Sprintf(" tasks=%d", r.Tasks)
			}
			if r.Run != "" {
				more += " run=" + r.Run
			}
			add("reply %d version=%d changed=%t%s", r.ID, r.Version, r.Changed, more)
		}
	}
	for _, s := range e.Samples {
		add("sample of %s", s.TaskId)
	}
	for _, n := range e.Show {
		if n.Level > Debug {
			about := n.Job
			if n.OfInstance {
				about = fmt.Sprintf("%s#%d", n.Job, n.Slot)
			}
			add("note %s: %s", about, n.Text)
		}
	}
	return out
}

func describeCall(add func(string, ...any), c *scheduler.Call) {
	ids := func(list []mesos.OfferID) string {
		var s []string
		for _, o := range list {
			s = append(s, o.Value)
		}
		return strings.Join(s, " ")
	}
	refuse := func(f *mesos.Filters) string {
		s := f.GetRefuseSeconds()
		return fmt.Sprintf("refuse=%t", s >= 3600 && s <= 3960)
	}
	switch c.Type {
	case scheduler.Call_ACCEPT:
		add("ACCEPT %s %s", ids(c.Accept.OfferIDs), refuse(c.Accept.Filters))
		for _, op := range c.Accept.Operations {
			if op.LaunchGroup == nil {
				add("  %s", describeOperation(&op))
				continue
			}
			e := op.LaunchGroup.Executor
			add("  executor %s %s", e.ExecutorID.Value, amounts(e.Resources))
			for _, t := range op.LaunchGroup.TaskGroup.Tasks {
				extra := ""
				if t.Limits != nil {
					extra += fmt.Sprintf(" limits=%v", t.Limits)
				}
				if t.Container != nil {
					extra += fmt.Sprintf(" share_cgroups=%t", t.Container.LinuxInfo.GetShareCgroups())
				}
				if t.HealthCheck != nil {
					extra += fmt.Sprintf(" health=%s:%d", t.HealthCheck.Type, t.HealthCheck.HTTP.GetPort())
				}
				add("  task %s on %s %s%s", t.TaskID.Value, t.AgentID.Value, amounts(t.Resources), extra)
			}
		}
	case scheduler.Call_DECLINE:
		add("DECLINE %s %s", ids(c.Decline.OfferIDs), refuse(c.Decline.Filters))
	case scheduler.Call_ACCEPT_INVERSE_OFFERS:
		add("ACCEPT_INVERSE_OFFERS %s", ids(c.AcceptInverseOffers.InverseOfferIDs))
	case scheduler.Call_DECLINE_INVERSE_OFFERS:
		add("DECLINE_INVERSE_OFFERS %s", ids(c.DeclineInverseOffers.InverseOfferIDs))
	case scheduler.Call_UPDATE_FRAMEWORK:
		add("UPDATE_FRAMEWORK suppressed=%v", c.UpdateFramework.SuppressedRoles)
	case scheduler.Call_ACKNOWLEDGE:
		add("ACKNOWLEDGE %s %x", c.Acknowledge.TaskID.Value, c.Acknowledge.UUID)
	case scheduler.Call_KILL:
		add("KILL %s on %s", c.Kill.TaskID.Value, c.Kill.AgentID.GetValue())
	case scheduler.Call_RECONCILE:
		if len(c.Reconcile.Tasks) == 0 {
			add("RECONCILE everything")
			return
		}
		var tasks []string
		for _, t := range c.Reconcile.Tasks {
			tasks = append(tasks, t.TaskID.Value+"@"+t.AgentID.GetValue())
		}
		add("RECONCILE %s", strings.Join(tasks, " "))
	default:
		add("%s", c.Type)
	}
}

func describeOperation(op *mesos.Offer_Operation) string {
	var resources []mesos.Resource
	resources = append(resources, op.GetReserve().GetResources()...)
	resources = append(resources, op.GetCreate().GetVolumes()...)
	resources = append(resources, op.GetDestroy().GetVolumes()...)
	resources = append(resources, op.GetUnreserve().GetResources()...)
	text := op.Type.String()
	if op.ID != nil {
		text += " id=" + op.ID.Value
	}
	for i := range resources {
		text += " " + resource.Format(&resources[i])
	}
	return text
}

func describeAgent(r *tandemv1.AgentRecord, now time.Time) string {
	text := "save agent " + r.AgentId + " " + r.Hostname
	if r.Drain != nil {
		text += " drain"
		if r.Drain.Deadline != nil {
			text += " until " + since(r.Drain.Deadline, now)
		}
	}
	if m := r.Maintenance; m != nil {
		text += " maintenance " + since(m.Start, now)
		if m.End != nil {
			text += " to " + since(m.End, now)
		}
	}
	if r.OperatorDrain != nil {
		text += " operator"
	}
	return text
}

func amounts(rs []mesos.Resource) string {
	var out []string
	for _, r := range rs {
		if r.Type.String() == "RANGES" {
			var ports []string
			for _, x := range r.Ranges.Range {
				ports = append(ports, fmt.Sprintf("%d-%d", x.Begin, x.End))
			}
			out = append(out, r.Name+"="+strings.Join(ports, "+"))
			continue
		}
		out = append(out, r.Name+"="+resource.Thousandths(r.Scalar.GetValue()).String())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return "“" + s + "”"
}

func since(t *timestamppb.Timestamp, now time.Time) string {
	return "+" + t.AsTime().Sub(now).Truncate(100*time.Millisecond).String()
}
