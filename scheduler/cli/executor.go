package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

func newExecutor(sys *System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "executor list|upgrade",
		Short: "Show which programs tasks run under, or replace them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newExecutorList(sys), newExecutorUpgrade(sys))
	return cmd
}

func newExecutorList(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	cmd := &cobra.Command{
		Use:   "list [JOB]",
		Short: "List the executors, and which program each of them is",
		Long: `Lists the executors of a job, or of all, with the program that each of them is: the beginning
of its SHA-256. New executors are the scheduler's present one.`,
		Example: `  tandem executor list
  tandem executor list /payments/api`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			all, current, err := c.executors(cmd.Context(), args)
			if err != nil {
				return err
			}
			if out != asText {
				return out.printValue(sys.Stdout, shownExecutors(all, current))
			}
			printExecutors(sys, all, current)
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}

// runningExecutor is an executor that carries tasks.
type runningExecutor struct {
	id, host, digest string
	jobs             []string
	tasks            int
	// task is one that runs; empty when none does.
	task        string
	unreachable bool
}

// executors returns those of a job or of all, and which program new ones are.
func (c *client) executors(ctx context.Context, jobs []string) ([]*runningExecutor, string, error) {
	framework, err := c.GetFramework(ctx, &tandemv1.GetFrameworkRequest{})
	if err != nil {
		return nil, "", c.explain(err)
	}
	if len(jobs) == 0 {
		all, err := c.ListJobs(ctx, &tandemv1.ListJobsRequest{})
		if err != nil {
			return nil, "", c.explain(err)
		}
		for _, j := range all.GetJobs() {
			jobs = append(jobs, j.GetSpec().GetId())
		}
	}
	byID := map[string]*runningExecutor{}
	for _, id := range jobs {
		job, err := c.GetJob(ctx, &tandemv1.GetJobRequest{Id: jobID(id)})
		if err != nil {
			return nil, "", c.explain(err)
		}
		for _, i := range job.GetJob().GetInstances() {
			for _, a := range i.GetAttempts() {
				if a.GetEnded() != nil {
					continue
				}
				key := a.GetAgentId() + " " + a.GetExecutorId()
				if byID[key] == nil {
					byID[key] = &runningExecutor{id: a.GetExecutorId(), host: a.GetHostname()}
				}
				byID[key].carries(a)
			}
		}
	}
	all := slices.SortedFunc(maps.Values(byID), func(a, b *runningExecutor) int {
		return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.id, b.id))
	})
	return all, framework.GetFramework().GetExecutorDigest(), nil
}

func (e *runningExecutor) carries(a *tandemv1.AttemptRecord) {
	if !slices.Contains(e.jobs, a.GetJobId()) {
		e.jobs = append(e.jobs, a.GetJobId())
	}
	e.digest, e.unreachable = a.GetExecutorDigest(), e.unreachable || a.GetUnreachable() != nil
	for _, t := range a.GetTasks() {
		if present.Ended(t) {
			continue
		}
		e.tasks++
		if t.GetState() == tandemv1.TaskState_TASK_RUNNING {
			e.task = t.GetTaskId()
		}
	}
}

// standing says what can be said of the program that an executor is.
func (e *runningExecutor) standing(current string) string {
	switch {
	case e.unreachable:
		return "unreachable"
	case e.digest == "" || current == "":
		return "unknown"
	case e.digest == current:
		return "current"
	}
	return "another"
}

func printExecutors(sys *System, all []*runningExecutor, current string) {
	if len(all) == 0 {
		fmt.Fprintln(sys.Stdout, "no executor runs")
		return
	}
	t := &table{}
	t.add("EXECUTOR", "AGENT", "PROGRAM", "STANDING", "TASKS", "JOBS")
	for _, e := range all {
		t.add(e.id, e.host, cmp.Or(e.digest, "?"), e.standing(current), strconv.Itoa(e.tasks), strings.Join(e.jobs, " "))
	}
	t.write(sys)
}

// shownExecutors is what printExecutors says, for programs.
func shownExecutors(all []*runningExecutor, current string) any {
	type executor struct {
		ID       string   `json:"id"`
		Hostname string   `json:"hostname"`
		Digest   string   `json:"digest"`
		Standing string   `json:"standing"`
		Tasks    int      `json:"tasks"`
		Jobs     []string `json:"jobs"`
	}
	list := make([]executor, len(all))
	for i, e := range all {
		list[i] = executor{e.id, e.host, e.digest, e.standing(current), e.tasks, e.jobs}
	}
	return map[string]any{"digest": current, "executors": list}
}

type upgradeFlags struct {
	scheduler connection
	out       output
	parallel  int
	keepGoing bool
}

