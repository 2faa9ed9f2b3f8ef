package cli

import (
	"context"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func newRunNow(sys *System) *cobra.Command {
	var f change
	cmd := &cobra.Command{
		Use:   "run-now JOB",
		Short: "Start a cron job now, besides its schedule",
		Long: `Starts a run of a cron job that its schedule does not ask for. Its overlap policy holds: while
the last run goes on it is refused with forbid, takes its place with replace, and runs beside
it with allow.`,
		Example: `  tandem run-now /reports/nightly`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := jobID(args[0])
			return f.do(cmd.Context(), sys, id, "a run starts", func(ctx context.Context, c *client) (uint64, error) {
				res, err := c.RunJob(ctx, &tandemv1.RunJobRequest{Id: id, ExpectedVersion: f.expected()})
				return res.GetVersion(), err
			})
		},
	}
	f.flags(cmd)
	return cmd
}
