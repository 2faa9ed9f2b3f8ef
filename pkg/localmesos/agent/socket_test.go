package agent_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
)

func TestExecutorsUseTheSocketAndTheirTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	f := start(t, func(o *agent.Options) { o.ExecutorDomainSocket, o.ExecutorSecret = path, []byte("secret") })
	f.launch(executorInfo("exec-1", "normal"), task("t1", "finish"), task("t2", "run"))
	f.expect("update t1 TASK_RUNNING")
	f.expectAny("update t1 TASK_FINISHED", "update t2 TASK_RUNNING")
	f.agent.Crash()
	f.expect("disconnected")
	if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o666 {
		t.Errorf("the socket of a dead agent is %v (%v)", info, err)
	}
	if err := f.agent.Recover(); err != nil {
		t.Fatal(err)
	}
	f.expect("reregister")
	f.agent.KillTask(mesos.FrameworkID{Value: frameworkID}, mesos.TaskID{Value: "t2"}, nil)
	f.expect("update t2 TASK_KILLED")
}

func TestSocketHasTheAPIsOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	start(t, func(o *agent.Options) { o.ExecutorDomainSocket = path })
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}
	for where, want := range map[string]string{
		"/api/v1/executor":          "403 403 Forbidden.",
		"/state":                    "403 403 Forbidden.",
		"/slave(1)/api/v1/executor": "400 Expecting 'Content-Type' to be present",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost"+where, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Transport: transport}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if got := response.Status[:4] + string(body); err != nil || got != want {
			t.Errorf("%s: %q (%v), want %q", where, got, err, want)
		}
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	f := start(t, func(o *agent.Options) { o.ExecutorSecret = []byte("secret") })
	f.launch(executorInfo("exec-1", "silent"), task("t1", "run"))
	const (
		realm = `Bearer realm="mesos-agent-executor"`
		// The claims of another container, signed with the secret.
		header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
		claims = "eyJjaWQiOiJ4IiwiZWlkIjoiZXhlYy0xIiwiZmlkIjoiZnJhbWV3b3JrLTEifQ"
	)
	for _, c := range []struct{ authorization, want string }{
		{"", realm},
		{"Bearer", realm + `, error="invalid_token", error_description="Malformed 'Authorization' header"`},
		{"Basic eA==", realm + `, error="invalid_token", error_description="Scheme 'Basic' unsupported"`},
		{"Bearer x.y", realm + `, error="invalid_token", error_description="Invalid JWT: Expected 3 components in token, got 2"`},
		{"Bearer " + header + "." + claims + ".AAAA", realm + `, error="invalid_token", error_description="Invalid JWT: Token signature does not match"`},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.agent.Address()+"/api/v1/executor", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if c.authorization != "" {
			request.Header.Set("Authorization", c.authorization)
		}
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("WWW-Authenticate"); response.StatusCode != http.StatusUnauthorized || got != c.want {
			t.Errorf("%q: %s, %s; want %s", c.authorization, response.Status, got, c.want)
		}
	}
}
