package core_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	simBreakages = flag.Bool("sim.breakages", false, "hold that the simulation finds each of the breakages")
	breakWorlds  = flag.String("sim.breakages.seeds", "300", "how many worlds each breakage may take to be found")
)

// breakages are mistakes that somebody could make in the core. Each turns one
// piece of text, which must be there once, into another. What only makes up for
// a thing sooner than something else would is none of them.
var breakages = []struct{ name, file, from, to string }{
	{"an attempt is launched before it is saved", "core.go",
		"c.save = append(c.save, state.PutAttempt(a.rec))", "_ = a"},
	{"a status is not acknowledged", "status.go",
		"if len(s.UUID) > 0 && s.AgentID != nil && c.subscribed {", "if false {"},
	{"a status is acknowledged and not taken in", "status.go",
		"c.record(a, i, s)\n\tif s.GetReason()", "if s.GetReason()"},
	{"an attempt's number is used twice", "launch.go",
		"number := in.rec.Attempt + 1", "number := max(1, in.rec.Attempt)"},
	{"the numbers of a purged job are forgotten", "job.go",
		"floor := j.rec.AttemptFloor; c.framework.GetAttemptFloor() < floor", "floor := j.rec.AttemptFloor; false"},
	{"a kill is sent once and never again", "kill.go",
		"a.killAt = c.now.Add(a.grace() + c.retryDelay(a.kills)).UnixNano()", "a.killAt = 0"},
	{"strays are let be", "kill.go",
		"s.fired(c)\n}\n\n// fired sends KILL", "}\n\n// fired sends KILL"},
	{"nobody asks for all tasks", "reconcile.go",
		"c.calls.reconcile = append(c.calls.reconcile, &scheduler.Call{\n\t\tType: scheduler.Call_RECONCILE, Reconcile: &scheduler.Call_Reconcile{},\n\t})", ""},
	{"unused offers are kept", "offers.go",
		"c.decline(unused)", "_ = unused"},
	{"offers are declined for a moment only", "offers.go",
		"seconds := c.jitter(c.cfg.Refuse)", "seconds := c.jitter(c.cfg.Refuse / 100)"},
	{"offers are not revived for new work", "demand.go",
		"case !o.newWork:", "case true:"},
	{"offers are never suppressed", "demand.go",
		"case !c.wantsOffers():", "case false:"},
	{"a volume is given up whatever became of its attempt", "volume.go",
		"if never && v != nil && v.rec.State == creatingVolume && v.rec.Attempt == a.rec.Attempt {", "if v != nil {"},
	{"an instance does not wait for its volume", "demand.go",
		"if c.tie(in, v) {", "if false {"},
	{"a volume that is not there is waited for", "volume_offer.go",
		"	default:\n		c.forgetVolume(v)", "	default:"},
	{"the ID of an operation is used twice", "volume_offer.go",
		"r.Operations++", "r.Operations = 1"},
	{"a volume is left to the role above", "volume_offer.go",
		"return n == 0 || resource.IsSubrole(role, disk.Reservations[n-1].GetRole())", "return n == 0"},
	{"an operation is not acknowledged", "volume_offer.go",
		"if s.UUID != nil && s.OperationID != nil && c.subscribed {", "if false {"},
	{"the attempt on an agent that returns is not ended", "attempt.go",
		`c.kill(a, "replaced while its agent could not be reached")`, ""},
	{"the restart delay is not waited for", "instance.go",
		"if c.now.Before(in.rec.NotBefore.AsTime()) {", "if false {"},
	{"restarts have no bound", "restart.go",
		"switch exhausted := len(r.Failures) > allowed || int(r.Streak) > allowed; {", "switch exhausted := allowed < 0; {"},
	{"what Mesos lost counts as a failure", "restart.go",
		"case wasLost:\n\t\tc.lostOnce(in, a, why)", "case wasLost:\n\t\tc.failedOnce(in, a, why)"},
	{"a line of the log does not name its task", "status.go",
		`c.noticeAttempt(level, a, "%s is %s", t.Workload, text).Task = t.TaskId`, `c.noticeAttempt(level, a, "%s is %s", t.Workload, text)`},
	{"a line of the log does not name its attempt", "restart.go",
		"c.delay(in, backoff, restartDelay(policy, int(r.Streak)), why).about(a)", "_ = c.delay(in, backoff, restartDelay(policy, int(r.Streak)), why)"},
	{"the log says nothing of an instance that is given up", "restart.go",
		`c.noticeAttempt(Warn, a, "failed for good: %s", why)`, ""},
	{"an update replaces all at once", "rollout.go",
		"if j.endless() && !in.short && j.unavailable >= parallel {", "if false && parallel > 0 {"},
	{"minHealthyTime is not waited for", "instance.go",
		"case in.serves || !c.now.Before(in.freshFrom()):", "case true:"},
	{"canaries need no promotion", "rollout.go",
		"case p == canaryUpdate && j.serving >= j.canaries():", "case p == canaryUpdate && j.serving >= j.canaries():\n\t\tc.editUpdate(j).Phase = rollingUpdate"},
	{"a failed update is not gone back from", "rollout.go",
		"c.revert(j, why)\n\t}\n\tc.populate(j)", "}\n\tc.populate(j)"},
	{"an update has no deadline", "rollout.go",
		"c.timers.set(&j.timer, u.Progressed.AsTime().Add(d))", "_ = d"},
	{"readiness is not looked at", "attempt.go",
		"case w.GetReadinessCheck() != nil && !t.GetReady():", "case false:"},
	{"a restart in place goes unnoticed", "attempt.go",
		"case w.GetRestart() != nil && t.Healthy != nil", "case false && t.Healthy != nil"},
	{"a sidecar that is stopped after its mains counts as killed", "restart.go",
		"|| a.dismissed(i) {", "{"},
	{"what runs last is killed for the failure before it", "attempt.go",
		"left = left || a.workload(i).GetLifecycle() != tandemv1.Lifecycle_LIFECYCLE_POSTSTOP", "left = true"},
	{"who joins an executor is taken to have brought the newest program", "upgrade.go",
		"if executor != own {", "if false {"},
	{"what joins an executor describes another", "share.go",
		"return carrier{info: e.info,", "info := e.info\n\t\t\tinfo.Name = &id\n\t\t\treturn carrier{info: info,"},
	{"what a key stands for is forgotten at a restart", "restore.go",
		"c.restoreRequests(saved.Requests)", ""},
	{"the answer to a key is not saved", "request.go",
		"c.save = append(c.save, state.PutRequest(q.rec))\n\t\tif !begun {", "if !begun {"},
	{"a record is changed after it was saved", "core.go",
		"a.rec, a.edited = state.CopyAttempt(a.rec), c.step", "a.edited = c.step"},
	{"a timer that fires is due again at once", "instance.go",
		"func (in *instance) fired(c *Core) { c.settle(in) }", "func (in *instance) fired(c *Core) { c.settle(in); c.timers.set(&in.timer, c.now) }"},
	{"a job is looked at without end", "core.go",
		"c.finishJob(j)\n\t\ti++", "c.finishJob(j)\n\t\tc.touch(j)\n\t\ti++"},
	{"constraints stay when something waits that may go anywhere", "demand.go",
		"if v.waiting.count == 1 {", "if !v.queued {"},
	{"what is uneven stays so", "balance.go",
		"if len(found) > 0 {", "if len(found) > 9 {"},
	{"offers are asked for after a look", "balance.go",
		"		c.offers.looking = slices.DeleteFunc(c.offers.looking, func(o *job) bool { return o == j })\n", ""},
	{"a run of a cron job is made twice", "cron.go",
		"r.Last = timestamppb.New(latest)", "_ = r"},
}

