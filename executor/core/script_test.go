package core

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

var update = flag.Bool("update", false, "write what the scripts print now as what they should print")

// TestScripts plays testdata/*.txt. A line that is not indented is a comment
// (#) or an input; the indented lines below an input are the effects it has.
// See script.do for the inputs.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts found (%v)", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("the transcript differs (-want +got):\n%s", diff)
			}
		})
	}
}

func play(t *testing.T, text string) string {
	s := newScript(t)
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(&b, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for _, out := range s.do(line) {
			fmt.Fprintln(&b, "  "+out)
		}
	}
	return b.String()
}

// script plays inputs against one core, and names its runs by their tasks.
type script struct {
	t              *testing.T
	now            time.Time
	start          time.Time
	config         Config
	core           *Core
	uuids          byte
	names          map[Run]string
	runs           map[string]Run
	checks         map[string]Check
	unacknowledged map[string][][]byte // UUIDs, by task
}

func newScript(t *testing.T) *script {
	s := &script{
		t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		names: map[Run]string{}, runs: map[string]Run{}, checks: map[string]Check{}, unacknowledged: map[string][][]byte{},
	}
	s.start = s.now
	s.config = Config{
		ExecutorID:  mesos.ExecutorID{Value: "payments-api.0.1"},
		FrameworkID: mesos.FrameworkID{Value: "framework-1"},
		Checkpoint:  true,
		Linger:      time.Second,
		NewUUID: func() [16]byte {
			s.uuids++
			return [16]byte{6: 0x40, 8: 0x80, 15: s.uuids}
		},
	}
	return s
}

// do plays one input line: a verb, a task where it needs one, and words or
// key=value pairs. An underscore stands for a blank within a value.
func (s *script) do(line string) []string {
	verb, rest, _ := strings.Cut(line, " ")
	words := strings.Fields(rest)
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	options := map[string]string{}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		options[key] = strings.ReplaceAll(value, "_", " ")
	}
	if verb == "config" {
		s.configure(options)
		return nil
	}
	if s.core == nil {
		core, err := New(s.now, s.config)
		if err != nil {
			s.t.Fatal(err)
		}
		s.core = core
	}
	switch verb {
	case "after":
		d, err := time.ParseDuration(rest)
		s.must(line, err)
		return s.pass(d)
	case "subscribe":
		return append(s.step(Subscribing{}), s.step(subscribedWith(words))...)
	case "subscribing":
		return s.step(Subscribing{})
	case "subscribed":
		return s.step(subscribedWith(words))
	case "disconnect":
		return s.step(Disconnected{Reason: rest})
	case "reject":
		return s.step(Rejected{Reason: rest})
	case "shutdown":
		return s.step(Shutdown{Reason: rest})
	case "launch":
		return s.step(Launched{Tasks: s.tasks(rest)})
	case "kill":
		in := KillAsked{TaskID: mesos.TaskID{Value: word(0)}}
		if grace, ok := options["grace"]; ok {
			in.Policy = &mesos.KillPolicy{GracePeriod: nanoseconds(s.t, grace)}
		}
		return s.step(in)
	case "ack":
		return s.acknowledge(word(0))
	case "fetched":
		return s.step(Fetched{Run: s.run(line, word(0)), Err: options["err"]})
	case "started":
		in := Started{Run: s.run(line, word(0)), Err: options["err"]}
		if w := options["warning"]; w != "" {
			in.Warnings = []string{w}
		}
		return s.step(in)
	case "exited":
		return s.step(Exited{Run: s.run(line, word(0)), Exit: s.exit(line, options)})
	case "prestopped":
		// The spec is that of a GET, or of a command where there is a status.
		in := PreStopped{Run: s.run(line, word(0)), Spec: CheckSpec{HTTP: &HTTPCheck{}}, Result: CheckResult{Err: options["err"], Status: 200}}
		if exit := options["exit"]; exit != "" {
			code, err := strconv.Atoi(exit)
			if err != nil {
				s.t.Fatalf("%s: %v", line, err)
			}
			in.Spec, in.Result = CheckSpec{Command: &mesos.CommandInfo{}}, CheckResult{ExitCode: code}
		}
		return s.step(in)
	case "disk":
		used, err := strconv.ParseUint(word(1), 10, 64)
		s.must(line, err)
		return s.step(DiskMeasured{Run: s.run(line, word(0)), Used: used << 20, Err: options["err"]})
	case "checked":
		check, ok := s.checks[word(0)]
		if !ok {
			s.t.Fatalf("%q: no check of %s is under way", line, word(0))
		}
		result := CheckResult{Err: options["err"], Connected: options["tcp"] == "ok", Said: options["said"]}
		result.Status, _ = strconv.Atoi(options["http"])
		result.ExitCode, _ = strconv.Atoi(options["code"])
		return s.step(Checked{Run: check.Run, Kind: check.Kind, Seq: check.Seq, Result: result})
	default:
		return s.talk(line, verb, word, options)
	}
}

