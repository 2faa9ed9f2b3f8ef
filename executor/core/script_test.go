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
	"google.golang.org/protobuf/proto"

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
