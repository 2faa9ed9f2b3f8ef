package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

const volumeStatePrefix = "VOLUME_STATE_"

func newVolume(sys *System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "volume list|purge",
		Short: "List persistent volumes, or destroy them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newVolumeList(sys), newVolumePurge(sys))
	return cmd
}

func newVolumeList(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	cmd := &cobra.Command{
		Use:   "list [JOB]",
		Short: "List persistent volumes",
		Long: `Lists the persistent volumes that instances have, or had: a volume outlives its instance and its
job until it is purged.`,
		Example: `  tandem volume list
  tandem volume list /payments/db`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			req := &tandemv1.ListVolumesRequest{}
			if len(args) > 0 {
				req.JobId = jobID(args[0])
			}
			res, err := c.ListVolumes(cmd.Context(), req)
			if err != nil {
				return c.explain(err)
			}
			if out != asText {
				return out.print(sys.Stdout, res)
			}
			if len(res.GetVolumes()) == 0 && req.GetJobId() != "" {
				fmt.Fprintf(sys.Stdout, "there are no volumes of job %s\n", req.GetJobId())
				return nil
			}
			printVolumes(sys, res.GetVolumes())
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}

func printVolumes(sys *System, volumes []*tandemv1.VolumeRecord) {
	if len(volumes) == 0 {
		fmt.Fprintln(sys.Stdout, "there are no volumes")
		return
	}
	t := &table{}
	t.add("JOB", "INSTANCE", "VOLUME", "MIB", "DISK", "AGENT", "STATE", "ID")
	for _, v := range volumes {
		state := because(strings.TrimPrefix(v.GetState().String(), volumeStatePrefix), v.GetReason())
		t.add(v.GetJobId(), strconv.Itoa(int(v.GetSlot())), v.GetName(), strconv.FormatFloat(v.GetSize(), 'f', -1, 64),
			present.Disk(v.GetDisk()), v.GetHostname(), state, v.GetId())
	}
	t.write(sys)
}

func newVolumePurge(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	var forget bool
	var state string
	cmd := &cobra.Command{
		Use:   "purge ID...",
		Short: "Destroy persistent volumes with all that is in them",
		Long: `Destroys persistent volumes, with all that is in them, and gives their disk back as soon as their
agents offer it. An instance that asks for such a volume gets a new, empty one. A volume that an
instance runs with is refused: stop the job first.

ID is a volume's ID, as "tandem volume list" shows it.`,
		Example: `  tandem volume purge web.0.1.data.6a5c2f64-0e52-4c6e-8f0e-6a1b0c1d2e3f-0000
  tandem volume purge --forget web.0.1.data.6a5c2f64-0e52-4c6e-8f0e-6a1b0c1d2e3f-0000`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			expected, err := volumeState(state)
			if err != nil {
				return err
			}
			for _, id := range args {
				res, err := c.PurgeVolume(cmd.Context(), &tandemv1.PurgeVolumeRequest{VolumeId: id, Forget: forget, ExpectedState: expected})
				switch {
				case err != nil:
					return c.explain(err)
				case out != asText:
					if err := out.print(sys.Stdout, res); err != nil {
						return err
					}
				default:
					v := res.GetVolume()
					fmt.Fprintf(sys.Stdout, "volume %s: %s\n", v.GetId(), present.OneLine(v.GetReason()))
				}
			}
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	cmd.Flags().StringVar(&state, "if-state", "", "refuse unless they are in this `state`, as tandem volume list shows it")
	cmd.Flags().BoolVar(&forget, "forget", false, "forget them without waiting for their agents, which will not come back")
	return cmd
}

// volumeState returns the state of a volume that a word names, or nil for none.
func volumeState(word string) (*tandemv1.VolumeState, error) {
	if word == "" {
		return nil, nil
	}
	if n, ok := tandemv1.VolumeState_value[volumeStatePrefix+strings.ToUpper(word)]; ok && n != 0 {
		return tandemv1.VolumeState(n).Enum(), nil
	}
	var words []string
	for n := int32(1); tandemv1.VolumeState_name[n] != ""; n++ {
		words = append(words, strings.TrimPrefix(tandemv1.VolumeState_name[n], volumeStatePrefix))
	}
	return nil, failed(exitUsage, "--if-state: %q is not one of %s", word, strings.Join(words, ", "))
}
