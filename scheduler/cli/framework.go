package cli

import (
	"bufio"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

func newFramework(sys *System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "framework status|teardown",
		Short: "Show who the scheduler is to Mesos, or end it there",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var scheduler connection
	var out output
	status := &cobra.Command{
		Use:     "status",
		Short:   "Show how the scheduler stands with Mesos, and how good a neighbour it is",
		Example: `  tandem framework status`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			res, err := c.GetFramework(cmd.Context(), &tandemv1.GetFrameworkRequest{WithQuotas: out == asText})
			if err != nil {
				return c.explain(err)
			}
			if out != asText {
				return out.print(sys.Stdout, res.GetFramework())
			}
			f := res.GetFramework()
			printFramework(sys.Stdout, sys.Now(), f)
			if f.GetAgentsOffered() > 0 {
				r := f.GetLastOffered()
				fact(sys.Stdout, "free", "%g cpus, %s memory, %s disk, %g gpus when last offered; agents: %d",
					r.GetCpus(), mebibytes(r.GetMem()), mebibytes(r.GetDisk()), r.GetGpus(), f.GetAgentsOffered())
			}
			printQuotas(sys.Stdout, res.GetQuotas(), res.GetQuotasUnknown())
			fact(sys.Stdout, "neighbour", "revives: %d, suppresses: %d; offers held for %s in all, none for more than %s; declined for %s each",
				f.GetRevives(), f.GetSuppresses(), seconds(f.GetOfferSeconds()), seconds(f.GetLongestOfferSeconds()), seconds(f.GetMeanRefuseSeconds()))
			return nil
		},
	}
	schedulerFlag(status, &scheduler)
	out.flag(status)
	cmd.AddCommand(status, newTeardown(sys))
	return cmd
}

func newTeardown(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	var named string
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "End every task, and have Mesos forget the framework",
		Long: `Has the master end every task of the scheduler at once and forget its framework, and stops all
jobs. Their records stay. Groups launched within the last five seconds are waited for until
something is heard of them: an agent that is told of the end in that moment may keep their
executors. The scheduler ends; started again it is a new framework that runs nothing until jobs
are submitted.

The framework's name has to be typed to confirm it, or given with --yes-delete.`,
		Example: `  tandem framework teardown
  tandem framework teardown --yes-delete payments`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			res, err := c.GetFramework(cmd.Context(), &tandemv1.GetFrameworkRequest{})
			if err != nil {
				return c.explain(err)
			}
			name := res.GetFramework().GetName()
			if !cmd.Flags().Changed("yes-delete") {
				fmt.Fprintf(sys.Stderr, "This ends every task of framework %s. Type its name to go on: ", name)
				typed, _ := bufio.NewReader(sys.Stdin).ReadString('\n')
				named = strings.TrimSpace(typed)
				fmt.Fprintln(sys.Stderr)
			}
			if named != name {
				return failed(exitUsage, "nothing was done: %q is not the framework's name, %s", named, name)
			}
			done, err := c.TeardownFramework(cmd.Context(), &tandemv1.TeardownFrameworkRequest{Name: name})
			if err != nil {
				return c.explain(err)
			}
			if out != asText {
				return out.print(sys.Stdout, done)
			}
			fmt.Fprintf(sys.Stdout, "framework %s: torn down with %d tasks; its scheduler ends\n", name, done.GetTasks())
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	cmd.Flags().StringVar(&named, "yes-delete", "", "the framework's `name`, in place of typing it")
	return cmd
}

// seconds shows a number of seconds with no more digits than say something.
func seconds(s float64) time.Duration {
	d := time.Duration(s * float64(time.Second))
	if d > time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(100 * time.Microsecond)
}

func mebibytes(n float64) string { return present.Bytes(uint64(n * (1 << 20))) }