func (s *script) configure(options map[string]string) {
	for key, value := range options {
		switch key {
		case "no-checkpoint":
			s.config.Checkpoint = false
		case "starts":
			n, err := strconv.Atoi(value)
			s.must(key, err)
			s.config.Starts = n
		case "linger", "recovery", "grace", "head-start", "quick-start":
			d, err := time.ParseDuration(value)
			s.must(key, err)
			*map[string]*time.Duration{
				"linger": &s.config.Linger, "recovery": &s.config.RecoveryTimeout, "grace": &s.config.ShutdownGrace,
				"head-start": &s.config.HeadStart, "quick-start": &s.config.QuickStart,
			}[key] = d
		default:
			s.t.Fatalf("unknown setting %s", key)
		}
	}
}

// pass lets time go by, and ticks whenever the core asks for it.
func (s *script) pass(d time.Duration) []string {
	var out []string
	end := s.now.Add(d)
	for {
		next, ok := s.core.Next()
		if !ok || next.After(end) {
			break
		}
		if next.After(s.now) {
			s.now = next
		}
		lines := s.step(Ticked{})
		if at, ok := s.core.Next(); ok && !at.After(s.now) && len(lines) == 0 {
			s.t.Fatalf("the core asks for a tick at once, again and again")
		}
		for _, l := range lines {
			out = append(out, fmt.Sprintf("[%s] %s", s.now.Sub(s.start), l))
		}
	}
	s.now = end
	return out
}

// acknowledge acknowledges the oldest update of a task, or everything.
func (s *script) acknowledge(task string) []string {
	var out []string
	for id, uuids := range s.unacknowledged {
		if task != id && task != "all" {
			continue
		}
		if task != "all" {
			uuids = uuids[:1]
		}
		for _, uuid := range uuids {
			s.unacknowledged[id] = s.unacknowledged[id][1:]
			out = append(out, s.step(Acknowledged{UUID: uuid})...)
		}
	}
	return out
}

func (s *script) exit(line string, options map[string]string) Exit {
	number := func(key string) int {
		value, ok := options[key]
		if !ok {
			return 0
		}
		n, err := strconv.Atoi(value)
		s.must(line, err)
		return n
	}
	exit := Exit{Code: number("code"), Signal: number("signal"), Err: options["err"]}
	_, exit.CoreDumped = options["core"]
	if _, ok := options["peak"]; ok {
		exit.Usage = &tandemv1.Usage{
			OomKills:         uint64(number("oom")),
			MemoryPeakBytes:  proto.Uint64(uint64(number("peak")) << 20),
			MemoryLimitBytes: proto.Uint64(uint64(number("limit")) << 20),
			ForksRefused:     uint64(number("refused")),
		}
		if n := number("pids"); n > 0 {
			exit.Usage.PidsLimit = proto.Uint64(uint64(n))
		}
	}
	return exit
}

func (s *script) must(line string, err error) {
	if err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
}

func (s *script) run(line, task string) Run {
	run, ok := s.runs[task]
	if !ok {
		s.t.Fatalf("%q: no fetch or start of %s was asked for", line, task)
	}
	return run
}

func subscribedWith(capabilities []string) Subscribed {
	event := &executor.Event_Subscribed{}
	for _, name := range capabilities {
		value := mesos.FrameworkInfo_Capability_Type(mesos.FrameworkInfo_Capability_Type_value[name])
		event.FrameworkInfo.Capabilities = append(event.FrameworkInfo.Capabilities, mesos.FrameworkInfo_Capability{Type: value})
	}
	return Subscribed{Event: event}
}

func nanoseconds(t *testing.T, text string) *mesos.DurationInfo {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return &mesos.DurationInfo{Nanoseconds: d.Nanoseconds()}
}

