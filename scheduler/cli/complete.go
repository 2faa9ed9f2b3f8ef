package cli

import (
	"strings"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

// maxCompleted bounds how many jobs a shell is told the tasks of.
const maxCompleted = 200

// completeTasks completes the first argument with the tasks that run, as far as
// the scheduler can be asked.
func completeTasks(sys *System, scheduler *connection) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		// Nothing has run yet that would read it for a verb.
		if err := fill(cmd.Flags(), sys); err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		c, err := newClient(*scheduler)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		jobs, err := c.ListJobs(cmd.Context(), &tandemv1.ListJobsRequest{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var all []cobra.Completion
		for i, j := range jobs.GetJobs() {
			if i == maxCompleted {
				break
			}
			res, err := c.GetJob(cmd.Context(), &tandemv1.GetJobRequest{Id: j.GetSpec().GetId()})
			if err != nil {
				continue // It was purged meanwhile.
			}
			for _, t := range liveTasks(res.GetJob()) {
				if !strings.HasPrefix(t.GetTaskId(), prefix) {
					continue
				}
				all = append(all, cobra.CompletionWithDesc(t.GetTaskId(), t.GetState().String()))
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// liveTasks returns the tasks of a job's newest attempts that have not ended.
func liveTasks(job *tandemv1.JobView) []*tandemv1.TaskRecord {
	var live []*tandemv1.TaskRecord
	for _, i := range job.GetInstances() {
		for _, a := range i.GetAttempts()[:min(1, len(i.GetAttempts()))] {
			for _, t := range a.GetTasks() {
				if !present.Ended(t) {
					live = append(live, t)
				}
			}
		}
	}
	return live
}
