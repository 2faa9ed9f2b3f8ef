package cli_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"path"
	"strings"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tandem-mesos/tandem/pkg/mesos/agentapi"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
)

// fake is a scheduler that runs every batch at once, and well unless it is
// /bad; /slow never ends. It is a Commander and a Reader behind a real api.Server.
type fake struct {
	left     map[string]*tandemv1.AgentRecord
	mu       sync.Mutex
	jobs     map[string]*tandemv1.JobView
	versions map[string]uint64
	// gone is whether the scheduler has ended a watch once.
	gone bool
	// specs are the jobs as they were submitted, the newest first.
	specs map[string][]*tandemv1.VersionRecord
}

func (f *fake) Do(_ context.Context, c core.Command) (core.Reply, error) {
	switch {
	case c.Submit != nil:
		return f.submit(c.Submit)
	case c.Stop != nil:
		return f.stop(c.Stop)
	case c.Restart != nil:
		return f.bump(c.Restart.JobID)
	case c.Rollback != nil:
		return f.bump(c.Rollback.JobID)
	case c.Update != nil:
		if j, ok := f.Job(c.Update.JobID); ok && j.Job.Spec.GetUpdate().GetCanary() > 0 {
			return f.bump(c.Update.JobID)
		}
		return core.Reply{}, &core.Refused{Code: core.Conflict, Reason: "job " + c.Update.JobID + " has no update under way"}
	case c.Drain != nil:
		return f.drain(c.Drain)
	case c.Run != nil:
		r, err := f.bump(c.Run.JobID)
		r.Run = c.Run.JobID + "/2026-03-01t02-30-00"
		return r, err
	case c.Reconcile, c.Teardown:
		return core.Reply{Tasks: 3}, nil
	case c.Offers:
		return core.Reply{Offers: offers()}, nil
	case c.PurgeVolume != nil:
		return f.purge(c.PurgeVolume)
	case c.Explain != nil:
		if _, ok := f.Job(c.Explain.JobID); !ok && c.Explain.Job == nil {
			return core.Reply{}, &core.Refused{Code: core.NotFound, Reason: "there is no job " + c.Explain.JobID}
		}
		return core.Reply{Explanation: explanation(c.Explain)}, nil
	}
	return converse(c)
}

func (f *fake) submit(s *core.Submit) (core.Reply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := s.Job.Id
	if s.ExpectedVersion != nil && *s.ExpectedVersion != f.versions[id] {
		return core.Reply{}, &core.Refused{Code: core.StaleVersion,
			Reason: fmt.Sprintf("job %s is at version %d, not %d", id, f.versions[id], *s.ExpectedVersion)}
	}
	if old := f.jobs[id]; old != nil && proto.Equal(old.Job.Spec, s.Job) {
		return core.Reply{Version: f.versions[id]}, nil
	}
	if old := f.jobs[id]; old != nil && !s.Force && 2*s.Job.GetInstances() < old.Job.Spec.GetInstances() {
		return core.Reply{}, &core.Refused{Code: core.Conflict, Reason: fmt.Sprintf("of the %d instances of job %s that run, %d would end: force it (--force)",
			old.Job.Spec.GetInstances(), id, old.Job.Spec.GetInstances()-s.Job.GetInstances())}
	}
	f.versions[id]++
	f.jobs[id] = f.done(s.Job, f.versions[id])
	if s.Job.Type == tandemv1.JobType_JOB_TYPE_CRON {
		// It has run once, or waits for a run to end.
		run := proto.CloneOf(s.Job)
		run.Id, run.Type, run.Schedule = id+"/2026-03-01t02-30-00", tandemv1.JobType_JOB_TYPE_BATCH, nil
		if s.Job.Schedule.GetOverlap() == tandemv1.Overlap_OVERLAP_REPLACE {
			f.jobs[id].Job.Cron = &tandemv1.CronRecord{Held: timestamppb.New(noon)}
		} else {
			f.jobs[run.Id] = f.done(run, 1)
		}
		f.jobs[id].Instances = nil
		f.jobs[id].Job.Phase, f.jobs[id].Job.PhaseReason = tandemv1.JobPhase_JOB_PHASE_RUNNING, "the next run is due at 2026-03-02T02:30:00Z"
	}
	f.specs[id] = append([]*tandemv1.VersionRecord{{
		JobId: id, Version: f.versions[id], Spec: s.Job, Created: f.jobs[id].Job.Created,
	}}, f.specs[id]...)
	return core.Reply{Version: f.versions[id], Changed: true}, nil
}

