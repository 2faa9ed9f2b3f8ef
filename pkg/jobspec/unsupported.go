package jobspec

import (
	"fmt"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// A feature is something that a job can ask for and that this version does not
// do yet. It is refused, since a job that is accepted must get all of what it
// asks for.
type feature struct {
	// field is relative to the workload.
	field  string
	reason string
	// workload says whether a workload asks for it.
	workload func(*tandemv1.Workload) bool
}

// unsupported is the only list of what this version does not do yet. A feature
// that lands is taken out of it, and nothing else changes here.
var unsupported = []feature{
	{
		field: "resources.gpus", reason: "graphics processors are not supported yet",
		workload: func(w *tandemv1.Workload) bool { return w.GetResources().GetGpus() > 0 },
	},
}

// missing returns a problem for each thing that the job asks for and this
// version does not do yet.
func missing(job *tandemv1.Job) []Problem {
	var problems []Problem
	for i, w := range job.GetWorkloads() {
		at := fmt.Sprintf("workloads[%d]", i)
		for _, f := range unsupported {
			if f.workload(w) {
				problems = append(problems, Problem{Field: join(at, f.field), Reason: f.reason})
			}
		}
	}
	return problems
}
