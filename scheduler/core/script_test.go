package core

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts in testdata give into them, to be looked at before it is committed")

// TestScripts plays each file of testdata. A line that starts with > is an
// input; the lines after it are the effects that it must have; a # begins a
// comment. The inputs are those of script.play.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playScript(t, string(want))
			if got == string(want) {
				return
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s differs (go test -rewrite writes what is given now):\n%s", file, firstDifference(string(want), got))
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	last := ""
	for i := 0; i < len(w) || i < len(g); i++ {
		a, b := "(end)", "(end)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if strings.HasPrefix(a, ">") {
			last = a
		}
		if a != b {
			return fmt.Sprintf("line %d, after %s\nwant %s\n got %s", i+1, last, a, b)
		}
	}
	return ""
}

// script is a core with a store and a master that remembers its last calls.
type script struct {
	t     *testing.T
	core  *Core
	cfg   Config
	now   time.Time
	store map[state.Kind]map[string]proto.Message
	last  map[scheduler.Call_Type]*scheduler.Call
	agent map[string]string // by task
	offer int
	uuid  byte
	id    uint64
	// request goes with the command of the line.
	request *Request
	out     strings.Builder
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testConfig() Config {
	yes := true
	return Config{
		Roles: []string{"prod"},
		Executor: Executor{
			Command: "./tandem-executor",
			URIs:    []mesos.CommandInfo_URI{{Value: "http://10.0.0.1:7071/tandem-executor", Executable: &yes, Cache: &yes}},
		},
		Seed: 1,
	}
}

func playScript(t *testing.T, text string) string {
	s := &script{t: t, cfg: testConfig(), now: epoch, store: map[state.Kind]map[string]proto.Message{},
		last: map[scheduler.Call_Type]*scheduler.Call{}, agent: map[string]string{}}
	if err := s.cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s.core = New(s.cfg, state.Snapshot{})
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, ">"):
			fmt.Fprintln(&s.out, line)
			s.play(strings.Fields(line[1:]))
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&s.out, line)
		}
	}
	return s.out.String()
}

