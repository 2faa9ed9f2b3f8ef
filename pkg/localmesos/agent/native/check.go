package native

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// checker repeats a check of a task; the time between two begins with the end of
// the first (src/checks/checker_process.cpp).
type checker struct {
	base     *base
	of       Running
	what     Check
	name     string
	task     string
	interval time.Duration
	paused   bool
	stop     func()
	// result takes what a check found.
	result func(n int, err error)
}

// startChecks starts what the task asks for. The functions hear of changes: one
// of a check's status, the other whether the task is healthy, and whether it has
// been ill too often.
func startChecks(b *base, t *mesos.TaskInfo, of Running, checked func(*mesos.CheckStatusInfo), health func(healthy, kill bool)) []*checker {
	var all []*checker
	if c := t.Check; c != nil {
		k := &checker{
			base: b, of: of, task: t.TaskID.Value, what: checkOf(c), name: c.Type.String() + " check",
			interval: secondsOr(c.IntervalSeconds, 10),
		}
		k.what.Timeout = secondsOr(c.TimeoutSeconds, 20)
		k.reportStatus(c.Type, checked)
		k.schedule(secondsOr(c.DelaySeconds, 15))
		all = append(all, k)
	}
	if h := t.HealthCheck; h != nil {
		k := &checker{
			base: b, of: of, task: t.TaskID.Value, what: healthCheckOf(h), name: h.Type.String() + " health check",
			interval: secondsOr(h.IntervalSeconds, 10),
		}
		k.what.Timeout = secondsOr(h.TimeoutSeconds, 20)
		k.reportHealth(h, health)
		k.schedule(secondsOr(h.DelaySeconds, 15))
		all = append(all, k)
	}
	return all
}

func secondsOr(v *float64, usual float64) time.Duration {
	if v != nil {
		usual = *v
	}
	return time.Duration(usual * float64(time.Second))
}

func checkOf(c *mesos.CheckInfo) Check {
	switch {
	case c.Command != nil:
		return Check{Command: &c.Command.Command}
	case c.HTTP != nil:
		return Check{URL: checkURL("http", loopback, c.HTTP.Port, c.HTTP.GetPath())}
	case c.TCP != nil:
		return Check{Address: net.JoinHostPort(loopback, strconv.FormatUint(uint64(c.TCP.Port), 10))}
	default:
		return Check{}
	}
}

func healthCheckOf(h *mesos.HealthCheck) Check {
	switch {
	case h.Type == mesos.HealthCheck_COMMAND && h.Command != nil:
		return Check{Command: h.Command}
	case h.HTTP != nil:
		scheme := h.HTTP.GetScheme()
		if scheme == "" {
			scheme = "http"
		}
		return Check{URL: checkURL(scheme, loopbackOf(h.HTTP.GetProtocol()), h.HTTP.Port, h.HTTP.GetPath())}
	case h.TCP != nil:
		return Check{Address: net.JoinHostPort(loopbackOf(h.TCP.GetProtocol()), strconv.FormatUint(uint64(h.TCP.Port), 10))}
	default:
		return Check{}
	}
}

const loopback = "127.0.0.1"

func loopbackOf(p mesos.NetworkInfo_Protocol) string {
	if p == mesos.IPv6 {
		return "::1"
	}
	return loopback
}

func checkURL(scheme, host string, port uint32, path string) string {
	return scheme + "://" + net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10)) + path
}

func (k *checker) schedule(d time.Duration) { k.stop = k.base.later(d, k.perform) }

func (k *checker) perform() {
	if k.paused {
		return
	}
	c := k.what
	c.Of = k.of
	c.Done = func(n int, err error) {
		if k.base.gone {
			return
		}
		if k.paused {
			k.base.log("checker_process.cpp:433", "Ignoring %s result for task '%s': checking is paused", k.name, k.task)
			return
		}
		if err == nil {
			k.base.log("checker_process.cpp:985", "%s for task '%s' returned: %d", k.name, k.task, n)
		}
		k.result(n, err)
		if !k.paused {
			k.schedule(k.interval)
		}
	}
	k.base.world.Check(c)
}

func pauseAll(all []*checker) {
	for _, k := range all {
		k.paused = true
		k.stop()
	}
}

