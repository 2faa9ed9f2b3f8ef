package jobspec

import (
	"fmt"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// A feature is something that a job can ask for and that this version does not
// do yet. It is refused, since a job that is accepted must get all of what it
// asks for.
type feature struct {
	// field is relative to the job or to the workload.
	field  string
	reason string
	// One of these says whether the job, or a workload of it, asks for it.
	job      func(*tandemv1.Job) bool
	workload func(*tandemv1.Workload) bool
}

// unsupported is the only list of what this version does not do yet. A feature
// that lands is taken out of it, and nothing else changes here.
var unsupported = []feature{
	{
		field: "executor.share", reason: "sharing an executor is not supported yet; leave it at instance",
		job: func(j *tandemv1.Job) bool {
			return j.GetExecutor().GetShare() > tandemv1.ExecutorShare_EXECUTOR_SHARE_INSTANCE
		},
	},
	{
		field: "resources.gpus", reason: "graphics processors are not supported yet",
		workload: func(w *tandemv1.Workload) bool { return w.GetResources().GetGpus() > 0 },
	},
	{
		field: "logs", reason: "rotating logs are not supported yet",
		workload: func(w *tandemv1.Workload) bool { return w.GetLogs().GetMaxFiles() > 0 },
	},
}

// missing returns a problem for each thing that the job asks for and this
// version does not do yet.
func missing(job *tandemv1.Job) []Problem {
	var problems []Problem
	for _, f := range unsupported {
		if f.job != nil && f.job(job) {
			problems = append(problems, Problem{Field: f.field, Reason: f.reason})
		}
	}
	for i, w := range job.GetWorkloads() {
		at := fmt.Sprintf("workloads[%d]", i)
		for _, f := range unsupported {
			if f.workload != nil && f.workload(w) {
				problems = append(problems, Problem{Field: join(at, f.field), Reason: f.reason})
			}
		}
	}
	return problems
}
