package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

type statsFlags struct {
	scheduler connection
	follow    bool
	out       output
}

func newStats(sys *System) *cobra.Command {
	var f statsFlags
	cmd := &cobra.Command{
		Use:   "stats [JOB|TASK]",
		Short: "Show what running tasks use now",
		Long: `Shows what a task, all tasks of a job, or all running tasks use now: processors, memory and
its limit, how much of the time the cpu limit holds them back, block devices, processes, and
the pressure that the kernel measures (how much of the last ten seconds some of their
processes waited). Tasks are measured every two seconds, and only while somebody looks.

With --follow it goes on. What a kernel does not tell is left blank: pressure is of cgroup v2.`,
		Example: `  tandem stats -f /payments/api
  tandem stats -o json payments_api.2.7.web`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &tandemv1.WatchUsageRequest{}
			if len(args) == 1 {
				if _, ok := state.ParseTaskName(args[0]); ok {
					req.TaskId = args[0]
				} else {
					req.JobId = jobID(args[0])
				}
			}
			return stats(cmd.Context(), sys, &f, req)
		},
	}
	schedulerFlag(cmd, &f.scheduler)
	f.out.flag(cmd)
	cmd.Flags().BoolVarP(&f.follow, "follow", "f", false, "go on with what is measured later")
	return cmd
}

// firstLook bounds how long one look waits for two samples of each task.
const firstLook = 8 * time.Second

var errLooked = errors.New("looked for long enough")

func stats(ctx context.Context, sys *System, f *statsFlags, req *tandemv1.WatchUsageRequest) error {
	c, err := newClient(f.scheduler)
	if err != nil {
		return err
	}
	asked := ctx
	want := 0
	if !f.follow {
		if want, err = c.running(ctx, req); err != nil {
			return err
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, firstLook, errLooked)
		defer cancel()
	}
	stream, err := c.WatchUsage(ctx, req)
	if err != nil {
		return c.explain(err)
	}
	defer stream.Close()
	b := &usageBoard{sys: sys, out: f.out, follow: f.follow, display: newDisplay(sys), tasks: map[string]*usageRow{}}
	for !b.complete(want) && stream.Receive() {
		if n := stream.Msg().GetLeftOut(); n > 0 {
			fmt.Fprintf(sys.Stderr, "tandem: %d tasks more are not measured: name a job or a task\n", n)
		}
		if err := b.take(stream.Msg().GetSamples()); err != nil {
			return err
		}
	}
	err = stream.Err()
	looked := errors.Is(context.Cause(ctx), errLooked) && asked.Err() == nil
	switch {
	case f.follow && asked.Err() != nil:
		return &failure{status: exitInterrupted}
	case err != nil && !looked:
		// That a task has ended is no surprise to who has watched it.
		var refused *connect.Error
		if f.follow && len(b.tasks) > 0 && errors.As(err, &refused) && refused.Code() == connect.CodeFailedPrecondition {
			fmt.Fprintf(sys.Stderr, "tandem: %s\n", refused.Message())
			return nil
		}
		return c.explain(err)
	case f.follow:
		return nil
	}
	return b.print()
}

// running counts the tasks that one look waits for.
func (c *client) running(ctx context.Context, req *tandemv1.WatchUsageRequest) (int, error) {
	if req.GetTaskId() != "" {
		return 1, nil
	}
	ids := []string{req.GetJobId()}
	if req.GetJobId() == "" {
		jobs, err := c.ListJobs(ctx, &tandemv1.ListJobsRequest{})
		if err != nil {
			return 0, c.explain(err)
		}
		ids = nil
		for _, j := range jobs.GetJobs() {
			ids = append(ids, j.GetSpec().GetId())
		}
	}
	n := 0
	for _, id := range ids {
		res, err := c.GetJob(ctx, &tandemv1.GetJobRequest{Id: id})
		if err != nil && (req.GetJobId() != "" || connect.CodeOf(err) != connect.CodeNotFound) {
			return 0, c.explain(err)
		}
		for _, t := range liveTasks(res.GetJob()) {
			if t.GetState() == tandemv1.TaskState_TASK_RUNNING {
				n++
			}
		}
	}
	return n, nil
}

// usageRow is the last two samples of a task.
type usageRow struct{ before, last *tandemv1.UsageSample }