// tasks reads descriptions such as "web lifecycle=sidecar grace=5s; db fetch".
func (s *script) tasks(text string) []mesos.TaskInfo {
	var tasks []mesos.TaskInfo
	for description := range strings.SplitSeq(text, ";") {
		words := strings.Fields(description)
		task := mesos.TaskInfo{
			Name: words[0], TaskID: mesos.TaskID{Value: words[0]}, AgentID: mesos.AgentID{Value: "agent-1"},
			Command: &mesos.CommandInfo{Value: proto.String("exec ./" + words[0])},
		}
		var settings *tandemv1.TaskSettings
		set := func() *tandemv1.TaskSettings {
			if settings == nil {
				settings = &tandemv1.TaskSettings{Magic: settingsMagic}
			}
			return settings
		}
		for _, w := range words[1:] {
			key, value, _ := strings.Cut(w, "=")
			switch key {
			case "grace":
				task.KillPolicy = &mesos.KillPolicy{GracePeriod: nanoseconds(s.t, value)}
			case "max":
				task.MaxCompletionTime = nanoseconds(s.t, value)
			case "fetch":
				task.Command.URIs = []mesos.CommandInfo_URI{{Value: "http://files.example/" + words[0] + ".tgz"}}
			case "no-command":
				task.Command = nil
			case "no-value":
				task.Command.Value, task.Command.Shell = nil, proto.Bool(false)
			case "bundle":
				set().OciConfinement = []byte(`{"bundle": "` + value + `"}`)
			case "docker":
				task.Container = &mesos.ContainerInfo{Docker: &mesos.ContainerInfo_DockerInfo{}}
			case "lifecycle":
				set().Lifecycle = tandemv1.Lifecycle(tandemv1.Lifecycle_value["LIFECYCLE_"+strings.ToUpper(value)])
			case "essential":
				set().Essential = true
			case "restart": // attempts/interval/delay/max
				parts := strings.Split(value, "/")
				n, err := strconv.Atoi(parts[0])
				s.must(description, err)
				var d [3]time.Duration
				for i := range d {
					d[i], err = time.ParseDuration(parts[i+1])
					s.must(description, err)
				}
				set().Restart = &tandemv1.WorkloadRestart{
					Attempts: proto.Int32(int32(n)), Factor: 2,
					Interval: durationpb.New(d[0]), Delay: durationpb.New(d[1]), MaxDelay: durationpb.New(d[2]),
				}
			case "restart-finished":
				set().RestartFinished = true
			case "signal":
				set().KillSignal = value
			case "newer": // What a later scheduler could ask for, in which message.
				unknown := protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1)
				in := map[string]proto.Message{"": set(), "restart": &tandemv1.WorkloadRestart{}, "fetch": &tandemv1.Fetch{}}[value]
				in.ProtoReflect().SetUnknown(unknown)
				switch m := in.(type) {
				case *tandemv1.WorkloadRestart:
					settings.Restart = m
				case *tandemv1.Fetch:
					settings.Fetch = []*tandemv1.Fetch{{Uri: "/a"}, m}
				}
			case "disk":
				mib, err := strconv.ParseFloat(value, 64)
				s.must(description, err)
				set().Limits = &tandemv1.Limits{Disk: &mib}
			case "prestop":
				set().PreStopHttp = &tandemv1.HttpCheck{Path: value}
				settings.PreStopPort = 31000
			case "prestop-command":
				set().PreStopCommand = &tandemv1.CommandCheck{Cmd: value}
			case "readiness":
				set().ReadinessCheck = &tandemv1.HealthCheck{
					Kind:  &tandemv1.HealthCheck_Http{Http: &tandemv1.HttpCheck{Path: value}},
					Delay: durationpb.New(500 * time.Millisecond), Interval: durationpb.New(2 * time.Second), Timeout: durationpb.New(time.Second),
				}
				settings.ReadinessPort = 31000
			case "health":
				task.HealthCheck = &mesos.HealthCheck{
					Type: mesos.HealthCheck_HTTP, HTTP: &mesos.HealthCheck_HTTPCheckInfo{Port: 31000, Path: proto.String(value)},
				}
			case "health-command":
				task.HealthCheck = &mesos.HealthCheck{Type: mesos.HealthCheck_COMMAND, Command: &mesos.CommandInfo{Value: &value}}
			case "check":
				task.Check = &mesos.CheckInfo{
					Type:    mesos.CheckInfo_COMMAND,
					Command: &mesos.CheckInfo_Command{Command: mesos.CommandInfo{Value: &value}},
				}
			case "delay", "interval", "timeout", "grace-period":
				d, err := time.ParseDuration(value)
				s.must(description, err)
				number := d.Seconds()
				if h := task.HealthCheck; h != nil {
					*map[string]**float64{
						"delay": &h.DelaySeconds, "interval": &h.IntervalSeconds, "timeout": &h.TimeoutSeconds, "grace-period": &h.GracePeriodSeconds,
					}[key] = &number
				}
			case "failures":
				n, err := strconv.Atoi(value)
				s.must(description, err)
				task.HealthCheck.ConsecutiveFailures = proto.Uint32(uint32(n))
			default:
				s.t.Fatalf("unknown word %q in the task %q", w, description)
			}
		}
		if settings != nil {
			data, err := proto.Marshal(settings)
			s.must(description, err)
			task.Data = data
		}
		tasks = append(tasks, task)
	}
	return tasks
}

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
