package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func newRollback(sys *System) *cobra.Command {
	var f change
	cmd := &cobra.Command{
		Use:     "rollback JOB [VERSION]",
		Aliases: []string{"revert"},
		Short:   "Make an earlier version of a job its newest one",
		Long: `Submits an earlier version of a job again, as a new version. Without a number it is the
last good one before the current.`,
		Example: `  tandem rollback /payments/api
  tandem rollback /payments/api 3`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := jobID(args[0])
			req := &tandemv1.RollbackJobRequest{Id: id, ExpectedVersion: f.expected(), Force: f.force}
			if len(args) == 2 {
				if _, err := fmt.Sscanf(args[1]+"\n", "%d\n", &req.Version); err != nil || req.Version == 0 {
					return failed(exitUsage, "%q is not the number of a version", args[1])
				}
			}
			return f.do(cmd.Context(), sys, id, "rolled back", func(ctx context.Context, c *client) (uint64, error) {
				res, err := c.RollbackJob(ctx, req)
				return res.GetVersion(), err
			})
		},
	}
	f.flags(cmd)
	f.waitFlag(cmd)
	f.forceFlag(cmd)
	return cmd
}
