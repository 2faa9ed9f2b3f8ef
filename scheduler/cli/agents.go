package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

func newAgents(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	cmd := &cobra.Command{
		Use:     "agents",
		Short:   "List the agents that tasks of this scheduler run on, or are to leave",
		Example: `  tandem agents`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			res, err := c.ListAgents(cmd.Context(), &tandemv1.ListAgentsRequest{})
			if err != nil {
				return c.explain(err)
			}
			if out != asText {
				return out.print(sys.Stdout, res)
			}
			printAgents(sys, res.GetAgents())
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}

func printAgents(sys *System, agents []*tandemv1.AgentView) {
	if len(agents) == 0 {
		fmt.Fprintln(sys.Stdout, "no task runs on any agent")
		return
	}
	t := &table{}
	t.add("AGENT", "ADDRESS", "INSTANCES", "TASKS", "STANDING", "JOBS", "ID")
	for _, a := range agents {
		t.add(a.GetHostname(), a.GetUrl(), strconv.Itoa(int(a.GetAttempts())), strconv.Itoa(int(a.GetTasks())), cmp.Or(a.GetStanding(), present.Standing(sys.Now(), a)),
			strings.Join(a.GetJobs(), " "), a.GetAgentId())
	}
	t.write(sys)
}
