package integration

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

var (
	chaosRuns = flag.Int("chaos.runs", 10, "how often TestChaos kills the scheduler")
	chaosSeed = flag.Uint64("chaos.seed", 0, "what TestChaos decides by; 0 draws one")
)

// chaos is a scheduler that is killed again and again while a team works with
// it.
type chaos struct {
	*tandemScheduler
	random *rand.Rand
	// ran is the file in which each batch task leaves its ID.
	ran string
	// batches are the jobs whose submission was answered.
	batches []string
	// asked is how many instances of /steady were asked for last, and answered
	// how many when an answer came last.
	asked, answered int32
	// runs is how many runs of /again were asked for and answered, each once.
	runs int
	keys int
}

// TestChaos kills a scheduler with SIGKILL at random moments, of its start too,
// while jobs are submitted, scaled and run, each under a key. In the end all that
// was answered is there, everything has run once, what runs is what was asked for,
// and the master knows of nothing else.
func TestChaos(t *testing.T) {
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("make chaos RUNS=%d SEED=%d decides the same again, at other moments", *chaosRuns, seed)
	c := startMesos(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	x := &chaos{
		tandemScheduler: startScheduler(t, c, "--listen", freeAddress(t)),
		random:          rand.New(rand.NewPCG(seed, 0)),
		ran:             filepath.Join(dir, "ran"),
	}
	framework := x.framework().FrameworkId

	ctx, cancel := context.WithCancel(t.Context())
	var team sync.WaitGroup
	team.Go(func() { x.work(ctx) })
	for range *chaosRuns {
		time.Sleep(time.Duration(x.random.Int64N(int64(1200 * time.Millisecond))))
		x.stop(syscall.SIGKILL)
		x.launch()
	}
	cancel()
	team.Wait()

	eventually(t, func() string {
		r, err := x.client.GetFramework(t.Context(), &tandemv1.GetFrameworkRequest{})
		switch {
		case err != nil:
			return err.Error() + "\n" + x.log.sinceMark()
		case !r.Framework.Subscribed:
			return "it is not subscribed:\n" + x.log.sinceMark()
		case r.Framework.FrameworkId != framework:
			t.Fatalf("it was framework %s and is %s", framework, r.Framework.FrameworkId)
		}
		return ""
	})
	t.Logf("%d batches and %d runs of /again were answered, /steady has %d instances", len(x.batches), x.runs, x.answered)
	for _, id := range x.batches {
		x.awaitPhase(id, tandemv1.JobPhase_JOB_PHASE_FINISHED)
	}
	eventually(t, func() string {
		if n := len(x.runsOf("/again/")); n < x.runs {
			return fmt.Sprintf("/again ran %d times, and %d were answered", n, x.runs)
		}
		return ""
	})
	x.ranOnce()
	x.steadily(framework)
}

// launch starts the scheduler's process and waits for nothing.
func (x *chaos) launch() {
	x.log.mark()
	x.process = exec.Command(filepath.Join(bin, "tandem"), x.arguments()...)
	x.process.Stdout, x.process.Stderr = x.log, x.log
	if err := x.process.Start(); err != nil {
		x.t.Fatal(err)
	}
}

// write makes a call until it is answered, under one key, and reports whether it
// was. A refusal with the code unless may pass, and is tried again, too.
func (x *chaos) write(ctx context.Context, what string, unless connect.Code, call func(context.Context) error) bool {
	x.keys++
	for ctx.Err() == nil {
		keyed, info := connect.NewClientContext(ctx)
		info.RequestHeader().Set("Idempotency-Key", fmt.Sprintf("chaos-%d", x.keys))
		err := call(keyed)
		if err == nil {
			return true
		}
		switch code := connect.CodeOf(err); code {
		case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeCanceled, connect.CodeUnknown, connect.CodeInternal, unless:
		default:
			x.t.Errorf("%s is refused: %v", what, err)
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

// work submits batches, scales a service and starts runs until ctx ends. Whatever
// was not answered is repeated.
func (x *chaos) work(ctx context.Context) {
	client := tandemv1connect.NewSchedulerServiceClient(&http.Client{Timeout: 2 * time.Second}, x.address)
	submit := func(job *tandemv1.Job) bool {
		return x.write(ctx, "the submission of "+job.Id, connect.CodeUnavailable, func(ctx context.Context) error {
			_, err := client.SubmitJob(ctx, &tandemv1.SubmitJobRequest{Job: job, Force: true})
			return err
		})
	}
	policy := tandemv1.LimitsPolicy_LIMITS_POLICY_UNSPECIFIED
	if os.Getuid() != 0 {
		policy = tandemv1.LimitsPolicy_LIMITS_POLICY_PREFER
	}
	workload := func(cmd string) []*tandemv1.Workload {
		return []*tandemv1.Workload{{
			Name: "main", Cmd: cmd, Limits: &tandemv1.Limits{Policy: policy},
			Resources: &tandemv1.Resources{Cpus: 0.01, Mem: 16},
		}}
	}
	executor := &tandemv1.ExecutorSettings{Resources: &tandemv1.Resources{Cpus: 0.01, Mem: 32, Disk: 1}}
	again := submit(&tandemv1.Job{
		Id: "/again", Type: tandemv1.JobType_JOB_TYPE_CRON, Executor: executor,
		Schedule:  &tandemv1.Schedule{Cron: "0 0 29 2 *", Overlap: tandemv1.Overlap_OVERLAP_ALLOW},
		Workloads: workload("echo $MESOS_TASK_ID >> " + x.ran),
	})
	for n := int32(0); ctx.Err() == nil; n++ {
		for ctx.Err() == nil && x.behind() {
			time.Sleep(20 * time.Millisecond)
		}
		id := fmt.Sprintf("/batch-%d", n)
		if submit(&tandemv1.Job{
			Id: id, Type: tandemv1.JobType_JOB_TYPE_BATCH, Instances: proto.Int32(2), Executor: executor,
			Workloads: workload(fmt.Sprintf("echo $MESOS_TASK_ID >> %s; sleep 0.%d", x.ran, n%4)),
		}) {
			x.batches = append(x.batches, id)
		}
		x.asked = 1 + n%4
		if submit(&tandemv1.Job{
			Id: "/steady", Instances: proto.Int32(x.asked), Executor: executor, Workloads: workload("exec sleep 1000"),
		}) {
			x.answered = x.asked
		}
		// A cron job is started once a second at the most.
		if again && n%4 == 0 && x.write(ctx, "a run of /again", connect.CodeFailedPrecondition, func(ctx context.Context) error {
			_, err := client.RunJob(ctx, &tandemv1.RunJobRequest{Id: "/again"})
			return err
		}) {
			x.runs++
		}
		time.Sleep(150 * time.Millisecond)
	}
}

// behind reports whether so much has not begun to run that more of it would only
// wait in queues of the agent's, in the end for longer than a test's patience.
func (x *chaos) behind() bool {
	text, err := os.ReadFile(x.ran)
	if err != nil && !os.IsNotExist(err) {
		x.t.Error(err)
	}
	return 2*len(x.batches)-bytes.Count(text, []byte("batch-")) > 16
}

// runsOf returns the tasks that each instance of the jobs whose IDs begin so has
// run as.
func (x *chaos) runsOf(jobs string) map[string][]string {
	x.t.Helper()
	text, err := os.ReadFile(x.ran)
	if err != nil {
		x.t.Fatal(err)
	}
	runs := map[string][]string{}
	for id := range strings.FieldsSeq(string(text)) {
		name, ok := state.ParseTaskName(id)
		if !ok {
			x.t.Fatalf("%q ran, which is no task", id)
		}
		if instance := state.InstanceKey(name.Job, name.Slot); strings.HasPrefix(instance, jobs) {
			runs[instance] = append(runs[instance], id)
		}
	}
	return runs
}

// ranOnce holds that each instance of each batch has run once, and /again as often
// as was answered, and perhaps once more for who did not wait for the answer.
func (x *chaos) ranOnce() {
	x.t.Helper()
	runs, again := x.runsOf("/batch-"), x.runsOf("/again/")
	for instance, of := range again {
		if len(of) != 1 {
			x.t.Errorf("%s ran as %v, and should have run once", instance, of)
		}
	}
	if n := len(again); n != x.runs && n != x.runs+1 {
		x.t.Errorf("/again ran %d times, and %d were answered", n, x.runs)
	}
	for _, job := range x.batches {
		for slot := range int32(2) {
			if of := runs[state.InstanceKey(job, slot)]; len(of) != 1 {
				x.t.Errorf("instance %d of %s ran as %v, and should have run once", slot, job, of)
			}
		}
	}
}

// steadily holds that the service has as many instances as were asked for last,
// and that the master has their tasks and no other.
func (x *chaos) steadily(framework string) {
	x.t.Helper()
	// A submission that nobody waited for may have been taken all the same.
	if n := x.job("/steady").Job.Spec.GetInstances(); n != x.answered && n != x.asked {
		x.t.Errorf("/steady is to have %d instances; the last answer was for %d, and the last question for %d", n, x.answered, x.asked)
	}
	eventually(x.t, func() string {
		job := x.job("/steady")
		want := int(job.Job.Spec.GetInstances())
		tasks := map[string]bool{}
		for _, i := range job.Instances {
			if i.Instance.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING {
				tasks[state.TaskName{Job: "/steady", Slot: i.Instance.Slot, Attempt: i.Instance.Attempt, Workload: "main"}.String()] = true
			}
		}
		there := map[string]bool{}
		master, ok := x.cluster.framework(x.t, framework)
		if !ok {
			return "the master does not know the framework"
		}
		for _, task := range master.Tasks {
			there[task.ID] = true
		}
		if len(tasks) != want || !maps.Equal(tasks, there) {
			return fmt.Sprintf("of %d instances of /steady %v run, and the master has %v", want,
				slices.Sorted(maps.Keys(tasks)), slices.Sorted(maps.Keys(there)))
		}
		return ""
	})
	for _, i := range x.job("/steady").Instances {
		for n := range i.Instance.Attempt {
			id := state.TaskName{Job: "/steady", Slot: i.Instance.Slot, Attempt: n + 1, Workload: "main"}.String()
			running := len(processesOf(x.t, id))
			if want := map[bool]int{true: 1}[n+1 == i.Instance.Attempt && i.Instance.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING]; running != want {
				x.t.Errorf("%s has %d processes, want %d", id, running, want)
			}
		}
	}
}

// freeAddress returns an address on this machine that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