// offers are of an agent that was used, one that was of no use and one that is not
// to be used.
func offers() []*tandemv1.OfferView {
	at := func(minutes int) *timestamppb.Timestamp {
		return timestamppb.New(noon.Add(time.Duration(minutes) * time.Minute))
	}
	return []*tandemv1.OfferView{
		{AgentId: "S1", Hostname: "agent1", Role: "team", Resources: &tandemv1.Resources{Cpus: 7.5, Mem: 6144, Disk: 20000}, Ports: 1001, Received: at(-6), Launched: 2, DeclinedUntil: at(54), Attributes: map[string]string{"rack": "r1"}},
		{AgentId: "S2", Hostname: "agent2", Role: "team", Resources: &tandemv1.Resources{Cpus: 0.5, Mem: 512, Disk: 20000, Gpus: 1}, Received: at(-6), DeclinedUntil: at(54)},
		{AgentId: "S3", Hostname: "agent3", Role: "team", Resources: &tandemv1.Resources{Cpus: 8, Mem: 8192, Disk: 20000}, Ports: 1001, Received: at(-90), Refused: "maintenance"},
	}
}

// bump is what a change without effect does.
func (f *fake) bump(id string) (core.Reply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.jobs[id] == nil {
		return core.Reply{}, &core.Refused{Code: core.NotFound, Reason: "there is no job " + id}
	}
	f.versions[id]++
	return core.Reply{Version: f.versions[id], Changed: true}, nil
}

// explanation finds room for one instance, and none for another.
func explanation(e *core.Explain) *tandemv1.Explanation {
	id := e.JobID
	if e.Job != nil {
		id = e.Job.Id
	}
	at := timestamppb.New(noon.Add(-3 * time.Second))
	if len(e.Job.GetVolumes()) > 0 {
		return &tandemv1.Explanation{
			JobId: id, Waiting: 3, Placeable: 2, Places: []string{"agent1", "agent2"}, LastOffer: at, Subscribed: true,
			Summary: "instance 1: its volume data is on agent agent2, which lacks cpus (needs 4, has 3.5)", NewVolumes: 1,
			QuotasUnknown: "cannot ask the master at 10.0.0.1:5050 for /roles: it does not let this principal look",
			KeptVolumes: []*tandemv1.KeptVolume{
				{Slot: 0, Name: "data", Hostname: "agent1", Size: 1024, Note: "keeps its 1024 MiB, and 2048 are asked for: purge it for a new one"},
				{Slot: 1, Name: "data", Hostname: "agent2", Size: 2048, Note: "its volume data is on agent agent2, which lacks cpus (needs 4, has 3.5)"},
			},
		}
	}
	return &tandemv1.Explanation{
		JobId: id, Waiting: 2, Placeable: 1, Places: []string{"agent1"}, LastOffer: at, Subscribed: true, Filtered: true,
		Nearest: "agent2", Constrained: true, SilentSince: timestamppb.New(noon.Add(-2 * time.Second)),
		Summary: "2 agents seen: 1 lacks cpus (needs 4, agent2 has 3.5)",
		Quotas: []*tandemv1.RoleQuota{{Role: "team", Limits: []*tandemv1.QuotaLimit{
			{Resource: "cpus", Limit: 10, Consumed: 9.5, Missing: 0.6}, {Resource: "mem", Limit: 512, Consumed: 512, Missing: 96},
		}}},
		Needs: map[string]float64{"cpus": 1.1, "mem": 96},
		Agents: []*tandemv1.AgentExplanation{
			{AgentId: "S1", Hostname: "agent1", LastOffer: at},
			{AgentId: "S2", Hostname: "agent2", LastOffer: at, Obstacles: []*tandemv1.Obstacle{
				{What: "cpus", Need: "4", Have: "3.5"}, {What: "rack LIKE r1", Have: "r2"},
			}},
		},
	}
}

