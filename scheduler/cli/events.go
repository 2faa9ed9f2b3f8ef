package cli

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

type eventsFlags struct {
	scheduler connection
	out       output
	follow    bool
	since     uint64
	latest    int32
	job       string
}

func newEvents(sys *System) *cobra.Command {
	var f eventsFlags
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what has happened, and with --follow what happens",
		Long: `Shows what has happened to jobs, instances and tasks, each with its ID, and with --follow what
happens from then on. The scheduler keeps the latest 8192 events while it runs.

--since goes on after the event with that ID. IDs only ever grow, over restarts too; where
some event after the one named is not kept any more, as after a restart, it says so and ends
with status 4: then the present is what "tandem status" shows. No event is ever left out
silently.`,
		Example: `  tandem events -f
  tandem events -n 20
  tandem events --job /payments/api
  tandem events -f --since 1795617972000042 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return events(cmd.Context(), sys, &f) },
	}
	schedulerFlag(cmd, &f.scheduler)
	f.out.flag(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what happens")
	flags.Uint64Var(&f.since, "since", 0, "only what came after the event with this `ID`; 0: all that is kept")
	flags.Int32VarP(&f.latest, "latest", "n", 0, "of what is kept only the latest `number`; 0: all")
	flags.StringVar(&f.job, "job", "", "only what belongs to this `job`")
	return cmd
}

func events(ctx context.Context, sys *System, f *eventsFlags) error {
	c, err := newClient(f.scheduler)
	if err != nil {
		return err
	}
	ask := &tandemv1.WatchRequest{Since: &f.since, Latest: f.latest}
	if f.job != "" {
		ask.JobId = jobID(f.job)
	}
	r := &eventReader{sys: sys, flags: f, board: newBoard(), last: f.since}
	// What is asked for is what has changed, and nothing that was there before.
	r.board.complete = true
	away := absence{client: c, say: func(text string) { fmt.Fprint(sys.Stderr, text) }}
	for {
		began := r.last
		err := r.read(ctx, c, ask)
		if r.last != began {
			away.tries = 0
		}
		switch {
		case ctx.Err() != nil:
			// That is how following ends.
			return &failure{status: exitInterrupted}
		case err == nil:
			return nil
		case connect.CodeOf(err) == connect.CodeResourceExhausted:
			return failed(exitFailed, "this reader is too slow to take every event; go on with --since %d", r.last)
		case !f.follow || !r.heard || !away.again(ctx, err):
			return c.explain(err)
		}
		ask.Since, ask.Latest = &r.last, 0
	}
}

// eventReader shows events.
type eventReader struct {
	sys   *System
	flags *eventsFlags
	board *board
	last  uint64 // event that was shown
	heard bool   // whether the scheduler has answered
}

// read shows what one watch brings, until it ends or, without --follow, has brought
// all that there is.
func (r *eventReader) read(ctx context.Context, c *client, ask *tandemv1.WatchRequest) error {
	stream, err := c.Watch(ctx, ask)
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		r.heard = true
		change := stream.Msg()
		if change.GetSnapshotEnd() {
			if !r.flags.follow {
				return nil
			}
			continue
		}
		r.last = change.GetSequence()
		if err := r.show(change); err != nil {
			return err
		}
	}
	return orEnded(stream.Err())
}

func (r *eventReader) show(change *tandemv1.WatchResponse) error {
	if r.flags.out != asText {
		return r.flags.out.printLine(r.sys.Stdout, change)
	}
	told := r.board.apply(change)
	if framework := change.GetFramework(); framework != nil {
		told = []event{{"framework", standingText(framework)}}
	}
	for _, e := range told {
		fmt.Fprintf(r.sys.Stdout, "%d  %s  %-24s  %s\n", r.last, change.GetTime().AsTime().UTC().Format(time.RFC3339), e.what, e.text)
	}
	return nil
}

// standingText says how the scheduler stands with Mesos.
func standingText(f *tandemv1.FrameworkView) string {
	switch {
	case !f.GetSubscribed():
		return because("not subscribed", f.GetProblem())
	case f.GetSuppressed():
		return "subscribed with " + f.GetMaster() + ", offers suppressed"
	}
	return "subscribed with " + f.GetMaster()
}
