package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func newReconcile(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Ask the master about every task now",
		Long: `Has the scheduler ask the master about every task, as it does by itself with each subscription
and every ten minutes. What differs is put right as the answers come.`,
		Example: `  tandem reconcile`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			res, err := c.Reconcile(cmd.Context(), &tandemv1.ReconcileRequest{})
			if err != nil {
				return c.explain(err)
			}
			if out != asText {
				return out.print(sys.Stdout, res)
			}
			fmt.Fprintf(sys.Stdout, "asking about %d tasks, and all others that the master knows\n", res.GetTasks())
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}