func (f *fake) stop(s *core.Stop) (core.Reply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j := f.jobs[s.JobID]
	if j == nil {
		return core.Reply{}, &core.Refused{Code: core.NotFound, Reason: "there is no job " + s.JobID}
	}
	if s.ExpectedVersion != nil && *s.ExpectedVersion != f.versions[s.JobID] {
		return core.Reply{}, &core.Refused{Code: core.StaleVersion,
			Reason: fmt.Sprintf("job %s is at version %d, not %d", s.JobID, f.versions[s.JobID], *s.ExpectedVersion)}
	}
	stopped := proto.CloneOf(j)
	stopped.Job.Stopped, stopped.Job.Phase = true, tandemv1.JobPhase_JOB_PHASE_STOPPED
	for _, i := range stopped.Instances {
		i.Instance.Phase = tandemv1.InstancePhase_INSTANCE_PHASE_STOPPED
	}
	f.jobs[s.JobID] = stopped
	f.versions[s.JobID]++
	return core.Reply{Version: f.versions[s.JobID]}, nil
}

// done returns a job as it is when it has ended, or for a service runs.
func (f *fake) done(job *tandemv1.Job, version uint64) *tandemv1.JobView {
	at := timestamppb.New(noon.Add(-5 * time.Second))
	view := &tandemv1.JobView{Job: &tandemv1.JobRecord{
		Spec: job, Version: version, Created: at, Updated: at, Phase: tandemv1.JobPhase_JOB_PHASE_FINISHED,
	}}
	phase, state := tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED, tandemv1.TaskState_TASK_FINISHED
	switch {
	case strings.HasPrefix(job.Id, "/bad"):
		view.Job.Phase, view.Job.PhaseReason = tandemv1.JobPhase_JOB_PHASE_FAILED, "instance 0 has failed"
		phase, state = tandemv1.InstancePhase_INSTANCE_PHASE_FAILED, tandemv1.TaskState_TASK_FAILED
	case job.Type == tandemv1.JobType_JOB_TYPE_SERVICE:
		view.Job.Phase = tandemv1.JobPhase_JOB_PHASE_RUNNING
		phase, state = tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING, tandemv1.TaskState_TASK_RUNNING
	}
	for slot := range job.GetInstances() {
		a := &tandemv1.AttemptRecord{JobId: job.Id, Slot: slot, Attempt: 1, JobVersion: version, Hostname: "agent1", Created: at,
			ExecutorId: fmt.Sprintf("%s.%d.1", strings.ReplaceAll(job.Id[1:], "/", "_"), slot), ExecutorDigest: "0123456789ab"}
		for _, w := range job.Workloads {
			task := &tandemv1.TaskRecord{
				TaskId:   fmt.Sprintf("%s.%d.1.%s", strings.ReplaceAll(job.Id[1:], "/", "_"), slot, w.Name),
				Workload: w.Name, State: state,
			}
			if len(w.Ports) > 0 {
				task.Ports, task.Healthy = map[string]int32{w.Ports[0].Name: 31000 + slot}, proto.Bool(true)
			}
			if state == tandemv1.TaskState_TASK_RUNNING {
				a.Running = at
			} else {
				a.Ended = at
				task.Report = &tandemv1.TaskReport{ExitCode: proto.Int32(0), Usage: &tandemv1.Usage{
					WallTime: durationpb.New(1520 * time.Millisecond), CpuTime: durationpb.New(157 * time.Millisecond),
					MemoryPeakBytes: proto.Uint64(5 << 20), MemoryLimitBytes: proto.Uint64(uint64(w.Limits.GetMem()) << 20),
				}}
			}
			if state == tandemv1.TaskState_TASK_FAILED {
				task.Report.ExitCode, task.Report.Signal = nil, proto.Int32(9)
				task.Report.Warnings = []string{"limits.swap: the kernel does not account for swap"}
				task.Reason, task.Message = "CONTAINER_LIMITATION_MEMORY", "used more than its 64 MiB of memory"
			}
			a.Tasks = append(a.Tasks, task)
		}
		view.Instances = append(view.Instances, &tandemv1.InstanceView{
			Instance: &tandemv1.InstanceRecord{JobId: job.Id, Slot: slot, Phase: phase, Since: at, Attempt: 1, JobVersion: version},
			Attempts: []*tandemv1.AttemptRecord{a},
		})
	}
	return view
}

func (f *fake) Jobs() []*tandemv1.JobRecord {
	f.mu.Lock()
	defer f.mu.Unlock()
	var jobs []*tandemv1.JobRecord
	for _, id := range []string{"/api", "/bad", "/cron", "/cron/2026-03-01t02-30-00", "/words"} {
		if j := f.jobs[id]; j != nil {
			jobs = append(jobs, j.Job)
		}
	}
	return jobs
}

