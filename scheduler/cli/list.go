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
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the jobs",
		Example: `  tandem list
  tandem list -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			res, err := c.ListJobs(cmd.Context(), &tandemv1.ListJobsRequest{})
			if err != nil {
				return c.explain(err)
			}
			if out != asText {
				return out.print(sys.Stdout, res)
			}
			printJobs(sys, res.GetJobs())
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}

func printJobs(sys *System, jobs []*tandemv1.JobRecord) {
	if len(jobs) == 0 {
		fmt.Fprintln(sys.Stdout, "no jobs; `tandem run FILE` submits one")
		return
	}
	t := &table{}
	t.add("JOB", "TYPE", "PHASE", "INSTANCES", "VERSION", "AGE", "WHY")
	for _, j := range jobs {
		instances := ""
		if j.GetSpec().Instances != nil { // a daemon has as many as there are agents
			instances = strconv.Itoa(int(j.GetSpec().GetInstances()))
		}
		t.add(j.GetSpec().GetId(), present.JobType(j.GetSpec().GetType()), present.JobPhase(j.GetPhase()),
			instances, strconv.FormatUint(j.GetVersion(), 10),
			present.Since(sys.Now(), j.GetUpdated().AsTime()), present.OneLine(j.GetPhaseReason()))
	}
	t.write(sys)
}
