package ui_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tandem-mesos/tandem/integration/browser"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/access"
	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/audit"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

var shots = flag.String("shots", "", "a `directory` to write pictures of the page into, to be looked at")

// dictated is a core that saves what it is told to: any command carries it out.
type dictated struct {
	next        []state.Change
	samples     []*tandemv1.UsageSample
	explanation *tandemv1.Explanation
	offers      []*tandemv1.OfferView
}

func (c *dictated) Step(_ time.Time, in core.Input) core.Effects {
	cmd, ok := in.(core.Command)
	if !ok {
		return core.Effects{}
	}
	e := core.Effects{Save: c.next, Samples: c.samples, Replies: []core.Reply{{ID: cmd.ID, Explanation: c.explanation, Offers: c.offers}}}
	c.next, c.samples = nil, nil
	return e
}

func (c *dictated) Wanted() core.Wanted { return core.Wanted{} }

func (c *dictated) Next() (time.Time, bool) { return time.Time{}, false }

type forgetful struct{}

func (forgetful) Write([]state.Change) error { return nil }

// sandboxes hold one log, the same for every task.
type sandboxes string

func (s sandboxes) ReadFile(_ context.Context, _, _ string, offset, length int64) ([]byte, int64, error) {
	size := int64(len(s))
	from := min(offset, size)
	return []byte(s[from:min(size, from+length)]), size, nil
}

func (s sandboxes) ListFiles(context.Context, string, string) ([]mesos.FileInfo, error) {
	return nil, nil
}

// serve serves a scheduler whose records are what the test says.
func serve(t *testing.T, saved state.Snapshot, log string) (base string, save func(...state.Change), c *dictated) {
	t.Helper()
	return serveTo(t, access.Options{}, saved, log)
}

// serveTo is serve for callers who may have to prove who they are.
// quotas are those of a role that has used up its processors.
type quotas struct{}

func (q quotas) Withheld(ctx context.Context, _ []string) (core.Withheld, error) {
	known, err := q.Quotas(ctx)
	return core.Withheld{Quotas: known}, err
}

func (quotas) Quotas(context.Context) ([]*tandemv1.RoleQuota, error) {
	return []*tandemv1.RoleQuota{{Role: "payments", Limits: []*tandemv1.QuotaLimit{{Resource: "cpus", Limit: 10, Consumed: 9.5}}}}, nil
}

