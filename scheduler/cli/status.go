package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

func newStatus(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	cmd := &cobra.Command{
		Use:   "status [JOB]",
		Short: "Show how the scheduler stands with Mesos, or one job with its tasks",
		Long: `Without a job, shows how the scheduler stands with Mesos, and its jobs. With one, shows the
job, its instances, and the tasks of the latest attempt of each: where they run, on which
ports, how they ended and what they used.`,
		Example: `  tandem status
  tandem status /payments/api`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return statusOfAll(cmd.Context(), sys, c, out)
			}
			return statusOfJob(cmd.Context(), sys, c, out, jobID(args[0]))
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}

// jobID lets the first slash of a job's ID be left out.
func jobID(arg string) string {
	if strings.HasPrefix(arg, "/") {
		return arg
	}
	return "/" + arg
}

func statusOfAll(ctx context.Context, sys *System, c *client, out output) error {
	res, err := c.GetFramework(ctx, &tandemv1.GetFrameworkRequest{})
	if err != nil {
		return c.explain(err)
	}
	if out != asText {
		return out.print(sys.Stdout, res.GetFramework())
	}
	jobs, err := c.ListJobs(ctx, &tandemv1.ListJobsRequest{CountInstances: true})
	if err != nil {
		return c.explain(err)
	}
	printFramework(sys.Stdout, sys.Now(), res.GetFramework())
	fmt.Fprintln(sys.Stdout)
	printJobs(sys, jobs.GetJobs(), jobs.GetInstanceCounts())
	return nil
}

func printFramework(w io.Writer, now time.Time, f *tandemv1.FrameworkView) {
	fact(w, "framework", "%s", f.GetName())
	if f.GetFrameworkId() != "" {
		fact(w, "id", "%s", f.GetFrameworkId())
	}
	fact(w, "roles", "%s", strings.Join(f.GetRoles(), ", "))
	if f.GetSubscribed() {
		fact(w, "master", "subscribed to %s for %s", f.GetMaster(), present.Since(now, f.GetSubscribedSince().AsTime()))
		fact(w, "page", "%s", f.GetMesosFrameworksUrl())
	} else {
		fact(w, "master", "not subscribed: %s", present.OneLine(f.GetProblem()))
	}
	offers := "open to offers"
	if f.GetSuppressed() {
		offers = "suppressed, as nothing waits"
	}
	fact(w, "offers", "%s; %d received, %d used, %d declined", offers, f.GetOffersReceived(), f.GetOffersUsed(), f.GetOffersDeclined())
}

func fact(w io.Writer, name, format string, args ...any) {
	fmt.Fprintf(w, "%-10s %s\n", name, fmt.Sprintf(format, args...))
}

func statusOfJob(ctx context.Context, sys *System, c *client, out output, id string) error {
	res, err := c.GetJob(ctx, &tandemv1.GetJobRequest{Id: id})
	if err != nil {
		return c.explain(err)
	}
	if out != asText {
		return out.print(sys.Stdout, res.GetJob())
	}
	printJob(sys, res.GetJob())
	if res.GetJob().GetJob().GetSpec().GetType() != tandemv1.JobType_JOB_TYPE_CRON {
		return nil
	}
	// Each run is a job of its own below it.
	all, err := c.ListJobs(ctx, &tandemv1.ListJobsRequest{Below: id, CountInstances: true})
	if err != nil {
		return c.explain(err)
	}
	runs, counts := all.GetJobs(), all.GetInstanceCounts()
	if at := slices.IndexFunc(runs, func(j *tandemv1.JobRecord) bool { return j.GetSpec().GetId() == id }); at >= 0 {
		if len(counts) == len(runs) {
			counts = slices.Delete(counts, at, at+1)
		}
		runs = slices.Delete(runs, at, at+1)
	}
	if len(runs) > 0 {
		fmt.Fprintln(sys.Stdout)
		printJobs(sys, runs, counts)
	}
	return nil
}

func printJob(sys *System, view *tandemv1.JobView) {
	w, now := sys.Stdout, sys.Now()
	job := view.GetJob()
	fact(w, "job", "%s (%s, version %d)", job.GetSpec().GetId(), present.JobType(job.GetSpec().GetType()), job.GetVersion())
	fact(w, "phase", "%s", because(present.JobPhase(job.GetPhase()), job.GetPhaseReason()))
	if text := present.Update(job.GetUpdate()); text != "" {
		fact(w, "update", "%s", text)
	}
	fact(w, "submitted", "%s ago", present.Since(now, job.GetUpdated().AsTime()))
	if len(view.GetInstances()) == 0 {
		return
	}
	instances, tasks := &table{}, &table{}
	instances.add("INSTANCE", "PHASE", "SINCE", "ATTEMPT", "VERSION", "AGENT", "WHY")
	tasks.add("TASK", "STATE", "EXIT", "WALL", "CPU", "PEAK MEMORY", "PORTS", "WHY")
	for _, v := range view.GetInstances() {
		i := v.GetInstance()
		var latest *tandemv1.AttemptRecord
		if len(v.GetAttempts()) > 0 {
			latest = v.GetAttempts()[0]
		}
		attempt := ""
		if i.GetAttempt() > 0 {
			attempt = strconv.FormatUint(i.GetAttempt(), 10)
		}
		instances.add(strconv.Itoa(int(i.GetSlot())), present.InstancePhase(i.GetPhase()), present.Since(now, i.GetSince().AsTime()),
			attempt, strconv.FormatUint(i.GetJobVersion(), 10), latest.GetHostname(), present.InstanceWhy(now, i))
		for _, t := range latest.GetTasks() {
			tasks.add(t.GetTaskId(), stateText(t), present.Exit(t), present.WallTime(t), present.CPUTime(t), present.PeakMemory(t),
				strings.Join(present.Ports(latest.GetHostname(), t), " "), present.Why(t))
		}
	}
	fmt.Fprintln(w)
	instances.write(sys)
	if len(tasks.rows) > 1 {
		fmt.Fprintln(w)
		tasks.write(sys)
	}
}
