package app

import (
	"crypto/tls"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"15mins": 15 * time.Minute, "2secs": 2 * time.Second, "250ms": 250 * time.Millisecond, "0ns": 0, "1.5hrs": 90 * time.Minute,
		"10us": 10 * time.Microsecond, "2days": 48 * time.Hour, "1weeks": 168 * time.Hour, "99999999999weeks": math.MaxInt64,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: got %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "15", "mins", "15m", "15 mins", "-1secs", "1e3secs", "0x1secs", "NaNsecs", "infsecs", "1_000secs", "1secs2"} {
		if got, err := parseDuration(text); err == nil || !strings.Contains(err.Error(), "is no duration such as 15mins") {
			t.Errorf("%q: got %s (%v)", text, got, err)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	f.Add("15mins")
	f.Add("1e999weeks")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := parseDuration(text); err == nil && d < 0 {
			t.Errorf("%q is negative: %s", text, d)
		}
	})
}

func agentEnvironment(more ...string) []string {
	return append([]string{
		"PATH=/bin", "MESOS_FRAMEWORK_ID=framework-1", "MESOS_EXECUTOR_ID=api.0.1", "MESOS_DIRECTORY=/sandbox", "MESOS_SANDBOX=/sandbox",
		"MESOS_AGENT_ENDPOINT=10.0.0.1:5051", "MESOS_SLAVE_PID=slave(1)@10.0.0.1:5051", "MESOS_CHECKPOINT=1",
		"MESOS_RECOVERY_TIMEOUT=15mins", "MESOS_SUBSCRIPTION_BACKOFF_MAX=2secs", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5secs",
	}, more...)
}

func TestFromEnvironment(t *testing.T) {
	o, err := FromEnvironment(agentEnvironment("MESOS_EXECUTOR_AUTHENTICATION_TOKEN=eyJ.x.y", "LIBPROCESS_SSL_ENABLED=true", "TANDEM_CGROUP=/tandem"))
	if err != nil {
		t.Fatal(err)
	}
	if o.FrameworkID != "framework-1" || o.ExecutorID != "api.0.1" || o.Sandbox != "/sandbox" || o.AgentEndpoint != "10.0.0.1:5051" ||
		o.Token != "eyJ.x.y" || o.Subtree != "/tandem" || !o.Checkpoint || o.RecoveryTimeout != 15*time.Minute || o.Backoff != 2*time.Second || o.ShutdownGrace != 5*time.Second {
		t.Errorf("got %+v", o)
	}
	if o.TLS == nil || !o.TLS.InsecureSkipVerify || o.TLS.ServerName != "10.0.0.1" {
		t.Errorf("TLS: %+v", o.TLS)
	}
	if !slices.Contains(o.TLS.CipherSuites, tls.TLS_RSA_WITH_AES_128_CBC_SHA) {
		t.Error("it could not speak with an agent that takes libprocess's own list of suites")
	}
	verified, err := FromEnvironment(agentEnvironment("LIBPROCESS_SSL_ENABLED=1", "LIBPROCESS_SSL_VERIFY_SERVER_CERT=1"))
	if err != nil || verified.TLS.InsecureSkipVerify {
		t.Errorf("the certificate is not verified (%v)", err)
	}
	// Without checkpointing an agent leaves two variables out.
	plain, err := FromEnvironment([]string{
		"MESOS_FRAMEWORK_ID=f", "MESOS_EXECUTOR_ID=e", "MESOS_DIRECTORY=/d", "MESOS_AGENT_ENDPOINT=10.0.0.1:5051", "MESOS_CHECKPOINT=0",
	})
	if err != nil || plain.Checkpoint || plain.TLS != nil || plain.Sandbox != "/d" || plain.Subtree != "" {
		t.Errorf("got %+v, %v", plain, err)
	}
}

func TestEnvironmentsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		environment []string
		want        []string
	}{
		{[]string{"PATH=/bin", "HOME=/root"}, []string{"started by a Mesos agent, not by hand"}},
		{[]string{"MESOS_FRAMEWORK_ID=f"}, []string{"no MESOS_EXECUTOR_ID", "no MESOS_DIRECTORY", "no MESOS_AGENT_ENDPOINT"}},
		{agentEnvironment("MESOS_RECOVERY_TIMEOUT=15 minutes"), []string{`cannot read MESOS_RECOVERY_TIMEOUT: "15 minutes" is no duration`}},
		{agentEnvironment("MESOS_AGENT_ENDPOINT=10.0.0.1"), []string{"cannot read MESOS_AGENT_ENDPOINT", "missing port"}},
		{agentEnvironment("MESOS_DOMAIN_SOCKET=/run/agent.sock", "MESOS_SLAVE_PID="), []string{"no MESOS_SLAVE_PID"}},
		{agentEnvironment("LIBPROCESS_SSL_ENABLED=1", "LIBPROCESS_SSL_CA_FILE=/no/such/file"), []string{"cannot read LIBPROCESS_SSL_CA_FILE"}},
	} {
		_, err := FromEnvironment(c.environment)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: got %v, want %q", c.environment, err, want)
			}
		}
	}
}

func TestSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"MESOS_EXECUTOR_AUTHENTICATION_TOKEN": true, "LIBPROCESS_SSL_KEY_FILE": true, "PATH": false, "MESOSPHERE": false,
	} {
		if Secret(name) != want {
			t.Errorf("%s: got %v", name, !want)
		}
	}
}
