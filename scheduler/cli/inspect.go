package cli

import (
	"encoding/json"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func newInspect(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	cmd := &cobra.Command{
		Use:   "inspect JOB",
		Short: "Print a job as a file, with every default written out",
		Long: `Prints a job as it was submitted last, with every default written out, as a job file that
"tandem run" takes. With -o it prints all that is known of the job and its instances.`,
		Example: `  tandem inspect /payments/api > api.yaml
  tandem inspect -o yaml /payments/api`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			res, err := c.GetJob(cmd.Context(), &tandemv1.GetJobRequest{Id: jobID(args[0])})
			if err != nil {
				return c.explain(err)
			}
			if out != asText {
				return out.print(sys.Stdout, res.GetJob())
			}
			return printYAML(sys.Stdout, json.RawMessage(res.GetJobFile()))
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}