func newExecutorUpgrade(sys *System) *cobra.Command {
	f := &upgradeFlags{}
	cmd := &cobra.Command{
		Use:   "upgrade [JOB]",
		Short: "Have running executors replace themselves by the scheduler's present one",
		Long: `Has every executor of a job, or of all, that is another program than the scheduler's present one
replace itself, while its tasks run on: none is restarted, and Mesos takes no notice. A few do
so at a time. After the first that stays what it is no more are asked, unless --keep-going says
so. Interrupted, it can be begun again: executors that are current are left alone. Those that
had been asked go on with it and, asked again, tell what they are.

An executor replaces itself at a moment at which none of its tasks is being started or ended and
nobody has a command running beside one. It stays what it is when there is no such moment within
a minute, when its agent isolates without cgroups, or when the new program cannot go on with
what the old one leaves it.`,
		Example: `  tandem executor upgrade /payments/api
  tandem executor upgrade --parallel 20 --keep-going`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.parallel < 1 {
				return failed(exitUsage, "--parallel: %d is not a number of executors; at least 1 is asked for", f.parallel)
			}
			c, err := newClient(f.scheduler)
			if err != nil {
				return err
			}
			return c.upgrade(cmd.Context(), sys, args, f)
		},
	}
	schedulerFlag(cmd, &f.scheduler)
	f.out.flag(cmd)
	cmd.Flags().IntVar(&f.parallel, "parallel", 4, "how many executors replace themselves at a time")
	cmd.Flags().BoolVar(&f.keepGoing, "keep-going", false, "go on after one that stays what it is")
	return cmd
}

// upgrade has executors replace themselves, and says what has become of each.
func (c *client) upgrade(ctx context.Context, sys *System, jobs []string, f *upgradeFlags) error {
	all, current, err := c.executors(ctx, jobs)
	if err != nil {
		return err
	}
	var old []*runningExecutor
	for _, e := range all {
		if e.standing(current) != "current" {
			old = append(old, e)
		}
	}
	u := upgrading{client: c, say: sys.Stdout, program: current, keepGoing: f.keepGoing}
	if f.out != asText {
		u.say = io.Discard
	}
	slots := make(chan struct{}, f.parallel)
	var wg sync.WaitGroup
	for _, e := range old {
		slots <- struct{}{}
		if u.stop(ctx) {
			break
		}
		wg.Go(func() {
			u.one(ctx, e)
			<-slots
		})
	}
	wg.Wait()
	left := len(old) - u.done - u.kept - u.unsure
	unsure := ""
	if u.unsure > 0 {
		unsure = fmt.Sprintf("%d not known, ", u.unsure)
	}
	if f.out != asText {
		counts := map[string]any{"upgraded": u.done, "kept": u.kept, "unknown": u.unsure, "notAsked": left, "current": len(all) - len(old)}
		if err := f.out.printValue(sys.Stdout, counts); err != nil {
			return err
		}
	}
	fmt.Fprintf(u.say, "%d upgraded, %d not, %s%d not asked, %d current before\n", u.done, u.kept, unsure, left, len(all)-len(old))
	switch {
	case ctx.Err() != nil && u.unsure > 0:
		return failed(exitInterrupted, "interrupted; executors that were asked may replace themselves yet; asked again, they tell")
	case ctx.Err() != nil:
		return failed(exitInterrupted, "interrupted")
	case u.unsure > 0:
		return failed(exitFailed, "%d of %d executors stay what they are, and of %d it is not known; asked again, they tell", u.kept+left, len(all), u.unsure)
	case u.kept > 0:
		return failed(exitFailed, "%d of %d executors stay what they are", u.kept+left, len(all))
	}
	return nil
}

// upgrading is an upgrade of several executors under way.
type upgrading struct {
	client *client
	// say takes a line for each executor.
	say io.Writer
	// program is what the scheduler's was when the upgrade began.
	program   string
	keepGoing bool

	mu sync.Mutex // guards what follows, and the output
	// done is how many are current now, kept how many stay what they are, and unsure
	// of how many neither is known.
	done, kept, unsure int
}

// stop says that no more executors are to be asked.
func (u *upgrading) stop(ctx context.Context) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return ctx.Err() != nil || u.kept+u.unsure > 0 && !u.keepGoing
}

func (u *upgrading) one(ctx context.Context, e *runningExecutor) {
	said, count := u.ask(ctx, e)
	u.mu.Lock()
	defer u.mu.Unlock()
	*count++
	fmt.Fprintf(u.say, "%s on %s: %s\n", e.id, e.host, said)
}

// ask has one executor replace itself, and returns what has become of it, in words
// and as that which is to be counted.
func (u *upgrading) ask(ctx context.Context, e *runningExecutor) (said string, count *int) {
	switch {
	case e.unreachable:
		return "not upgraded: its agent cannot be reached", &u.kept
	case e.task == "":
		return "not upgraded: none of its tasks runs", &u.kept
	}
	res, err := u.client.UpgradeExecutor(ctx, &tandemv1.UpgradeExecutorRequest{TaskId: e.task, ExpectedDigest: u.program})
	switch {
	case err != nil && unsure(err):
		return "asked, and not known to be upgraded: " + present.OneLine(u.client.explain(err).Error()), &u.unsure
	case err != nil:
		return "not upgraded: " + present.OneLine(u.client.explain(err).Error()), &u.kept
	case !res.GetChanged():
		return "was current", &u.done
	}
	return fmt.Sprintf("version %s, program %s", cmp.Or(present.OneLine(res.GetVersion()), "?"), res.GetDigest()), &u.done
}
