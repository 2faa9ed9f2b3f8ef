package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

func newList(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	var labels []string
	cmd := &cobra.Command{
		Use:   "list [PATH]",
		Short: "List the jobs",
		Long: `Lists the jobs: all of them, or the one of a path and those below it, and of these the ones that
have all of the labels.`,
		Example: `  tandem list
  tandem list /payments --label tier=web -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			req := &tandemv1.ListJobsRequest{Labels: labels, CountInstances: true}
			if len(args) > 0 {
				req.Below = jobID(args[0])
			}
			res, err := c.ListJobs(cmd.Context(), req)
			if err != nil {
				return c.explain(err)
			}
			if out != asText {
				return out.print(sys.Stdout, res)
			}
			if len(res.GetJobs()) == 0 && (req.Below != "" || len(labels) > 0) {
				fmt.Fprintln(sys.Stdout, "no such jobs; `tandem list` shows all")
				return nil
			}
			printJobs(sys, res.GetJobs(), res.GetInstanceCounts())
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	cmd.Flags().StringArrayVar(&labels, "label", nil, "only jobs with this `label`: name=value, or name for any value; may be repeated")
	return cmd
}

// printJobs lists jobs. A scheduler that is older gives no counts.
func printJobs(sys *System, jobs []*tandemv1.JobRecord, counts []*tandemv1.InstanceCounts) {
	if len(jobs) == 0 {
		fmt.Fprintln(sys.Stdout, "no jobs; `tandem run FILE` submits one")
		return
	}
	t := &table{}
	t.add("JOB", "TYPE", "PHASE", "INSTANCES", "VERSION", "AGE", "WHY")
	for n, j := range jobs {
		var counted *tandemv1.InstanceCounts
		if len(counts) == len(jobs) {
			counted = counts[n]
		}
		t.add(j.GetSpec().GetId(), present.JobType(j.GetSpec().GetType()), present.JobPhase(j.GetPhase()),
			present.Instances(j.GetSpec(), counted), strconv.FormatUint(j.GetVersion(), 10),
			present.Since(sys.Now(), j.GetUpdated().AsTime()), present.OneLine(j.GetPhaseReason()))
	}
	t.write(sys)
}