func (f *fake) Phases(id string) *tandemv1.InstanceCounts {
	j, _ := f.Job(id)
	counts := &tandemv1.InstanceCounts{JobId: id}
	for _, i := range j.GetInstances() {
		counts.Phases = append(counts.Phases, &tandemv1.PhaseCount{Phase: i.GetInstance().GetPhase(), Count: 1})
	}
	return counts
}

func (f *fake) Job(id string) (*tandemv1.JobView, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, ok := f.jobs[id]
	return j, ok
}

func (f *fake) Versions(id string) []*tandemv1.VersionRecord {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.specs[id]
}

func (f *fake) Counts() loop.Counts { return loop.Counts{} }

func (f *fake) Agents() map[string]*tandemv1.AgentRecord {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.left)
}

// Volumes are one that a running instance has, and one that is purged.
// purge purges the second volume; the first is in use.
func (f *fake) purge(p *core.PurgeVolume) (core.Reply, error) {
	for i, v := range f.Volumes() {
		switch {
		case v.Id != p.ID:
		case p.ExpectedState != nil && *p.ExpectedState != v.State:
			return core.Reply{}, &core.Refused{Code: core.StaleVersion, Reason: "volume " + v.Id + " is PURGING"}
		case i == 0:
			return core.Reply{}, &core.Refused{Code: core.Conflict, Reason: "instance 0 of job /web runs with volume " + v.Id + ": stop the job first"}
		default:
			return core.Reply{Volume: v}, nil
		}
	}
	return core.Reply{}, &core.Refused{Code: core.NotFound, Reason: "there is no volume " + p.ID}
}

func (f *fake) Volumes() []*tandemv1.VolumeRecord {
	return []*tandemv1.VolumeRecord{{
		Id: "web.0.1.data.4e3e-0000", JobId: "/web", Name: "data", Attempt: 1, AgentId: "S1", Hostname: "agent1",
		Size: 1024, State: tandemv1.VolumeState_VOLUME_STATE_READY,
	}, {
		Id: "web.1.2.data.4e3e-0000", JobId: "/web", Slot: 1, Name: "data", Attempt: 2, AgentId: "S2", Hostname: "agent2",
		Size: 1024, State: tandemv1.VolumeState_VOLUME_STATE_PURGING, Reason: "waiting for an offer of agent agent2",
	}}
}

// drain knows one agent, which nothing runs on.
func (f *fake) drain(d *core.Drain) (core.Reply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.Agent != "agent2" {
		return core.Reply{}, &core.Refused{Code: core.NotFound, Reason: "no agent " + d.Agent + " has been offered"}
	}
	if had := f.left["S2"].GetDrain().GetVersion(); d.ExpectedVersion != nil && *d.ExpectedVersion != had {
		return core.Reply{}, &core.Refused{Code: core.StaleVersion, Reason: fmt.Sprintf("the drain of agent agent2 is at version %d, not %d", had, *d.ExpectedVersion)}
	}
	delete(f.left, "S2")
	if !d.Cancel {
		r := &tandemv1.AgentRecord{AgentId: "S2", Hostname: d.Agent, Drain: &tandemv1.Drain{Started: timestamppb.New(noon), Version: uint64(noon.UnixMicro())}}
		f.left = map[string]*tandemv1.AgentRecord{"S2": r}
	}
	return core.Reply{Changed: true, Agent: &tandemv1.DrainAgentResponse{AgentId: "S2", Hostname: d.Agent}}, nil
}

func (f *fake) Framework() *tandemv1.FrameworkView {
	return &tandemv1.FrameworkView{
		Name: "tandem", FrameworkId: "4e3e-0000", Roles: []string{"web"}, Master: "127.0.0.1:5050", Subscribed: true,
		SubscribedSince: timestamppb.New(noon.Add(-2 * time.Hour)), Suppressed: true,
		OffersReceived: 12, OffersUsed: 2, OffersDeclined: 10, MesosFrameworksUrl: "http://127.0.0.1:5050/#/frameworks",
		LastOffered: &tandemv1.Resources{Cpus: 6.5, Mem: 7168, Disk: 20000}, AgentsOffered: 2,
		ExecutorDigest: "fedcba987654",
	}
}

