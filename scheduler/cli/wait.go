package cli

import (
	"context"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func newWait(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	cmd := &cobra.Command{
		Use:   "wait JOB",
		Short: "Wait until a job has ended, or runs as it should",
		Long: `Shows what changes until a batch has ended, or until all instances of a service run and are
healthy, and an update is through: as "tandem run --wait" does, for a job that is there. Its
exit status is 0 when that has come, and 1 when the job has failed, was stopped, or has gone
back to an earlier version. Interrupting it changes nothing.`,
		Example: `  tandem wait /payments/nightly && echo done`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			return c.wait(cmd.Context(), sys, out, jobID(args[0]))
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}

func (c *client) wait(ctx context.Context, sys *System, out output, id string) error {
	// A watch would wait for a job that is not there.
	res, err := c.GetJob(ctx, &tandemv1.GetJobRequest{Id: id})
	if err != nil {
		return c.explain(err)
	}
	version := res.GetJob().GetJob().GetVersion()
	board, err := c.await(ctx, sys, out, id, version)
	if err != nil {
		return err
	}
	if out == asText {
		board.report(sys)
	} else if err := out.print(sys.Stdout, board.view(id)); err != nil {
		return err
	}
	return board.verdict(sys, out, map[string]uint64{id: version})
}
