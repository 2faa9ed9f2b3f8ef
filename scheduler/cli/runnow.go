package cli

import (
	"cmp"
	"context"
	"fmt"

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
it with allow. The run is a job of its own, whose ID is printed.`,
		Example: `  tandem run-now /reports/nightly
  tandem run-now --wait /reports/nightly`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.runNow(cmd.Context(), sys, jobID(args[0])) },
	}
	f.flags(cmd)
	cmd.Flags().BoolVarP(&f.wait, "wait", "w", false, "show what changes until the run has ended, and fail when it does")
	return cmd
}

func (f *change) runNow(ctx context.Context, sys *System, id string) error {
	c, err := newClient(f.scheduler)
	if err != nil {
		return err
	}
	res, err := c.RunJob(ctx, &tandemv1.RunJobRequest{Id: id, ExpectedVersion: f.expected()})
	if err != nil {
		return c.explain(err)
	}
	run := res.GetRunId()
	if f.out == asText {
		fmt.Fprintf(sys.Stdout, "job %s: run %s starts\n", id, run)
	}
	if f.wait {
		var b *board
		if b, err = c.await(ctx, sys, f.out, run, 1); err != nil {
			return err
		}
		if f.out == asText {
			b.report(sys)
		}
		err = b.verdict(sys, f.out, map[string]uint64{run: 1})
	}
	if f.out != asText {
		return cmp.Or(f.out.printValue(sys.Stdout, map[string]any{"id": id, "version": res.GetVersion(), "run": run}), err)
	}
	return err
}
