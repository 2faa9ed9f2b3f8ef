package cli

import (
	"context"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func newUpdate(sys *System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "update pause|resume|promote|abort JOB",
		Short: "Steer the update of a job that is under way",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, a := range []struct {
		word, short, done string
		action            tandemv1.UpdateAction
	}{
		{"pause", "Let an update stand still", "update paused", tandemv1.UpdateAction_UPDATE_ACTION_PAUSE},
		{"resume", "Let a paused update go on", "update resumed", tandemv1.UpdateAction_UPDATE_ACTION_RESUME},
		{"promote", "Find the canaries good, so that the rest follows", "canaries promoted", tandemv1.UpdateAction_UPDATE_ACTION_PROMOTE},
		{"abort", "Go back to the last good version", "update aborted", tandemv1.UpdateAction_UPDATE_ACTION_ABORT},
	} {
		var f change
		action := &cobra.Command{
			Use:     a.word + " JOB",
			Short:   a.short,
			Example: "  tandem update " + a.word + " /payments/api",
			Args:    cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				id := jobID(args[0])
				return f.do(cmd.Context(), sys, id, a.done, func(ctx context.Context, c *client) (uint64, error) {
					res, err := c.SteerUpdate(ctx, &tandemv1.SteerUpdateRequest{Id: id, Action: a.action, ExpectedVersion: f.expected()})
					return res.GetVersion(), err
				})
			},
		}
		f.flags(action)
		if a.action != tandemv1.UpdateAction_UPDATE_ACTION_PAUSE {
			f.waitFlag(action)
		}
		cmd.AddCommand(action)
	}
	return cmd
}
