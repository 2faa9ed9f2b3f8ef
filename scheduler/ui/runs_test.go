package ui_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tandem-mesos/tandem/integration/browser"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// TestRunsOfACronJob are on its page, the newest first; the overview counts them, and
// lists those alone that go on.
func TestRunsOfACronJob(t *testing.T) {
	const cron = "/ops/backup"
	run := func(minute int, phase tandemv1.JobPhase, reason string) *tandemv1.JobRecord {
		r := jobRecord(fmt.Sprintf("%s/2026-03-01t02-%02d-00", cron, minute), 1, phase, reason)
		r.RunOf = cron
		return r
	}
	nightly := jobRecord(cron, 1, tandemv1.JobPhase_JOB_PHASE_RUNNING, "the next run is due at 2026-03-01T02:03:00Z")
	nightly.Spec.Type = tandemv1.JobType_JOB_TYPE_CRON
	base, save, _ := serve(t, state.Snapshot{
		Framework: &tandemv1.FrameworkRecord{FrameworkId: "77a7fa47-0002"},
		Jobs: []*tandemv1.JobRecord{nightly,
			run(0, tandemv1.JobPhase_JOB_PHASE_FINISHED, ""), run(1, tandemv1.JobPhase_JOB_PHASE_FAILED, "instance 0: the disk is full"), run(2, tandemv1.JobPhase_JOB_PHASE_RUNNING, ""),
		},
	}, "")
	p := browser.Open(t, base, "/")
	p.AwaitText("tbody", "3 runs")
	p.AwaitText(".count", "2 jobs")
	p.Await(`document.querySelector("tbody").innerText.includes("2026-03-01t02-02-00")`)

	p.Click("tbody tr a[href='/jobs" + cron + "']")
	p.AwaitText("h1", cron)
	p.Await(`[...document.querySelectorAll("tbody th")].filter((e) => e.checkVisibility()).map((e) => e.innerText).join() ===
		"2026-03-01t02-02-00,2026-03-01t02-01-00,2026-03-01t02-00-00"`)
	p.AwaitText("main", "instance 0: the disk is full")
	save(state.PutJob(run(3, tandemv1.JobPhase_JOB_PHASE_PENDING, "")))
	p.Await(`document.body.innerText.includes("2026-03-01t02-03-00")`)
}

// TestWhenAnInstanceIsStartedAgain is told as long as it is to come.
func TestWhenAnInstanceIsStartedAgain(t *testing.T) {
	snapshot := team(1)
	later := instanceRecord("/payments/api", 0, tandemv1.InstancePhase_INSTANCE_PHASE_BACKOFF, "web failed: exit 3")
	later.NotBefore = timestamppb.New(time.Now().Add(3*time.Hour + 30*time.Minute))
	snapshot.Instances[len(snapshot.Instances)-1] = later
	base, save, _ := serve(t, snapshot, "")
	p := browser.Open(t, base, "/jobs/payments/api")
	p.AwaitText("tbody", "again in 3h: web failed: exit 3")
	due := instanceRecord("/payments/api", 0, tandemv1.InstancePhase_INSTANCE_PHASE_BACKOFF, "web failed: exit 3")
	due.NotBefore = started
	save(state.PutInstance(due))
	p.Await(`[...document.querySelectorAll("td.why")].some((e) => e.innerText === "web failed: exit 3")`)
}