// Watch tells the story of a job from its launch, and then goes on for ever.
func (f *fake) Watch(ctx context.Context, ask *tandemv1.WatchRequest) iter.Seq2[*tandemv1.WatchResponse, error] {
	return func(yield func(*tandemv1.WatchResponse, error) bool) {
		if ask.Since != nil {
			f.resume(ask, yield)
			return
		}
		job := ask.GetJobId()
		j, ok := f.Job(job)
		if ok {
			pending := proto.CloneOf(j.Job)
			pending.Phase, pending.PhaseReason = tandemv1.JobPhase_JOB_PHASE_PENDING, ""
			yield(&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Job{Job: pending}}, nil)
			for _, i := range j.Instances {
				waiting := proto.CloneOf(i.Instance)
				waiting.Phase = tandemv1.InstancePhase_INSTANCE_PHASE_WAITING
				yield(&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Instance{Instance: waiting}}, nil)
			}
		}
		yield(&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_SnapshotEnd{SnapshotEnd: true}}, nil)
		if job == "/away" && f.leaves() {
			yield(nil, loop.ErrEnded)
			return
		}
		if ok && job != "/slow" {
			for _, i := range j.Instances {
				for _, s := range []tandemv1.TaskState{tandemv1.TaskState_TASK_STAGING, tandemv1.TaskState_TASK_RUNNING} {
					running := proto.CloneOf(i.Attempts[0])
					for _, t := range running.Tasks {
						t.State, t.Report, t.Healthy = s, nil, nil
					}
					running.Ended, running.Running = nil, nil
					yield(&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Attempt{Attempt: running}}, nil)
				}
			}
			// Records of one moment come in no promised order: here the job's
			// first.
			yield(&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Job{Job: j.Job}}, nil)
			for _, i := range j.Instances {
				yield(&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Instance{Instance: i.Instance}}, nil)
				yield(&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Attempt{Attempt: i.Attempts[0]}}, nil)
			}
		}
		<-ctx.Done()
		yield(nil, context.Cause(ctx))
	}
}

// leaves reports true once.
func (f *fake) leaves() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := f.gone
	f.gone = true
	return !gone
}

// resume tells of three changes, of which the second is that a scheduler that
// was away is back.
func (f *fake) resume(ask *tandemv1.WatchRequest, yield func(*tandemv1.WatchResponse, error) bool) {
	const latest = 1795617972000103
	since := ask.GetSince()
	if since > latest {
		yield(nil, loop.ErrNotKept)
		return
	}
	if n := uint64(ask.GetLatest()); n > 0 {
		since = max(since, latest-n)
	}
	for i, change := range []*tandemv1.WatchResponse{
		{Change: &tandemv1.WatchResponse_Framework{Framework: &tandemv1.FrameworkView{Problem: "connection refused"}}},
		{Change: &tandemv1.WatchResponse_Framework{Framework: f.Framework()}},
		{Change: &tandemv1.WatchResponse_JobRemoved{JobRemoved: "/old"}},
	} {
		change.Sequence = 1795617972000101 + uint64(i)
		change.Time = timestamppb.New(noon.Add(time.Duration(i) * time.Second))
		if change.Sequence > since && !yield(change, nil) {
			return
		}
	}
	yield(&tandemv1.WatchResponse{Sequence: 1795617972000103, Change: &tandemv1.WatchResponse_SnapshotEnd{SnapshotEnd: true}}, nil)
}

// sandboxes hold a few lines for every task.
type sandboxes struct{}

func (sandboxes) ReadFile(_ context.Context, _, name string, offset, length int64) ([]byte, int64, error) {
	content := "one\ntwo\nthree\n"
	switch path.Base(name) {
	case "stderr":
		content = "oops\n"
	case "stdout":
	default:
		return nil, 0, agentapi.ErrNoFile
	}
	size := int64(len(content))
	from := min(offset, size)
	return []byte(content[from:min(size, from+length)]), size, nil
}

func (sandboxes) ListFiles(_ context.Context, _, name string) ([]mesos.FileInfo, error) {
	dir, file, size, user := uint32(0o040755), uint32(0o100644), uint64(14), "svc-words"
	at := &mesos.TimeInfo{Nanoseconds: noon.UnixNano()}
	return []mesos.FileInfo{
		{Path: name + "/stdout", Mode: &file, Size_: &size, UID: &user, Mtime: at},
		{Path: name + "/data", Mode: &dir, Size_: &size, UID: &user, Mtime: at},
	}, nil
}