// play carries out one line:
//
//	subscribed [version=V] [suppressed] [gpus]
//	disconnected | tick DURATION | crash [DURATION]
//	program [SHA256]   what executors are from the next crash on
//	submit /JOB TYPE COUNT [option=value...] [workload:name=web,cpus=1...]  (see parseJob)
//	stop /JOB [purge] [version=N]
//	update-job /JOB pause|resume|promote|abort
//	rollback /JOB [to=N]
//	restart /JOB [SLOT...]
//	run /JOB
//	explain /JOB [TYPE COUNT ...]
//	withheld [quota=ROLE,cpus,LIMIT,CONSUMED] [AGENT=WHY]   what the master says when it is asked
//	offers AGENT:cpus=4,mem=1024,disk=1000,ports=31000-31009,rack=r1...
//	update TASK STATE [reason=R] [message=M] [healthy=true] [ready=STATUS] [agent=A] [silent]   (silent: no uuid)
//	secrets [NAME...]
//	reconcile | teardown
//	key KEY COMMAND...   one of the commands, asked for under a key
//	call-failed TYPE [uncertain]     fails the last call of the type
//	failure AGENT [EXECUTOR]
//	and those of script.talk and script.volume
//	drain AGENT [cancel] [deadline=D]
//	inverse ID AGENT START [LENGTH]  an inverse offer, START from now
//	rescind-inverse ID
func (s *script) play(words []string) {
	options := func(from int) map[string]string {
		m := map[string]string{}
		for _, w := range words[min(from, len(words)):] {
			k, v, _ := strings.Cut(w, "=")
			m[k] = v
		}
		return m
	}
	switch words[0] {
	case "key":
		sum := sha256.Sum256([]byte(strings.Join(words[2:], " ")))
		s.request = &Request{Caller: "token:ci", Call: words[2], Key: words[1], SHA256: sum[:]}
		s.play(words[2:])
		s.request = nil
	case "subscribed":
		o := options(1)
		in := Subscribed{FrameworkID: mesos.FrameworkID{Value: "fw"}}
		if version := o["version"]; version != "" {
			in.Master.Version = &version
		}
		_, in.Suppressed = o["suppressed"]
		_, in.GPUs = o["gpus"]
		s.step(in)
	case "disconnected":
		s.step(Disconnected{})
	case "tick":
		s.now = s.now.Add(s.duration(words[1]))
		s.step(Ticked{})
	case "program":
		s.cfg.Executor.SHA256 = strings.Join(words[1:], "")
	case "crash":
		if len(words) > 1 {
			s.now = s.now.Add(s.duration(words[1]))
		}
		s.core = New(s.cfg, s.snapshot())
		s.step(Ticked{})
	case "submit":
		s.id++
		_, force := options(4)["force"]
		s.step(Command{ID: s.id, Submit: &Submit{Job: parseJob(s.t, words[1:]), ExpectedVersion: expected(words), Force: force}})
	case "stop":
		s.id++
		_, purge := options(2)["purge"]
		s.step(Command{ID: s.id, Stop: &Stop{JobID: words[1], Purge: purge, ExpectedVersion: expected(words)}})
	case "update-job", "rollback", "restart", "run":
		s.id++
		s.step(s.steering(words))
	case "explain":
		s.id++
		e := &Explain{JobID: words[1]}
		if len(words) > 2 {
			e = &Explain{Job: parseJob(s.t, words[1:])}
		}
		s.step(Command{ID: s.id, Explain: e})
	case "withheld":
		s.id++
		s.step(Command{ID: s.id, Withheld: parseWithheld(words[1:])})
	case "offers":
		var offers []mesos.Offer
		for _, w := range words[1:] {
			s.offer++
			offers = append(offers, parseOffer(s.t, s.now, fmt.Sprintf("o%d", s.offer), w))
		}
		s.step(Offers{offers})
	case "update":
		status := s.status(words[1], words[2], options(3))
		s.step(Updated{&status})
	case "call-failed":
		call := s.last[scheduler.Call_Type(scheduler.Call_Type_value[words[1]])]
		if call == nil {
			s.t.Fatalf("no call %s was made", words[1])
		}
		_, uncertain := options(2)["uncertain"]
		s.step(CallFailed{Call: call, Reason: "connection reset", Uncertain: uncertain})
	case "offered":
		s.id++
		s.step(Command{ID: s.id, Offers: true})
	case "reconcile", "teardown":
		s.id++
		s.step(Command{ID: s.id, Reconcile: words[0] == "reconcile", Teardown: words[0] == "teardown"})
	case "secrets":
		s.step(SecretsHeld{words[1:]})
	case "drain":
		s.id++
		o := options(2)
		d := &Drain{Agent: words[1]}
		_, d.Cancel = o["cancel"]
		if text := o["deadline"]; text != "" {
			d.Deadline = s.duration(text)
		}
		d.ExpectedVersion = expected(words)
		s.step(Command{ID: s.id, Drain: d})
	case "inverse":
		o := mesos.InverseOffer{
			OfferID: mesos.OfferID{Value: words[1]}, AgentID: &mesos.AgentID{Value: words[2]},
			Unavailability: mesos.Unavailability{Start: mesos.TimeInfo{Nanoseconds: s.now.Add(s.duration(words[3])).UnixNano()}},
		}
		if len(words) > 4 {
			o.Unavailability.Duration = &mesos.DurationInfo{Nanoseconds: int64(s.duration(words[4]))}
		}
		s.step(InverseOffers{Offers: []mesos.InverseOffer{o}})
	case "rescind-inverse":
		s.step(InverseRescinded{OfferID: mesos.OfferID{Value: words[1]}})
	case "failure":
		f := Failed{AgentID: &mesos.AgentID{Value: words[1]}}
		if len(words) > 2 {
			f.ExecutorID = &mesos.ExecutorID{Value: words[2]}
		}
		s.step(f)
	default:
		if !s.volume(words) {
			s.talk(words, options)
		}
	}
}