// usageBoard is what is known of the tasks that are looked at.
type usageBoard struct {
	sys     *System
	out     output
	follow  bool
	display *display
	tasks   map[string]*usageRow
	printed bool
}

// complete reports whether one look has seen enough: two samples of as many
// tasks as are wanted.
func (b *usageBoard) complete(want int) bool {
	if b.follow {
		return false
	}
	for _, r := range b.tasks {
		if r.before != nil {
			want--
		}
	}
	return want <= 0
}

// stale is after how long a task that is not measured any more leaves the board.
const stale = 10 * time.Second

func (b *usageBoard) take(samples []*tandemv1.UsageSample) error {
	if len(samples) == 0 {
		return nil
	}
	newest := time.Time{}
	for _, s := range samples {
		r := b.tasks[s.GetTaskId()]
		if r == nil {
			r = &usageRow{}
			b.tasks[s.GetTaskId()] = r
		}
		if r.last != nil && s.GetTime().AsTime().Sub(r.last.GetTime().AsTime()) < stale {
			r.before = r.last
		} else {
			r.before = nil
		}
		r.last = s
		if at := s.GetTime().AsTime(); at.After(newest) {
			newest = at
		}
		if b.follow && b.out != asText {
			if err := b.out.printLine(b.sys.Stdout, s); err != nil {
				return err
			}
		}
	}
	maps.DeleteFunc(b.tasks, func(_ string, r *usageRow) bool { return newest.Sub(r.last.GetTime().AsTime()) > stale })
	switch {
	case !b.follow || b.out != asText:
	case b.display.size != nil:
		b.display.drawTable(b.table())
	default:
		if b.printed {
			fmt.Fprintln(b.sys.Stdout)
		}
		b.printed = true
		b.table().write(b.sys)
	}
	return nil
}

func (b *usageBoard) print() error {
	ids := slices.Sorted(maps.Keys(b.tasks))
	if b.out != asText {
		all := &tandemv1.WatchUsageResponse{}
		for _, id := range ids {
			if r := b.tasks[id]; r.before != nil {
				all.Samples = append(all.Samples, r.before)
			}
			all.Samples = append(all.Samples, b.tasks[id].last)
		}
		return b.out.print(b.sys.Stdout, proto.Message(all))
	}
	if len(ids) == 0 {
		fmt.Fprintln(b.sys.Stdout, "nothing that runs could be measured")
		return nil
	}
	b.table().write(b.sys)
	return nil
}

func (b *usageBoard) table() *table {
	t := &table{}
	t.add("TASK", "CPU", "THROTTLED", "MEMORY", "READ/S", "WRITTEN/S", "PIDS", "DISK", "CPU WAIT", "MEMORY WAIT", "IO WAIT")
	for _, id := range slices.Sorted(maps.Keys(b.tasks)) {
		r := b.tasks[id]
		s, u := r.last, r.last.GetUsage()
		var cpu, throttled, read, written, memory, pids, disk string
		if rates, ok := present.RatesOf(r.before, r.last); ok {
			if u.GetCpuTime() != nil {
				cpu = fmt.Sprintf("%.2f", rates.CPU)
			}
			if rates.Throttled > 0 {
				throttled = percent(100 * rates.Throttled)
			}
			if s.IoReadBytes != nil {
				read, written = present.Bytes(uint64(rates.Read)), present.Bytes(uint64(rates.Written))
			}
		}
		if u.MemoryBytes != nil {
			memory = present.Bytes(u.GetMemoryBytes())
			if u.MemoryLimitBytes != nil {
				memory += " of " + present.Bytes(u.GetMemoryLimitBytes())
			}
		}
		if s.Pids != nil {
			pids = fmt.Sprint(s.GetPids())
		}
		if s.DiskBytes != nil {
			disk = present.Bytes(s.GetDiskBytes()) + " of " + present.Bytes(s.GetDiskLimitBytes())
		}
		t.add(id, cpu, throttled, memory, read, written, pids, disk, waited(s.GetCpuPressure()), waited(s.GetMemoryPressure()), waited(s.GetIoPressure()))
	}
	return t
}

func waited(p *tandemv1.Pressure) string {
	if p == nil {
		return ""
	}
	return percent(p.GetSome())
}

func percent(of100 float64) string { return fmt.Sprintf("%.1f%%", of100) }
