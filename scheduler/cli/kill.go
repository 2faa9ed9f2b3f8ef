package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

func newKill(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	var wait bool
	cmd := &cobra.Command{
		Use:   "kill TASK",
		Short: "End one task by its kill policy",
		Long: `Ends one task: its kill signal, its grace period, and then all its processes. What follows is
for the job's restart policy, to which somebody else has killed the task: the failure of an
essential task ends its group, and the instance is tried again after the restart delay. To
end a job for good, use "tandem stop"; to begin anew at the job's own pace, "tandem restart".`,
		Example: `  tandem kill --wait payments_api.2.7.web`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			if _, err := c.KillTask(cmd.Context(), &tandemv1.KillTaskRequest{TaskId: args[0]}); err != nil {
				return c.explain(err)
			}
			if out == asText {
				fmt.Fprintf(sys.Stdout, "task %s: to be killed; what follows is for the restart policy of its job\n", args[0])
			}
			var ended *tandemv1.TaskRecord
			if wait {
				if ended, err = c.awaitEnd(cmd.Context(), args[0]); err != nil {
					return err
				}
			}
			switch {
			case out != asText && ended != nil:
				return out.print(sys.Stdout, ended)
			case out != asText:
				return out.printValue(sys.Stdout, map[string]any{"taskId": args[0]})
			case ended != nil:
				words := []string{"task " + args[0] + ": " + ended.GetState().String(), present.Exit(ended), present.Why(ended)}
				fmt.Fprintln(sys.Stdout, strings.Join(notEmpty(words), ", "))
			}
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "wait until the task has ended, and say how")
	return cmd
}

// awaitEnd waits until a task has ended, and returns how.
func (c *client) awaitEnd(ctx context.Context, id string) (*tandemv1.TaskRecord, error) {
	name, ok := state.ParseTaskName(id)
	if !ok {
		return nil, failed(exitRefused, "there is no task %s", id)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Watch(ctx, &tandemv1.WatchRequest{JobId: name.Job})
	if err != nil {
		return nil, c.explain(err)
	}
	defer stream.Close()
	for stream.Receive() {
		for _, t := range stream.Msg().GetAttempt().GetTasks() {
			if t.GetTaskId() == id && present.Ended(t) {
				return t, nil
			}
		}
	}
	return nil, c.explain(stream.Err())
}

func notEmpty(words []string) []string {
	var some []string
	for _, w := range words {
		if w != "" {
			some = append(some, w)
		}
	}
	return some
}

func newSignal(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	var all bool
	cmd := &cobra.Command{
		Use:   "signal TASK SIGNAL",
		Short: "Send a signal to a running task",
		Long: `Sends a signal to the main process of a running task or, with --all, to every process in its
cgroup, and says when it was delivered. What the task makes of it is its own business.`,
		Example: `  tandem signal payments_api.2.7.web SIGHUP
  tandem signal --all payments_api.2.7.web USR1`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			signal := strings.ToUpper(args[1])
			if !strings.HasPrefix(signal, "SIG") {
				signal = "SIG" + signal
			}
			if _, err := c.SignalTask(cmd.Context(), &tandemv1.SignalTaskRequest{TaskId: args[0], Signal: signal, All: all}); err != nil {
				return c.explain(err)
			}
			if out != asText {
				return out.printValue(sys.Stdout, map[string]any{"taskId": args[0], "signal": signal, "all": all})
			}
			to := "the main process"
			if all {
				to = "all processes"
			}
			fmt.Fprintf(sys.Stdout, "task %s: %s delivered to %s\n", args[0], signal, to)
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "to every process in the task's cgroup")
	return cmd
}