func resumeAll(all []*checker) {
	for _, k := range all {
		if k.paused {
			k.paused = false
			k.schedule(0)
		}
	}
}

// reportStatus reports a check's status when it changes.
func (k *checker) reportStatus(t mesos.CheckInfo_Type, report func(*mesos.CheckStatusInfo)) {
	before := noCheckStatus(t)
	k.result = func(n int, err error) {
		now := noCheckStatus(t)
		switch {
		case err != nil:
			k.base.warn("checker.cpp:174", "%s for task '%s' failed: %v", k.name, k.task, err)
		case t == mesos.CheckInfo_COMMAND:
			code := int32(n)
			now.Command.ExitCode = &code
		case t == mesos.CheckInfo_HTTP:
			code := uint32(n)
			now.HTTP.StatusCode = &code
		case t == mesos.CheckInfo_TCP:
			now.TCP.Succeeded = new(n == 0)
		}
		if !now.Equal(before) {
			before = now
			report(now)
		}
	}
}

// noCheckStatus is the status of a check that has none yet.
func noCheckStatus(t mesos.CheckInfo_Type) *mesos.CheckStatusInfo {
	s := &mesos.CheckStatusInfo{Type: &t}
	switch t {
	case mesos.CheckInfo_COMMAND:
		s.Command = &mesos.CheckStatusInfo_Command{}
	case mesos.CheckInfo_HTTP:
		s.HTTP = &mesos.CheckStatusInfo_Http{}
	case mesos.CheckInfo_TCP:
		s.TCP = &mesos.CheckStatusInfo_Tcp{}
	}
	return s
}

// describe is a check's status as it is logged.
func describe(s *mesos.CheckStatusInfo) string {
	text := s.GetType().String()
	switch {
	case s.Command != nil && s.Command.ExitCode != nil:
		text += fmt.Sprintf(" exit code %d", *s.Command.ExitCode)
	case s.HTTP != nil && s.HTTP.StatusCode != nil:
		text += fmt.Sprintf(" status code %d", *s.HTTP.StatusCode)
	case s.TCP != nil && s.TCP.Succeeded != nil && *s.TCP.Succeeded:
		text += " connection success"
	case s.TCP != nil && s.TCP.Succeeded != nil:
		text += " connection failure"
	}
	return text
}

// reportHealth reports the first success, the first after failures, and every
// failure after the grace period (src/checks/health_checker.cpp).
func (k *checker) reportHealth(h *mesos.HealthCheck, report func(healthy, kill bool)) {
	grace, most := secondsOr(h.GracePeriodSeconds, 10), uint32(3)
	if h.ConsecutiveFailures != nil {
		most = *h.ConsecutiveFailures
	}
	start, failures, initializing := k.base.world.Now(), uint32(0), true
	k.result = func(n int, err error) {
		if err = ill(h.Type, n, err); err == nil {
			if initializing || failures > 0 {
				report(true, false)
			}
			initializing, failures = false, 0
			return
		}
		k.base.warn("health_checker.cpp:283", "%s for task '%s' failed: %v", k.name, k.task, err)
		if initializing && grace > 0 && k.base.world.Now().Sub(start) <= grace {
			k.base.log("health_checker.cpp:297", "Ignoring failure of %s for task '%s': still in grace period", k.name, k.task)
			return
		}
		failures++
		k.base.warn("health_checker.cpp:305", "%s for task '%s' failed %d times consecutively", k.name, k.task, failures)
		report(false, failures >= most)
	}
}

// ill says why the result of a health check is a failure, if it is one.
func ill(t mesos.HealthCheck_Type, n int, err error) error {
	switch {
	case err != nil:
		return err
	case t == mesos.HealthCheck_COMMAND && n != 0:
		return fmt.Errorf("command exited with status %d", n)
	case t == mesos.HealthCheck_HTTP && (n < http.StatusOK || n >= http.StatusBadRequest):
		return fmt.Errorf("unexpected HTTP response code: %d %s", n, http.StatusText(n))
	case t == mesos.HealthCheck_TCP && n != 0:
		return errors.New("TCP connection failed")
	default:
		return nil
	}
}
