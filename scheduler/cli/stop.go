package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

type stopFlags struct {
	scheduler   connection
	out         output
	purge, wait bool
	version     uint64
}

func newStop(sys *System) *cobra.Command {
	var f stopFlags
	cmd := &cobra.Command{
		Use:   "stop JOB",
		Short: "Stop a job's tasks",
		Long: `Stops a job's tasks, each with its own signal and grace period. The job's record stays, and
"tandem run" starts it again; with --purge it is forgotten as soon as nothing of it runs.`,
		Example: `  tandem stop --wait /payments/api`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &tandemv1.StopJobRequest{Id: jobID(args[0]), Purge: f.purge}
			if cmd.Flags().Changed("if-version") {
				req.ExpectedVersion = &f.version
			}
			return stop(cmd.Context(), sys, &f, req)
		},
	}
	schedulerFlag(cmd, &f.scheduler)
	f.out.flag(cmd)
	cmd.Flags().BoolVar(&f.purge, "purge", false, "forget the job once nothing of it runs")
	cmd.Flags().Uint64Var(&f.version, "if-version", 0, "refuse unless the job is at this `version`")
	cmd.Flags().BoolVarP(&f.wait, "wait", "w", false, "show what changes until nothing of the job runs")
	return cmd
}

func stop(ctx context.Context, sys *System, f *stopFlags, req *tandemv1.StopJobRequest) error {
	id := req.GetId()
	c, err := newClient(f.scheduler)
	if err != nil {
		return err
	}
	res, err := c.StopJob(ctx, req)
	if err != nil {
		return c.explain(err)
	}
	if f.out == asText {
		fmt.Fprintf(sys.Stdout, "job %s: stopping\n", id)
	}
	if f.wait {
		d := newDisplay(sys)
		if f.out != asText {
			d = silent(sys)
		}
		_, err := c.follow(ctx, id, d, func(b *board) bool { return b.stopped(id) })
		if err != nil {
			return err
		}
		if f.out == asText {
			fmt.Fprintf(sys.Stdout, "job %s has stopped\n", id)
		}
	}
	if f.out != asText {
		return f.out.printValue(sys.Stdout, map[string]any{"id": id, "version": res.GetVersion()})
	}
	return nil
}

// stopped says whether nothing of the job runs any more.
func (b *board) stopped(id string) bool {
	job := b.jobs[id]
	return b.complete && (job == nil || job.GetPhase() == tandemv1.JobPhase_JOB_PHASE_STOPPED)
}
