package convert

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func duration(d time.Duration) *durationpb.Duration { return durationpb.New(d) }

func atLeast(d *durationpb.Duration, least time.Duration) *durationpb.Duration {
	return durationpb.New(max(d.AsDuration(), least))
}

// healthChecks takes an app's first health check. Marathon's own checks (HTTP,
// TCP) become ones of the executor, as MESOS_HTTP and MESOS_TCP are.
func healthChecks(o object, w *tandemv1.Workload) {
	for i, c := range o.objects("healthChecks") {
		if i > 0 {
			c.remark("", "left out: a workload has one health check, which is the first of these")
			continue
		}
		protocol := c.text("protocol")
		check := timing(c)
		port := portName(w, c.whole("portIndex", 0))
		if c.has("port") {
			c.leave("port", "left out: a check asks one of the workload's own ports")
		}
		path := c.text("path")
		switch strings.TrimPrefix(protocol, "MESOS_") {
		case "HTTP", "":
			check.Kind = &tandemv1.HealthCheck_Http{Http: &tandemv1.HttpCheck{Port: port, Path: path}}
		case "HTTPS":
			check.Kind = &tandemv1.HealthCheck_Http{Http: &tandemv1.HttpCheck{Port: port, Path: path, Scheme: "https"}}
		case "TCP":
			check.Kind = &tandemv1.HealthCheck_Tcp{Tcp: &tandemv1.TcpCheck{Port: port}}
		case "COMMAND":
			command := firstPort(c, "command", c.inside("command").text("value"))
			check.Kind = &tandemv1.HealthCheck_Command{Command: &tandemv1.CommandCheck{Cmd: command}}
		default:
			c.remark("protocol", "left out with the check: there is no protocol %q", protocol)
			continue
		}
		c.leave("ignoreHttp1xx", "left out: an answer from 200 to 399 passes")
		c.forget("ipProtocol")
		c.rest()
		w.HealthCheck = check
	}
}

// timing takes the times of a check, with Marathon's defaults.
func timing(c object) *tandemv1.HealthCheck {
	check := &tandemv1.HealthCheck{
		GracePeriod:            c.seconds("gracePeriodSeconds", 300*time.Second),
		Delay:                  c.seconds("delaySeconds", 15*time.Second),
		Interval:               c.seconds("intervalSeconds", 60*time.Second),
		Timeout:                c.seconds("timeoutSeconds", 20*time.Second),
		MaxConsecutiveFailures: c.whole("maxConsecutiveFailures", 3),
	}
	if check.MaxConsecutiveFailures == 0 {
		check.MaxConsecutiveFailures = 1_000_000
		c.remark("maxConsecutiveFailures", "0 never killed the task; so many failures in a row that it does not happen")
	}
	return check
}

func readiness(o object, w *tandemv1.Workload) {
	for i, c := range o.objects("readinessChecks") {
		if i > 0 {
			c.remark("", "left out: a workload has one readiness check, which is the first of these")
			continue
		}
		port := word(c.text("portName"))
		if port == "" {
			port = "http-api"
		}
		if !hasPort(w, port) {
			c.remark("portName", "there is no port %s; the first is asked", port)
			port = portName(w, 0)
		}
		w.ReadinessCheck = &tandemv1.HealthCheck{
			Kind: &tandemv1.HealthCheck_Http{Http: &tandemv1.HttpCheck{
				Port: port, Path: c.text("path"), Scheme: strings.ToLower(c.text("protocol")),
			}},
			Interval: c.seconds("intervalSeconds", 30*time.Second),
			Timeout:  c.seconds("timeoutSeconds", 10*time.Second),
		}
		c.leave("httpStatusCodesForReady", "left out: an answer from 200 to 399 passes")
		c.forget("name", "preserveLastResponse")
		c.rest()
	}
}

// serviceCheck takes mesos-compose's checks, and compose's own.
func serviceCheck(c object, w *tandemv1.Workload) {
	if len(c.keys) == 0 {
		return
	}
	if c.has("test") {
		composeCheck(c, w)
		return
	}
	check := &tandemv1.HealthCheck{
		Delay:                  c.seconds("delay_seconds", 15*time.Second),
		Interval:               c.seconds("interval_seconds", 10*time.Second),
		Timeout:                c.seconds("timeout_seconds", 20*time.Second),
		GracePeriod:            c.seconds("grace_period_seconds", 10*time.Second),
		MaxConsecutiveFailures: max(c.whole("consecutive_failures", 3), 1),
	}
	switch {
	case c.has("command"):
		check.Kind = &tandemv1.HealthCheck_Command{Command: &tandemv1.CommandCheck{Cmd: c.inside("command").text("value")}}
	case c.has("http"):
		h := c.inside("http")
		check.Kind = &tandemv1.HealthCheck_Http{Http: &tandemv1.HttpCheck{
			Path: h.text("path"), Scheme: strings.ToLower(h.text("scheme")), Port: portName(w, 0),
		}}
		h.leave("port", "left out: the first of the workload's ports is asked")
		h.leave("statuses", "left out: an answer from 200 to 399 passes")
		h.rest()
	case c.has("tcp"):
		t := c.inside("tcp")
		check.Kind = &tandemv1.HealthCheck_Tcp{Tcp: &tandemv1.TcpCheck{Port: portName(w, 0)}}
		t.leave("port", "left out: the first of the workload's ports is asked")
		t.rest()
	default:
		c.remark("", "left out: it is none of command, http and tcp")
		return
	}
	c.rest()
	w.HealthCheck = check
}

// composeCheck takes a check as compose has it: ["CMD", program, argument …],
// ["CMD-SHELL", command line], or a command line alone.
func composeCheck(c object, w *tandemv1.Workload) {
	test := c.words("test")
	if len(test) == 0 || test[0] == "NONE" {
		c.forget("interval", "timeout", "start_period", "start_interval", "retries", "disable")
		c.rest()
		return
	}
	cmd := strings.Join(test, " ")
	switch test[0] {
	case "CMD":
		cmd = quoted(test[1:])
	case "CMD-SHELL":
		cmd = strings.Join(test[1:], " ")
	}
	w.HealthCheck = &tandemv1.HealthCheck{
		Kind:                   &tandemv1.HealthCheck_Command{Command: &tandemv1.CommandCheck{Cmd: cmd}},
		GracePeriod:            c.span("start_period", 0),
		Interval:               c.span("interval", 30*time.Second),
		Timeout:                c.span("timeout", 30*time.Second),
		MaxConsecutiveFailures: max(c.whole("retries", 3), 1),
	}
	c.rest()
}
