package cli_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/cli"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// converse carries out commands about single tasks: api.0.1.web is the only one
// that runs.
func converse(c core.Command) (core.Reply, error) {
	task := ""
	switch {
	case c.KillTask != nil:
		task = c.KillTask.TaskID
	case c.SignalTask != nil:
		task = c.SignalTask.TaskID
		if c.SignalTask.Signal == "SIGSTOP" {
			return core.Reply{}, &core.Refused{Code: core.Conflict, Reason: "the executor may not signal the task's processes"}
		}
	case c.Upgrade != nil:
		if strings.HasPrefix(c.Upgrade.TaskID, "quiet.") {
			return core.Reply{}, &core.Refused{Code: core.Unanswered, Reason: "the executor of task " + c.Upgrade.TaskID + " has not answered within 2m30s"}
		}
		if c.Upgrade.TaskID != "api.0.1.web" {
			return core.Reply{}, &core.Refused{Code: core.Conflict, Reason: "the executor stays what it is:\ncommands of people run beside tasks (1)"}
		}
		return core.Reply{Program: "v2.0.0", Changed: true}, nil
	case c.Measure != nil:
		if task = c.Measure.TaskID; task == "" {
			return core.Reply{LeftOut: 3}, nil
		}
	case c.OpenSession != nil:
		if task = c.OpenSession.TaskID; task == "api.0.1.web" {
			if err := callBack(c.OpenSession); err != nil {
				return core.Reply{}, err
			}
		}
	default:
		return core.Reply{}, &core.Refused{Code: core.Conflict, Reason: "this fake does not do that"}
	}
	if task != "api.0.1.web" {
		return core.Reply{}, &core.Refused{Code: core.NotFound, Reason: "there is no task " + task + ", or not any more"}
	}
	return core.Reply{}, nil
}

// callBack is an executor that knows a few commands.
func callBack(o *core.OpenSession) error {
	u, err := url.Parse(o.Address)
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return err
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: tandem-exec\r\nAuthorization: Bearer %s\r\n\r\n", u.Path, u.Host, o.Token)
	r := bufio.NewReader(conn)
	if _, err := http.ReadResponse(r, nil); err != nil {
		return err
	}
	go func() {
		defer conn.Close()
		in := &tandemv1.ExecInput{}
		if talk.ReadFrame(r, in) != nil {
			return
		}
		say := func(m *tandemv1.ExecOutput) { _ = talk.WriteFrame(conn, m) }
		c := in.GetCommand()
		end := &tandemv1.ExecEnd{}
		switch c.Args[0] {
		case "missing":
			say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Problem{Problem: `cannot run "missing": it is in no directory of PATH`}})
			return
		case "fail":
			end.ExitCode = 42
		case "abort":
			end.Signal = "SIGABRT"
		}
		say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Started{Started: true}})
		say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Stdout{Stdout: fmt.Appendf(nil, "%q stdin=%t\n", c.Args, c.Stdin)}})
		say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_End{End: end}})
	}()
	return nil
}

// Usage shows two tasks, the second of an executor that knows little.
func (f *fake) Usage(_ context.Context, wants func(string) bool) iter.Seq2[[]*tandemv1.UsageSample, error] {
	return func(yield func([]*tandemv1.UsageSample, error) bool) {
		for i := range 2 {
			at := timestamppb.New(noon.Add(time.Duration(2*i) * time.Second))
			all := []*tandemv1.UsageSample{
				{
					TaskId: "api.0.1.web", Time: at,
					Usage: &tandemv1.Usage{
						Source: "cgroup-v2", CpuTime: durationpb.New(time.Duration(i+3) * time.Second), ThrottledTime: durationpb.New(time.Duration(i) * 100 * time.Millisecond),
						MemoryBytes: proto.Uint64(48 << 20), MemoryLimitBytes: proto.Uint64(64 << 20),
					},
					Pids: proto.Uint64(7), DiskBytes: proto.Uint64(100 << 20), DiskLimitBytes: proto.Uint64(512 << 20), IoReadBytes: proto.Uint64(uint64(i) << 20), IoWrittenBytes: proto.Uint64(0),
					CpuPressure: &tandemv1.Pressure{Some: 12.5}, MemoryPressure: &tandemv1.Pressure{}, IoPressure: &tandemv1.Pressure{Some: 0.3},
				},
				{TaskId: "api.1.1.web", Time: at, Usage: &tandemv1.Usage{Source: "rusage"}},
			}
			var some []*tandemv1.UsageSample
			for _, s := range all {
				if wants(s.TaskId) && strings.HasPrefix(s.TaskId, "api") {
					some = append(some, s)
				}
			}
			if !yield(some, nil) {
				return
			}
		}
		yield(nil, &core.Refused{Code: core.Conflict, Reason: "the task has ended"})
	}
}