// TestBreakages holds that the simulation is worth its time: with each of the
// breakages some world fails. It builds the tests anew for each, and so runs only
// when it is asked to; that every breakage can still be made is always tested.
func TestBreakages(t *testing.T) {
	for _, b := range breakages {
		t.Run(strings.ReplaceAll(b.name, " ", "-"), func(t *testing.T) {
			source, err := os.ReadFile(b.file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), b.from); n != 1 {
				t.Fatalf("%s has %d times, and not once:\n%s", b.file, n, b.from)
			}
			if *simBreakages {
				isFound(t, b.file, strings.Replace(string(source), b.from, b.to, 1))
			}
		})
	}
	if !*simBreakages {
		t.Skip("only the table was looked at; make sim-breakages has each breakage found")
	}
}

var foundBy = regexp.MustCompile(`seed \d+[^\n]*`)

// isFound builds the simulation with one file replaced, and expects it to fail.
func isFound(t *testing.T, file, text string) {
	broken := filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: broken}})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlayFile, ".", "-run", "TestSimulation$", "-count", "1",
		"-sim.fast", "-sim.seeds", *breakWorlds).CombinedOutput()
	switch found := foundBy.Find(out); {
	case err == nil:
		t.Error("no world has failed")
	case found == nil:
		t.Fatalf("it cannot be built: %s", out)
	default:
		t.Logf("%s", found)
	}
}
