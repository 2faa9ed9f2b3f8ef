package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func newScale(sys *System) *cobra.Command {
	var f change
	cmd := &cobra.Command{
		Use:   "scale JOB N",
		Short: "Change how many instances a job has",
		Long: `Submits the job as it is with another number of instances. To end more than half of
those that run is refused without --force.`,
		Example: `  tandem scale /payments/api 5`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := jobID(args[0])
			var instances int32
			if _, err := fmt.Sscanf(args[1]+"\n", "%d\n", &instances); err != nil || instances < 0 {
				return failed(exitUsage, "%q is not a number of instances", args[1])
			}
			return f.do(cmd.Context(), sys, id, fmt.Sprintf("scaled to %d", instances), func(ctx context.Context, c *client) (uint64, error) {
				res, err := c.GetJob(ctx, &tandemv1.GetJobRequest{Id: id})
				if err != nil {
					return 0, err
				}
				job := res.GetJob().GetJob()
				spec := proto.CloneOf(job.GetSpec())
				spec.Instances = &instances
				expected := f.expected()
				if expected == nil {
					expected = proto.Uint64(job.GetVersion())
				}
				changed, err := c.SubmitJob(ctx, &tandemv1.SubmitJobRequest{Job: spec, ExpectedVersion: expected, Force: f.force})
				return changed.GetVersion(), err
			})
		},
	}
	f.flags(cmd)
	f.waitFlag(cmd)
	f.forceFlag(cmd)
	return cmd
}
