package core

import (
	"cmp"
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// checker times one check of a task: the first after the delay, each further
// one an interval after the end of the one before. While the agent is away it
// pauses; what ends meanwhile does not count, and when the agent is back the
// next check follows at once. These are the semantics of Mesos's own executors.
type checker struct {
	kind CheckKind
	spec CheckSpec

	delay, interval, timeout time.Duration

	// next is when the next check begins; zero while one is under way or the
	// checker is paused.
	next time.Time
	// seq numbers the checks, so that the answer of one that was stopped is
	// known for what it is.
	seq      uint64
	underWay bool

	// Of health checks only. Failures do not count within grace of began,
	// until the first success.
	grace       time.Duration
	began       time.Time
	passed      bool
	failures    uint32
	maxFailures uint32
}

// beginChecks sets up the checks of a task that has just been started.
func (c *Core) beginChecks(t *task) {
	if h := t.info.HealthCheck; h != nil {
		spec, _ := healthSpec(h)
		t.checkers = append(t.checkers, &checker{
			kind:        Health,
			spec:        spec,
			delay:       seconds(h.GetDelaySeconds()),
			interval:    seconds(h.GetIntervalSeconds()),
			timeout:     seconds(h.GetTimeoutSeconds()),
			grace:       seconds(h.GetGracePeriodSeconds()),
			began:       c.now,
			maxFailures: h.GetConsecutiveFailures(),
		})
	}
	if k := t.info.Check; k != nil {
		t.checkers = append(t.checkers, &checker{
			kind:     Status,
			spec:     t.readiness(),
			delay:    seconds(k.GetDelaySeconds()),
			interval: seconds(k.GetIntervalSeconds()),
			timeout:  seconds(k.GetTimeoutSeconds()),
		})
	} else if r := t.settings.GetReadinessCheck(); r != nil {
		t.checkers = append(t.checkers, &checker{
			kind:     Status,
			spec:     t.readiness(),
			delay:    r.GetDelay().AsDuration(),
			interval: r.GetInterval().AsDuration(),
			timeout:  r.GetTimeout().AsDuration(),
		})
	}
	for _, k := range t.checkers {
		if k.kind == Status {
			t.checkStatus = k.spec.emptyStatus()
		}
		if c.connected && !c.holding() {
			k.next = c.now.Add(k.delay)
		}
	}
}

// runChecks begins those checks that are due.
func (c *Core) runChecks(t *task) {
	for _, k := range t.checkers {
		if !due(k.next, c.now) {
			continue
		}
		k.next, k.underWay = time.Time{}, true
		k.seq++
		c.out.Checks = append(c.out.Checks, Check{Run: t.run, Kind: k.kind, Seq: k.seq, Spec: k.spec, Timeout: k.timeout})
	}
}

func (c *Core) pauseChecks(t *task) {
	for _, k := range t.checkers {
		k.next = time.Time{}
		if k.underWay {
			k.underWay = false
			c.stopCheck(t)
		}
	}
}

// stopCheck asks once a Step for the end of a task's checks.
func (c *Core) stopCheck(t *task) {
	if n := len(c.out.StopChecks); n == 0 || c.out.StopChecks[n-1] != t.run {
		c.out.StopChecks = append(c.out.StopChecks, t.run)
	}
}

func (t *task) resumeChecks(now time.Time) {
	for _, k := range t.checkers {
		if !k.underWay && k.next.IsZero() {
			k.next = now
		}
	}
}

// stopChecks ends the checking of a task for good.
func (c *Core) stopChecks(t *task) {
	c.pauseChecks(t)
	t.checkers = nil
}

func (c *Core) checked(in Checked) {
	t := c.runs[in.Run]
	if t == nil {
		return
	}
	for _, k := range t.checkers {
		if k.kind != in.Kind || !k.underWay || k.seq != in.Seq {
			continue
		}
		k.underWay = false
		k.next = c.now.Add(k.interval)
		switch k.kind {
		case Health:
			c.healthChecked(t, k, in.Result)
		case Status:
			c.statusChecked(t, k, in.Result)
		}
		c.arm(t)
		return
	}
}

// healthChecked reports every failure, and the first success after none or
// after failures; it kills after too many failures in a row.
func (c *Core) healthChecked(t *task, k *checker, result CheckResult) {
	failure := result.failure(k.spec)
	if failure == "" {
		if !k.passed || k.failures > 0 {
			c.reportHealth(t, true, "")
			c.note(Info, t, "healthy")
		}
		k.passed, k.failures = true, 0
		return
	}
	if !k.passed && k.grace > 0 && c.now.Sub(k.began) <= k.grace {
		c.note(Info, t, "health check failed within its grace period: %s", failure)
		return
	}
	k.failures++
	times := "once"
	if k.failures > 1 {
		times = fmt.Sprintf("%d times in a row", k.failures)
	}
	text := fmt.Sprintf("Health check failed %s: %s", times, failure)
	c.note(Warn, t, "%s", text)
	c.reportHealth(t, false, text)
	if k.failures >= k.maxFailures {
		c.kill(t, byHealth, fmt.Sprintf("killed because its health check failed %s, the last time with: %s", times, failure), t.grace())
	}
}

func (c *Core) reportHealth(t *task, healthy bool, message string) {
	t.healthy = &healthy
	status := mesos.TaskStatus{
		State:  mesos.TASK_RUNNING.Enum(),
		Reason: mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED.Enum(),
	}
	if message != "" {
		status.Message = &message
	}
	c.report(t, status)
}

// statusChecked reports what a check found when it differs from the last
// report.
func (c *Core) statusChecked(t *task, k *checker, result CheckResult) {
	found := result.status(k.spec)
	if failure := result.failure(k.spec); failure != "" {
		c.note(Info, t, "check failed: %s", failure)
	}
	if found.Equal(t.checkStatus) {
		return
	}
	t.checkStatus = found
	c.report(t, mesos.TaskStatus{
		State:  mesos.TASK_RUNNING.Enum(),
		Reason: mesos.REASON_TASK_CHECK_STATUS_UPDATED.Enum(),
	})
}

// failure says in what way a result is not that of a healthy task, or returns
// nothing.
func (r CheckResult) failure(spec CheckSpec) string {
	failure := r.fault(spec)
	if failure != "" && r.Said != "" {
		failure += ", its output ends: " + r.Said
	}
	return failure
}

func (r CheckResult) fault(spec CheckSpec) string {
	switch {
	case r.Err != "":
		return r.Err
	case spec.Command != nil && r.ExitCode != 0:
		return fmt.Sprintf("command exited with status %d", r.ExitCode)
	case spec.HTTP != nil && (r.Status < 200 || r.Status >= 400):
		return fmt.Sprintf("HTTP status %d", r.Status)
	case spec.TCP != nil && !r.Connected:
		return "no TCP connection"
	default:
		return ""
	}
}

// readiness returns what the task's check does that is not for its health.
func (t *task) readiness() CheckSpec {
	if k := t.info.Check; k != nil {
		spec, _ := statusSpec(k)
		return spec
	}
	return readinessSpec(t.settings.GetReadinessCheck(), t.settings.GetReadinessPort())
}

// emptyStatus is what TaskStatus.check_status says before there is a result.
func (s CheckSpec) emptyStatus() *mesos.CheckStatusInfo {
	switch {
	case s.Command != nil:
		return &mesos.CheckStatusInfo{Type: mesos.CheckInfo_COMMAND.Enum(), Command: &mesos.CheckStatusInfo_Command{}}
	case s.HTTP != nil:
		return &mesos.CheckStatusInfo{Type: mesos.CheckInfo_HTTP.Enum(), HTTP: &mesos.CheckStatusInfo_Http{}}
	default:
		return &mesos.CheckStatusInfo{Type: mesos.CheckInfo_TCP.Enum(), TCP: &mesos.CheckStatusInfo_Tcp{}}
	}
}

func (r CheckResult) status(spec CheckSpec) *mesos.CheckStatusInfo {
	status := spec.emptyStatus()
	if r.Err != "" {
		return status
	}
	switch {
	case status.Command != nil:
		code := int32(r.ExitCode)
		status.Command.ExitCode = &code
	case status.HTTP != nil:
		code := uint32(r.Status)
		status.HTTP.StatusCode = &code
	default:
		status.TCP.Succeeded = &r.Connected
	}
	return status
}

// healthSpec and statusSpec return false where a check does not say what its own
// type takes. A type is all that counts: what is there for others does not.
func healthSpec(h *mesos.HealthCheck) (CheckSpec, bool) {
	switch {
	case h.Type == mesos.HealthCheck_HTTP && h.HTTP != nil:
		return CheckSpec{HTTP: &HTTPCheck{
			Scheme: cmp.Or(h.HTTP.GetScheme(), "http"), Port: h.HTTP.Port, Path: h.HTTP.GetPath(), IPv6: h.HTTP.GetProtocol() == mesos.IPv6,
		}}, true
	case h.Type == mesos.HealthCheck_TCP && h.TCP != nil:
		return CheckSpec{TCP: &TCPCheck{Port: h.TCP.Port, IPv6: h.TCP.GetProtocol() == mesos.IPv6}}, true
	default:
		return CheckSpec{Command: h.Command}, h.Type == mesos.HealthCheck_COMMAND && h.Command.GetValue() != ""
	}
}

func statusSpec(k *mesos.CheckInfo) (CheckSpec, bool) {
	switch {
	case k.Type == mesos.CheckInfo_HTTP && k.HTTP != nil:
		return CheckSpec{HTTP: &HTTPCheck{Scheme: "http", Port: k.HTTP.Port, Path: k.HTTP.GetPath()}}, true
	case k.Type == mesos.CheckInfo_TCP && k.TCP != nil:
		return CheckSpec{TCP: &TCPCheck{Port: k.TCP.Port}}, true
	case k.Type == mesos.CheckInfo_COMMAND && k.Command != nil:
		return CheckSpec{Command: &k.Command.Command}, k.Command.Command.GetValue() != ""
	default:
		return CheckSpec{}, false
	}
}

func readinessSpec(r *tandemv1.HealthCheck, port int32) CheckSpec {
	switch kind := r.GetKind().(type) {
	case *tandemv1.HealthCheck_Http:
		return httpSpec(kind.Http, port)
	case *tandemv1.HealthCheck_Command:
		return CheckSpec{Command: &mesos.CommandInfo{Value: &kind.Command.Cmd}}
	default:
		return CheckSpec{TCP: &TCPCheck{Port: uint32(port)}}
	}
}

// httpSpec reads an HTTP check of TaskSettings, whose port has been resolved.
func httpSpec(k *tandemv1.HttpCheck, port int32) CheckSpec {
	return CheckSpec{HTTP: &HTTPCheck{Scheme: cmp.Or(k.GetScheme(), "http"), Port: uint32(port), Path: k.GetPath()}}
}

// seconds reads a duration as Mesos's messages hold it. A master lets no
// negative ones through; what is no time at all is none here, and more than a
// century is one.
func seconds(s float64) time.Duration {
	const century = 100 * 365 * 24 * 3600
	if !(s > 0) {
		return 0
	}
	return time.Duration(min(s, century) * float64(time.Second))
}