func serveTo(t *testing.T, who access.Options, saved state.Snapshot, log string) (base string, save func(...state.Change), c *dictated) {
	t.Helper()
	logger, registry := logrus.New(), prometheus.NewRegistry()
	logger.SetOutput(io.Discard)
	c = &dictated{}
	l, err := loop.New(loop.Options{
		Core: c, Store: forgetful{}, Saved: saved, Log: logger, Metrics: registry,
		Framework: mesos.FrameworkInfo{Name: "payments", Roles: []string{"payments"}},
		Subscribe: func(context.Context, *scheduler.Call) (loop.Stream, error) { return nil, errors.New("nobody answers") },
	})
	if err != nil {
		t.Fatal(err)
	}
	gate, err := access.NewGate(who)
	if err != nil {
		t.Fatal(err)
	}
	writes, err := audit.Open("", logger)
	if err != nil {
		t.Fatal(err)
	}
	s, err := api.New(api.Options{
		Commander: l, Reader: l.View(), Sandboxes: sandboxes(log), Log: logger, Registerer: registry, Gatherer: registry,
		Gate: gate, Audit: writes, Master: quotas{},
	})
	if err != nil {
		t.Fatal(err)
	}
	front, err := api.NewFront(api.FrontOptions{Log: logger, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	front.Answer(s)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ends := make(chan error, 2)
	go func() { ends <- l.Run(ctx) }()
	go func() { ends <- front.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ends, <-ends); err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String(), func(changes ...state.Change) {
		t.Helper()
		c.next = changes
		if _, err := l.Do(t.Context(), core.Command{Explain: &core.Explain{}}); err != nil {
			t.Fatal(err)
		}
	}, c
}

var started = timestamppb.New(time.Now().Add(-3 * time.Hour))

func jobRecord(id string, instances int32, phase tandemv1.JobPhase, reason string) *tandemv1.JobRecord {
	return &tandemv1.JobRecord{
		Spec: &tandemv1.Job{
			Id: id, Type: tandemv1.JobType_JOB_TYPE_SERVICE, Instances: &instances,
			Executor: &tandemv1.ExecutorSettings{Resources: &tandemv1.Resources{Cpus: 0.1, Mem: 32, Disk: 16}},
			Workloads: []*tandemv1.Workload{{
				Name: "web", Cmd: "exec ./server -p $PORT_HTTP", Resources: &tandemv1.Resources{Cpus: 0.5, Mem: 256},
				Limits: &tandemv1.Limits{Cpus: proto.Float64(1), Mem: proto.Float64(320), Pids: proto.Int64(200)},
			}},
		},
		Version: 4, Phase: phase, PhaseReason: reason, Created: started, Updated: started,
	}
}

func instanceRecord(job string, slot int32, phase tandemv1.InstancePhase, reason string) *tandemv1.InstanceRecord {
	return &tandemv1.InstanceRecord{JobId: job, Slot: slot, Phase: phase, PhaseReason: reason, Since: started, Attempt: 1, JobVersion: 4}
}

func attemptRecord(job string, slot int32, s tandemv1.TaskState, message string) *tandemv1.AttemptRecord {
	name := state.TaskName{Job: job, Slot: slot, Attempt: 1, Workload: "web"}.String()
	a := &tandemv1.AttemptRecord{
		JobId: job, Slot: slot, Attempt: 1, JobVersion: 4, AgentId: fmt.Sprintf("77a7fa47-S%d", slot%40), Hostname: fmt.Sprintf("agent%02d", slot%40),
		AgentUrl: "http://10.0.0.1:5051", ExecutorId: strings.TrimSuffix(name, ".web"), Created: started, Running: started,
		Tasks: []*tandemv1.TaskRecord{{
			TaskId: name, Workload: "web", State: s, Message: message, Source: "EXECUTOR", Started: started, Updated: started, Ports: map[string]int32{"http": 31000 + slot},
		}},
	}
	if state.Terminal(s) {
		a.Ended = timestamppb.Now()
		a.Tasks[0].Report = &tandemv1.TaskReport{Signal: proto.Int32(9), Warnings: []string{"limits.swap: the kernel does not account for swap"}, Usage: &tandemv1.Usage{
			WallTime: durationpb.New(83 * time.Minute), CpuTime: durationpb.New(17 * time.Minute), ThrottledTime: durationpb.New(time.Second),
			MemoryPeakBytes: proto.Uint64(320 << 20), MemoryLimitBytes: proto.Uint64(320 << 20), OomKills: 1,
		}}
	}
	return a
}

const (
	running = tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING
	waiting = tandemv1.InstancePhase_INSTANCE_PHASE_WAITING
	failed  = tandemv1.InstancePhase_INSTANCE_PHASE_FAILED
)

// team is a snapshot of some jobs, one of them large.
func team(large int32) state.Snapshot {
	s := state.Snapshot{
		Framework: &tandemv1.FrameworkRecord{FrameworkId: "77a7fa47-0002"},
		Jobs: []*tandemv1.JobRecord{
			jobRecord("/ml/training", 2, tandemv1.JobPhase_JOB_PHASE_PENDING, "waiting: 40 agents seen, 40 lack cpus"),
			jobRecord("/payments/api", large, tandemv1.JobPhase_JOB_PHASE_RUNNING, ""),
		},
	}
	for slot := range int32(2) {
		s.Instances = append(s.Instances, instanceRecord("/ml/training", slot, waiting, "waiting: 40 agents seen, 40 lack cpus"))
	}
	s.Volumes = []*tandemv1.VolumeRecord{{
		Id: "ml_training.0.1.data.fw", JobId: "/ml/training", Name: "data", Hostname: "agent3", Size: 10240,
		State: tandemv1.VolumeState_VOLUME_STATE_LOST, Reason: "agent agent3 is gone for good",
	}}
	for slot := range large {
		s.Instances = append(s.Instances, instanceRecord("/payments/api", slot, running, ""))
		s.Attempts = append(s.Attempts, attemptRecord("/payments/api", slot, tandemv1.TaskState_TASK_RUNNING, ""))
	}
	return s
}

const hostile = `<img src=x onerror="document.title='taken'">`

func TestPageUnderTenThousandTasks(t *testing.T) {
	base, save, c := serve(t, team(10_000), "ready\n\x1b[31mred\x1b[0m "+hostile+"\n")
	c.explanation = &tandemv1.Explanation{
		Waiting: 2, Summary: "40 agents seen, 40 lack cpus (need 64.1, at most 2 on agent07)", Subscribed: true, LastOffer: timestamppb.Now(),
		Agents: []*tandemv1.AgentExplanation{{Hostname: "agent07", LastOffer: timestamppb.Now(), Obstacles: []*tandemv1.Obstacle{{What: "cpus", Need: "64.1", Have: "2"}}}},
	}
	c.offers = []*tandemv1.OfferView{{
		AgentId: "spare", Hostname: "agent40", Role: "payments", Resources: &tandemv1.Resources{Cpus: 0.5, Mem: 512}, Received: timestamppb.Now(), Refused: "maintenance",
	}}
	begun := time.Now()
	p := browser.Open(t, base, "/")

	p.AwaitText("#live", "live")
	p.AwaitText("main", "10,000 of 10,002 running")
	p.AwaitText("main", "10,000/10,000")
	p.AwaitText("main", "quota: role payments has 9.5 of 10 cpus")
	few := func(view string) {
		t.Helper()
		if n := browser.Value[int](p, `document.querySelectorAll("*").length`); n > 5000 {
			t.Errorf("%d elements stand for 10,000 instances: %s", n, view)
		}
	}
	few("the overview")
	t.Logf("the overview stood %s after the browser was started", time.Since(begun).Round(time.Millisecond))
	p.AwaitText(".brand", "payments")
	p.AwaitText("main", "nobody answers")

	// A slash goes to the filter. A driven browser writes it there, too.
	filter := func(words string) {
		t.Helper()
		p.Type("/")
		p.Await(`document.activeElement.matches("[data-filter]") && ((document.activeElement.value = ""), true)`)
		p.Type(words)
	}
	// By the keyboard alone: the filter, then the only job that is left.
	filter("pay run")
	p.Await(`document.querySelectorAll("tbody tr").length === 1`)
	p.Type(kb.Tab + kb.Tab + kb.Enter)
	p.AwaitText("h1", "/payments/api")
	p.Await(`document.activeElement.id === "main"`)

	p.AwaitText(".count", "1–100 of 10,000")
	p.AwaitText("tbody", "agent00:31000")
	few("the job")
	p.Click(".pager button:last-child")
	p.AwaitText(".count", "101–200 of 10,000")
	filter("agent07")
	p.AwaitText(".count", "1–100 of 250")

	// What changes is seen without a reload, and text stays text.
	save(state.PutAttempt(attemptRecord("/payments/api", 7, tandemv1.TaskState_TASK_FAILED, hostile)),
		state.PutInstance(instanceRecord("/payments/api", 7, failed, "web failed: "+hostile)))
	p.AwaitText("tbody", "web failed: "+hostile)
	p.Await(`[...document.querySelectorAll("option")].some((o) => o.textContent === "failed (1)")`)

	p.Click("tbody tr a[href='/tasks/payments_api.7.1.web']")
	p.AwaitText("h1", "payments_api.7.1.web")
	p.AwaitText("main", "TASK_FAILED, SIGKILL")
	p.AwaitText("main", "320 MiB of 320 MiB")
	p.AwaitText("main", "Warning: limits.swap")
	p.AwaitText(".log", "ready\nred "+hostile)
	p.AwaitText("main", "That is all: the task has ended.")

	p.Goto("/jobs/ml/training")
	p.AwaitText(".explained", "cpus: needs 64.1, has 2")
	p.Click("details summary")
	p.AwaitText("details pre", `"id": "/ml/training"`)
	p.Click("details.versions summary")
	training := jobRecord("/ml/training", 2, tandemv1.JobPhase_JOB_PHASE_PENDING, "")
	training.Version, training.StableVersion = 5, 4
	training.Update = &tandemv1.UpdateRecord{Phase: tandemv1.UpdatePhase_UPDATE_PHASE_ROLLING, Version: 5, FromVersion: 4}
	updated := instanceRecord("/ml/training", 1, tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING, "")
	updated.JobVersion = 5
	for _, v := range []uint64{4, 5} {
		save(state.PutVersion(&tandemv1.VersionRecord{JobId: "/ml/training", Version: v, Spec: training.Spec, Created: timestamppb.Now()}))
	}
	save(state.PutJob(training), state.PutInstance(updated))
	p.AwaitText(".facts", "rolling to version 5, 1 of 2 instances")
	p.Await(`document.querySelector(".versions tbody")?.innerText.replace(/\s+/g, " ").match(/5 \d+s 1 current 4 \d+s 1 all instances have served with it/)`)

	p.Goto("/agents")
	p.AwaitText(".count", "41")
	p.AwaitText("tbody", "0.5 cpus, 512 MiB memory; declined: maintenance")
	few("agents")
	p.Goto("/volumes")
	p.AwaitText("tbody", "lost agent agent3 is gone for good")
	save(state.PutVolume(&tandemv1.VolumeRecord{Id: "ml_training.1.4.data.fw", JobId: "/ml/training", Slot: 1, Name: hostile, State: tandemv1.VolumeState_VOLUME_STATE_PURGING}))
	p.AwaitText("tbody", "purging")
	few("volumes")
	p.Goto("/events")
	p.AwaitText("tbody", "payments_api.7.1.web")
	save(state.PutJob(jobRecord("/late/comer", 0, tandemv1.JobPhase_JOB_PHASE_RUNNING, "")))
	p.AwaitText("tbody", "/late/comer")
	few("events")

	p.Goto("/")
	p.AwaitText("tbody", "/late/comer")
	save(state.PutJob(jobRecord("/late/comer", 0, tandemv1.JobPhase_JOB_PHASE_RUNNING, "")).Removal())
	p.Await(`document.querySelectorAll("tbody tr").length === 2`)
	if title := browser.Value[string](p, "document.title"); title == "taken" {
		t.Error("text has become markup")
	}
}

// views are all that the page has, of team's records and of what is not there.
var views = []string{"/", "/jobs/payments/api", "/jobs/ml/training", "/tasks/payments_api.0.1.web", "/agents", "/volumes", "/events", "/jobs/gone", "/tasks/nothing"}

// show goes to a view, and waits until it is live. Of a task that is not there is
// nothing to follow.
func show(p *browser.Page, path string) {
	p.Goto(path)
	p.Await(`document.querySelector("h1")`)
	if path != "/tasks/nothing" {
		p.AwaitText("#live", "live")
	}
}

func TestEveryViewCanBeHeard(t *testing.T) {
	base, _, c := serve(t, team(5), "ready\n")
	c.explanation = &tandemv1.Explanation{Waiting: 2, Summary: "no agent has been offered yet"}
	p := browser.Open(t, base, "/")
	for _, path := range views {
		show(p, path)
		wrong := browser.Value[[]string](p, `[
			document.querySelectorAll("h1").length === 1 ? "" : "it has not one main heading",
			...["header", "nav", "main"].map((e) => document.querySelector(e) ? "" : "it has no " + e),
			...[...document.querySelectorAll("table")].map((e) => e.caption?.textContent ? "" : "a table has no caption"),
			...[...document.querySelectorAll("th")].map((e) => e.scope ? "" : "a heading is of no row and no column"),
			...[...document.querySelectorAll("button, a")].map((e) => e.textContent.trim() ? "" : "a control has no name: " + e.outerHTML),
			...[...document.querySelectorAll("input, select, pre")].map((e) => e.ariaLabel || e.labels?.length || !e.isConnected ? "" : "a field has no label: " + e.outerHTML),
			...[...document.querySelectorAll("[id]")].map((e) => document.querySelectorAll("#" + e.id).length === 1 ? "" : "two things are " + e.id),
			document.title.endsWith("Tandem") ? "" : "its title is " + document.title,
			document.documentElement.scrollWidth <= innerWidth ? "" : "it is wider than its window",
		].filter(Boolean)`)
		slices.Sort(wrong)
		for _, w := range slices.Compact(wrong) {
			t.Errorf("%s: %s", path, w)
		}
		if *shots != "" {
			name := strings.NewReplacer("/", "_", ".", "_").Replace(path)
			for scheme, dark := range map[string]bool{"light": false, "dark": true} {
				p.Shoot(filepath.Join(*shots, "page"+name+"-"+scheme+".png"), dark)
			}
		}
	}
}
