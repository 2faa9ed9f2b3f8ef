package core

import (
	"fmt"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// step plays one input and prints its effects, one a line.
func (s *script) step(in Input) []string {
	e := s.core.Step(s.now, in)
	var out []string
	printf := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if e.Subscribe != nil {
		var tasks, updates []string
		for _, t := range e.Subscribe.Subscribe.UnacknowledgedTasks {
			tasks = append(tasks, t.TaskID.Value)
		}
		for _, u := range e.Subscribe.Subscribe.UnacknowledgedUpdates {
			updates = append(updates, fmt.Sprintf("%s#%d", u.Status.TaskID.Value, u.Status.UUID[15]))
			s.remember(&u.Status)
		}
		printf("SUBSCRIBE tasks=%v updates=%v", tasks, updates)
	}
	for _, call := range e.Sends {
		s.remember(&call.Update.Status)
		printf("%s", printUpdate(call))
	}
	for _, run := range e.StopFetches {
		printf("stop fetching %s", s.names[run])
	}
	for _, run := range e.StopChecks {
		printf("stop checking %s", s.names[run])
	}
	for _, run := range e.Kills {
		printf("kill %s", s.names[run])
	}
	for _, p := range e.PreStops {
		what := p.Spec.Command.GetValue()
		if h := p.Spec.HTTP; h != nil {
			what = h.Scheme + h.Path
		}
		printf("pre-stop %s of %s within %s", what, s.names[p.Run], p.Timeout)
	}
	for _, sig := range e.Signals {
		printf("signal %s %s", s.names[sig.Run], signalName(int(sig.Signal)))
	}
	for _, f := range e.Fetches {
		s.name(f.Run, f.Task)
		printf("fetch %s", f.Task.TaskID.Value)
	}
	for _, st := range e.Starts {
		s.name(st.Run, st.Task)
		printf("start %s", st.Task.TaskID.Value)
	}
	for _, k := range e.Checks {
		s.checks[s.names[k.Run]] = k
		printf("%s %s #%d timeout=%s", k.Kind, s.names[k.Run], k.Seq, k.Timeout)
	}
	for _, run := range e.Disks {
		printf("measure the directory of %s", s.names[run])
	}
	out = append(out, s.printTalk(e)...)
	for _, n := range e.Notices {
		if n.Level == Warn && n.Task == "" {
			printf("warning: %s", n.Text)
		}
	}
	if e.End != nil {
		printf("END %q failed=%v", e.End.Reason, e.End.Failed)
	}
	return out
}

func (s *script) name(run Run, task *mesos.TaskInfo) {
	s.names[run] = task.TaskID.Value
	s.runs[task.TaskID.Value] = run
}

// remember keeps the UUID of an update for acknowledge.
func (s *script) remember(status *mesos.TaskStatus) {
	for _, uuid := range s.unacknowledged[status.TaskID.Value] {
		if string(uuid) == string(status.UUID) {
			return // Sent again.
		}
	}
	s.unacknowledged[status.TaskID.Value] = append(s.unacknowledged[status.TaskID.Value], status.UUID)
}

func printUpdate(call *executor.Call) string {
	status := call.Update.Status
	var b strings.Builder
	fmt.Fprintf(&b, "UPDATE %s#%d %s", status.TaskID.Value, status.UUID[15], status.State)
	if status.Reason != nil {
		fmt.Fprintf(&b, " %s", status.Reason)
	}
	if status.Healthy != nil {
		fmt.Fprintf(&b, " healthy=%v", *status.Healthy)
	}
	if k := status.CheckStatus; k != nil {
		switch {
		case k.Command != nil && k.Command.ExitCode != nil:
			fmt.Fprintf(&b, " check=%d", *k.Command.ExitCode)
		case k.HTTP != nil && k.HTTP.StatusCode != nil:
			fmt.Fprintf(&b, " check=%d", *k.HTTP.StatusCode)
		default:
			b.WriteString(" check=?")
		}
	}
	if r := (&tandemv1.TaskReport{}); proto.Unmarshal(status.Data, r) == nil && r.Restarts > 0 {
		fmt.Fprintf(&b, " restarts=%d", r.Restarts)
	}
	if status.Limitation != nil {
		fmt.Fprintf(&b, " limitation=%v", status.Limitation.Resources[0].Scalar.Value)
	}
	if status.Message != nil {
		fmt.Fprintf(&b, " %q", *status.Message)
	}
	return b.String()
}
