package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func newPlan(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	cmd := &cobra.Command{
		Use:     "plan FILE",
		Aliases: []string{"diff"},
		Short:   "Show what submitting a job would change, and where it would fit",
		Long: `Asks the scheduler what "tandem run" of the file would change, and where the instances
that it would have more would find room. Nothing is changed. Its exit status is 0 for no
change and 1 for changes.`,
		Example: `  tandem plan api.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := readJob(sys, args[0])
			if err != nil {
				return err
			}
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			// The job's own files are compared by their hashes.
			if err := c.upload(cmd.Context(), file); err != nil {
				return err
			}
			res, err := c.PlanJob(cmd.Context(), &tandemv1.PlanJobRequest{Job: file.job})
			if err != nil {
				return c.explain(err)
			}
			if out != asText {
				err = out.print(sys.Stdout, res)
			} else {
				printPlan(sys, res)
			}
			if err == nil && res.GetChanged() {
				return &failure{status: exitFailed}
			}
			return err
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}

func printPlan(sys *System, plan *tandemv1.PlanJobResponse) {
	w := sys.Stdout
	id := plan.GetJob().GetId()
	switch current := plan.GetCurrent(); {
	case !plan.GetChanged():
		fmt.Fprintf(w, "job %s: no change, version %d\n", id, current.GetVersion())
		return
	case current == nil:
		fmt.Fprintf(w, "job %s: would be new\n", id)
	case current.GetStopped():
		fmt.Fprintf(w, "job %s: is stopped at version %d, and would run again\n", id, current.GetVersion())
	default:
		fmt.Fprintf(w, "job %s: would change from version %d\n", id, current.GetVersion())
		fact(w, "changes", "%s", strings.Join(changedKeys(current.GetSpec(), plan.GetJob()), ", "))
	}
	printExplanation(sys, plan.GetExplanation())
}