func (s *script) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *script) steering(words []string) Command {
	c := Command{ID: s.id}
	switch words[0] {
	case "update-job":
		c.Update = &Update{JobID: words[1], Action: map[string]UpdateAction{
			"pause": PauseUpdate, "resume": ResumeUpdate, "promote": PromoteUpdate, "abort": AbortUpdate,
		}[words[2]]}
	case "run":
		c.Run = &Run{JobID: words[1]}
	case "rollback":
		c.Rollback = &Rollback{JobID: words[1]}
		if len(words) > 2 {
			fmt.Sscanf(words[2], "to=%d", &c.Rollback.Version)
		}
	case "restart":
		c.Restart = &Restart{JobID: words[1]}
		for _, w := range words[2:] {
			n, err := strconv.Atoi(w)
			if err != nil {
				s.t.Fatal(err)
			}
			c.Restart.Slots = append(c.Restart.Slots, int32(n))
		}
	}
	return c
}

func expected(words []string) *uint64 {
	for _, w := range words {
		if v, ok := strings.CutPrefix(w, "version="); ok {
			n, _ := strconv.ParseUint(v, 10, 64)
			return &n
		}
	}
	return nil
}

func (s *script) status(task, stateName string, o map[string]string) mesos.TaskStatus {
	st := mesos.TaskState(mesos.TaskState_value["TASK_"+stateName])
	source := mesos.SOURCE_EXECUTOR
	agent := s.agent[task]
	if o["agent"] != "" {
		agent = o["agent"]
	}
	status := mesos.TaskStatus{TaskID: mesos.TaskID{Value: task}, State: &st, AgentID: &mesos.AgentID{Value: agent}}
	if _, silent := o["silent"]; !silent {
		s.uuid++
		status.UUID = []byte{s.uuid}
	} else {
		source = mesos.SOURCE_MASTER
	}
	if o["by"] == "agent" {
		source = mesos.SOURCE_AGENT
	}
	status.Source = &source
	if r, ok := o["reason"]; ok {
		v := mesos.TaskStatus_Reason(mesos.TaskStatus_Reason_value["REASON_"+r])
		if r == drainingReason {
			v = reasonAgentDraining
		}
		status.Reason = &v
	}
	if m, ok := o["message"]; ok {
		m = strings.NewReplacer("_", " ", "¶", "\n").Replace(m)
		status.Message = &m
	}
	if h, ok := o["healthy"]; ok {
		v := h == "true"
		status.Healthy = &v
	}
	if n, err := strconv.ParseUint(o["restarts"], 10, 32); err == nil {
		// The same fields that an executor sends.
		status.Data, _ = proto.Marshal(&tandemv1.TaskReport{Magic: reportMagic, Restarts: uint32(n)})
	}
	if code, ok := o["ready"]; ok { // an HTTP status; none: no answer in time
		status.CheckStatus = &mesos.CheckStatusInfo{Type: mesos.CheckInfo_HTTP.Enum(), HTTP: &mesos.CheckStatusInfo_Http{}}
		if n, err := strconv.ParseUint(code, 10, 32); err == nil {
			number := uint32(n)
			status.CheckStatus.HTTP.StatusCode = &number
		}
	}
	return status
}

// step hands an input to the core and writes down its effects.
func (s *script) step(in Input) {
	if c, ok := in.(Command); ok {
		c.Request = s.request
		in = c
	}
	e := s.core.Step(s.now, in)
	for _, c := range e.Save {
		if s.store[c.Kind] == nil {
			s.store[c.Kind] = map[string]proto.Message{}
		}
		if c.Record == nil {
			delete(s.store[c.Kind], c.Key.String())
		} else {
			s.store[c.Kind][c.Key.String()] = c.Record
		}
	}
	for _, c := range e.Calls {
		s.last[c.Type] = c
		if c.Accept != nil {
			for _, op := range c.Accept.Operations {
				for _, t := range op.GetLaunchGroup().GetTaskGroup().Tasks {
					s.agent[t.TaskID.Value] = t.AgentID.Value
				}
			}
		}
	}
	for _, line := range describe(e, s.now) {
		fmt.Fprintln(&s.out, "  "+line)
		if strings.HasPrefix(line, "UPDATE_FRAMEWORK") {
			for _, g := range s.core.constraints()["prod"] {
				fmt.Fprintln(&s.out, "    only", g)
			}
		}
	}
}

func (s *script) snapshot() state.Snapshot {
	var snap state.Snapshot
	for _, k := range state.Kinds {
		for _, key := range sortedKeys(s.store[k]) {
			snap.Add(s.store[k][key])
		}
	}
	return snap
}
