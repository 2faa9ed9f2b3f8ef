package cli

import (
	"context"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func newRestart(sys *System) *cobra.Command {
	var f change
	var slots []int32
	cmd := &cobra.Command{
		Use:   "restart JOB",
		Short: "Replace a job's instances by new attempts of the same version",
		Long: `Replaces a job's instances by new attempts of the same version, at the pace of its update
policy; with --slot only those instances.`,
		Example: `  tandem restart /payments/api
  tandem restart --slot 0 --slot 2 /payments/api`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := jobID(args[0])
			return f.do(cmd.Context(), sys, id, "restarting", func(ctx context.Context, c *client) (uint64, error) {
				res, err := c.RestartJob(ctx, &tandemv1.RestartJobRequest{Id: id, Slots: slots, ExpectedVersion: f.expected()})
				return res.GetVersion(), err
			})
		},
	}
	f.flags(cmd)
	f.waitFlag(cmd)
	cmd.Flags().Int32SliceVar(&slots, "slot", nil, "only the instance with this `number`; may be repeated")
	return cmd
}
