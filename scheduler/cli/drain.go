package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// drainPoll is how often a drain that is waited for is looked at.
const drainPoll = time.Second

type drainFlags struct {
	scheduler    connection
	out          output
	cancel, wait bool
	deadline     time.Duration
	version      uint64
}

func newDrain(sys *System) *cobra.Command {
	var f drainFlags
	cmd := &cobra.Command{
		Use:   "drain AGENT",
		Short: "Move this scheduler's instances off an agent and keep off it",
		Long: `Moves this scheduler's instances off an agent, and keeps off it until --cancel. An instance of a
service gets a replacement elsewhere first and is ended when that serves, as many at a time as
the job's update policy allows; batch jobs are left to finish; instances of daemon jobs go last.
It needs no rights with the Mesos master, and concerns no other framework.

AGENT is an agent's ID or hostname, as "tandem agents" shows them.`,
		Example: `  tandem drain --wait host-17.example
  tandem drain --cancel host-17.example`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.cancel && (f.wait || f.deadline != 0) {
				return failed(exitUsage, "--cancel goes with neither --wait nor --deadline")
			}
			if f.deadline < 0 {
				return failed(exitUsage, "--deadline=%s is in the past", f.deadline)
			}
			var expected *uint64
			if cmd.Flags().Changed("if-version") {
				expected = &f.version
			}
			return drain(cmd.Context(), sys, &f, args[0], expected)
		},
	}
	schedulerFlag(cmd, &f.scheduler)
	f.out.flag(cmd)
	cmd.Flags().BoolVar(&f.cancel, "cancel", false, "let instances go there again")
	cmd.Flags().DurationVar(&f.deadline, "deadline", 0, "after this `time` end what is still there, whether or not there is room elsewhere")
	cmd.Flags().Uint64Var(&f.version, "if-version", 0, "refuse unless the drain is at this `version`, as tandem agents -o json shows it; 0: unless there is none")
	cmd.Flags().BoolVarP(&f.wait, "wait", "w", false, "wait until nothing of this scheduler runs there")
	return cmd
}

func drain(ctx context.Context, sys *System, f *drainFlags, agent string, expected *uint64) error {
	c, err := newClient(f.scheduler)
	if err != nil {
		return err
	}
	req := &tandemv1.DrainAgentRequest{Agent: agent, Cancel: f.cancel, ExpectedVersion: expected}
	if f.deadline > 0 {
		req.Deadline = durationpb.New(f.deadline)
	}
	res, err := c.DrainAgent(ctx, req)
	if err != nil {
		return c.explain(err)
	}
	if f.out == asText {
		if f.cancel {
			fmt.Fprintf(sys.Stdout, "agent %s: may be used again\n", res.GetHostname())
		} else {
			fmt.Fprintf(sys.Stdout, "agent %s: draining, with instances there: %d\n", res.GetHostname(), res.GetAttempts())
		}
	}
	if f.wait {
		left := func(instances int32) {
			if f.out == asText {
				fmt.Fprintf(sys.Stdout, "agent %s: instances still there: %d\n", res.GetHostname(), instances)
			}
		}
		if err := c.drained(ctx, res.GetAgentId(), res.GetAttempts(), left); err != nil {
			return err
		}
		if f.out == asText {
			fmt.Fprintf(sys.Stdout, "agent %s is drained\n", res.GetHostname())
		}
	}
	if f.out != asText {
		return f.out.print(sys.Stdout, res)
	}
	return nil
}

// drained waits until nothing runs on the agent, on which so many attempts are, and
// tells of each change.
func (c *client) drained(ctx context.Context, agent string, attempts int32, changed func(left int32)) error {
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		res, err := c.ListAgents(ctx, &tandemv1.ListAgentsRequest{})
		if err != nil {
			return c.explain(err)
		}
		left := int32(0)
		for _, a := range res.GetAgents() {
			if a.GetAgentId() == agent {
				if a.GetLeaving().GetDrain() == nil {
					return failed(exitFailed, "the drain of agent %s was cancelled", a.GetHostname())
				}
				left = a.GetAttempts()
			}
		}
		if left == 0 {
			return nil
		}
		if left != attempts {
			changed(left)
			attempts = left
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
