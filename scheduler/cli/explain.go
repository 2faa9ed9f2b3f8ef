package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

func newExplain(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	cmd := &cobra.Command{
		Use:   "explain JOB",
		Short: "Say why instances of a job wait",
		Long: `Says for each agent seen everything that stands against an instance of the job there, when
offers came last, and whether any are to come.`,
		Example: `  tandem explain /payments/api`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			res, err := c.ExplainJob(cmd.Context(), &tandemv1.ExplainJobRequest{Id: jobID(args[0])})
			if err != nil {
				return c.explain(err)
			}
			if out != asText {
				return out.print(sys.Stdout, res.GetExplanation())
			}
			printExplanation(sys, res.GetExplanation())
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}

func printExplanation(sys *System, x *tandemv1.Explanation) {
	w, now := sys.Stdout, sys.Now()
	if x.GetWaiting() == 0 {
		fact(w, "waiting", "nothing; this is about one instance more")
	} else {
		fact(w, "waiting", "%d, of which %d would find room now", x.GetWaiting(), x.GetPlaceable())
	}
	if len(x.GetNeeds()) > 0 {
		fact(w, "each takes", "%s", present.Needs(x))
	}
	if len(x.GetPlaces()) > 0 {
		fact(w, "room", "%s", strings.Join(x.GetPlaces(), ", "))
	}
	if x.GetSummary() != "" {
		fact(w, "why", "%s", present.OneLine(x.GetSummary()))
	}
	if x.GetNearest() != "" {
		fact(w, "nearest", "%s", x.GetNearest())
	}
	offers := "none came yet"
	if last := x.GetLastOffer(); last != nil {
		offers = "the last came " + present.Since(now, last.AsTime()) + " ago"
	}
	switch {
	case !x.GetSubscribed():
		offers += "; none come now, for the scheduler is not subscribed"
	case x.GetSuppressed():
		offers += "; none come now, for nothing waits"
	case x.GetFiltered():
		offers += "; some agents were turned down, and come again when more is free there"
	}
	if since := x.GetSilentSince(); since != nil && x.GetSubscribed() {
		offers += "; none came since they were asked for " + present.Since(now, since.AsTime()) +
			" ago: " + x.GetSilence()
	}
	if x.GetConstrained() {
		offers += "; only agents that constraints admit are asked for"
	}
	fact(w, "offers", "%s", offers)
	printQuotas(w, x.GetQuotas(), x.GetQuotasUnknown())
	if n := x.GetNewVolumes(); n > 0 {
		fact(w, "volumes", "%d would be made", n)
	}
	if len(x.GetKeptVolumes()) > 0 {
		t := &table{}
		t.add("INSTANCE", "FINDS ITS VOLUME", "MIB", "ON AGENT", "BUT")
		for _, v := range x.GetKeptVolumes() {
			t.add(strconv.Itoa(int(v.GetSlot())), v.GetName(), strconv.FormatFloat(v.GetSize(), 'f', -1, 64),
				v.GetHostname(), present.OneLine(v.GetNote()))
		}
		fmt.Fprintln(w)
		t.write(sys)
	}
	if len(x.GetAgents()) == 0 {
		return
	}
	t := &table{}
	t.add("AGENT", "LAST OFFER", "AGAINST IT")
	for _, a := range x.GetAgents() {
		var against []string
		for _, o := range a.GetObstacles() {
			against = append(against, obstacle(o))
		}
		t.add(a.GetHostname(), present.Since(now, a.GetLastOffer().AsTime())+" ago", strings.Join(against, "; "))
	}
	fmt.Fprintln(w)
	t.write(sys)
}

func obstacle(o *tandemv1.Obstacle) string {
	switch {
	case o.GetNeed() != "":
		return fmt.Sprintf("%s: needs %s, has %s", o.GetWhat(), o.GetNeed(), o.GetHave())
	case o.GetHave() != "":
		return fmt.Sprintf("%s: has %s", o.GetWhat(), o.GetHave())
	}
	return o.GetWhat()
}

// printQuotas says how much the framework's roles may have, or why that is not
// known.
func printQuotas(w io.Writer, quotas []*tandemv1.RoleQuota, unknown string) {
	for _, q := range quotas {
		fact(w, "quota", "%s", present.Quota(q))
	}
	if unknown != "" {
		fact(w, "quota", "not known: %s", present.OneLine(unknown))
	}
}
