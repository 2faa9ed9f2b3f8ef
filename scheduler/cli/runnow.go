package cli

import (
	"cmp"
	"context"
	"fmt"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
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
		if err := c.awaitStart(ctx, sys, id, run); err != nil {
			return err
		}
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

// awaitStart waits until a run is there: one that takes the place of another waits for
// its end, and may have to give way to a later one meanwhile.
func (c *client) awaitStart(ctx context.Context, sys *System, id, run string) error {
	b, err := c.follow(ctx, id, silent(sys), func(b *board) bool { return b.complete && !b.holds(id, run) })
	if err != nil {
		return err
	}
	_, err = c.GetJob(ctx, &tandemv1.GetJobRequest{Id: run, PageSize: 1})
	switch {
	case err == nil:
		return nil
	case connect.CodeOf(err) != connect.CodeNotFound:
		return c.explain(err)
	}
	why := "a later start has taken its place"
	switch job := b.jobs[id]; {
	case job == nil:
		why = "the job was removed"
	case job.GetStopped():
		why = "the job was stopped"
	}
	return failed(exitFailed, "run %s was not made: %s", run, why)
}

// holds reports whether a cron job's run waits for the end of the one before it.
func (b *board) holds(id, run string) bool {
	job := b.jobs[id]
	held := job.GetCron().GetHeld()
	return held != nil && !job.GetStopped() && state.RunID(id, held.AsTime()) == run
}
