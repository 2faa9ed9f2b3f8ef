package cli

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

func newOffers(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	cmd := &cobra.Command{
		Use:   "offers [AGENT]",
		Short: "List what agents have offered last, and what became of it",
		Long: `List what each agent has offered last, to each role, and what became of it.

The scheduler holds no offer: what it can use it uses at once, and declines the rest
for an hour, unless it asks for offers again before that. While nothing waits it asks
for none, so that what is listed may be from long ago; what was offered before the
scheduler was started is not known. 'tandem explain JOB' says what stands against an
instance on each of these agents.`,
		Example: `  tandem offers
  tandem offers host-17`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			req := &tandemv1.ListOffersRequest{}
			if len(args) > 0 {
				req.Agent = args[0]
			}
			res, err := c.ListOffers(cmd.Context(), req)
			if err != nil {
				return c.explain(err)
			}
			if req.Agent != "" && len(res.GetOffers()) == 0 {
				return failed(exitRefused, "agent %s has offered nothing since the scheduler was started; `tandem offers` lists those that have", req.Agent)
			}
			if out != asText {
				return out.print(sys.Stdout, res)
			}
			printOffers(sys, res.GetOffers())
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}

func printOffers(sys *System, offers []*tandemv1.OfferView) {
	if len(offers) == 0 {
		fmt.Fprintln(sys.Stdout, "nothing has been offered since the scheduler was started")
		return
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	size := func(mib float64) string { return present.Bytes(uint64(mib * (1 << 20))) }
	t := &table{}
	t.add("AGENT", "ROLE", "CPUS", "MEMORY", "DISK", "GPUS", "PORTS", "OFFERED", "OUTCOME", "ID")
	for _, o := range offers {
		r, gpus := o.GetResources(), ""
		if r.GetGpus() > 0 {
			gpus = number(r.GetGpus())
		}
		t.add(o.GetHostname(), o.GetRole(), number(r.GetCpus()), size(r.GetMem()), size(r.GetDisk()), gpus, strconv.Itoa(int(o.GetPorts())),
			present.Since(sys.Now(), o.GetReceived().AsTime())+" ago", cmp.Or(o.GetOutcome(), present.OfferOutcome(sys.Now(), o)), o.GetAgentId())
	}
	t.write(sys)
}