// TestUpgradeWithoutAnAnswer is of executors that have been asked, and of which
// nothing more is heard.
func TestUpgradeWithoutAnAnswer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		happen func(interrupt context.CancelFunc)
		status int
		stdout string
		stderr string
	}{
		{
			"somebody presses Ctrl-C", func(interrupt context.CancelFunc) { interrupt() }, 130,
			"api.0.1 on agent1: asked, and not known to be upgraded: interrupted\n0 upgraded, 0 not, 1 not known, 2 not asked, 0 current before\n",
			"tandem: interrupted; executors that were asked may replace themselves yet; asked again, they tell\n",
		},
		{
			"the connection breaks", func(context.CancelFunc) { panic(http.ErrAbortHandler) }, 1,
			"0 upgraded, 0 not, 1 not known, 2 not asked, 0 current before\n",
			"tandem: 2 of 3 executors stay what they are, and of 1 it is not known; asked again, they tell\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scheduler, err := url.Parse(start(t))
			if err != nil {
				t.Fatal(err)
			}
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			proxy := httputil.NewSingleHostReverseProxy(scheduler)
			between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/UpgradeExecutor") {
					_, _ = io.Copy(io.Discard, r.Body) // so that the end of the connection is seen
					tt.happen(interrupt)
					<-r.Context().Done()
					return
				}
				proxy.ServeHTTP(w, r)
			}))
			defer between.Close()
			sys, stdout, stderr := system(map[string]string{"TANDEM_SCHEDULER": between.URL})
			for _, args := range [][]string{{"run", "testdata/api.yaml"}, {"scale", "/api", "3"}} {
				if status := cli.Run(t.Context(), args, sys); status != 0 {
					t.Fatal(stderr)
				}
			}
			stdout.Reset()
			status := cli.Run(ctx, []string{"executor", "upgrade", "--parallel", "1", "--retry", "0"}, sys)
			if status != tt.status || !strings.HasSuffix(stdout.String(), tt.stdout) || stderr.String() != tt.stderr {
				t.Errorf("exit %d:\n%s%s", status, stdout, stderr)
			}
		})
	}
}

// leaving is a scheduler that stops while a command runs beside a task.
type leaving struct {
	tandemv1connect.UnimplementedSchedulerServiceHandler
}

func (leaving) ExecTask(_ context.Context, s *connect.BidiStream[tandemv1.ExecTaskRequest, tandemv1.ExecTaskResponse]) error {
	if _, err := s.Receive(); err != nil {
		return err
	}
	started := &tandemv1.ExecTaskResponse{Output: &tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Started{Started: true}}}
	return cmp.Or(s.Send(started), error(connect.NewError(connect.CodeUnavailable, errors.New("the scheduler is stopping"))))
}

// TestACommandWhoseSchedulerLeaves has ended: its session goes through the scheduler.
func TestACommandWhoseSchedulerLeaves(t *testing.T) {
	server := httptest.NewUnstartedServer(func() http.Handler {
		_, h := tandemv1connect.NewSchedulerServiceHandler(leaving{})
		return h
	}())
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	sys, _, stderr := system(map[string]string{"TANDEM_SCHEDULER": server.URL})
	status := cli.Run(t.Context(), []string{"exec", "api.0.1.web", "--", "cat"}, sys)
	want := "tandem: the command was ended with its session, which goes through the scheduler: the scheduler at " + server.URL + " cannot answer now: the scheduler is stopping\n"
	if status != 3 || stderr.String() != want {
		t.Errorf("exit %d:\n%s\nwant:\n%s", status, stderr, want)
	}
}
