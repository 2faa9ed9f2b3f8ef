package executorapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

func aCall(of executor.Call_Type) *executor.Call {
	return &executor.Call{
		Type: of, ExecutorID: mesos.ExecutorID{Value: "api.0.1"}, FrameworkID: mesos.FrameworkID{Value: "framework-1"},
	}
}

func client(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func record(t *testing.T, event *executor.Event) []byte {
	t.Helper()
	body, err := event.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return append(fmt.Appendf(nil, "%d\n", len(body)), body...)
}

func TestSubscribeReadsEventsUntilTheEnd(t *testing.T) {
	unknown := &executor.Event{Type: executor.Event_Type(77)}
	killed := &executor.Event{Type: executor.Event_KILL, Kill: &executor.Event_Kill{TaskID: mesos.TaskID{Value: "web"}}}
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var call executor.Call
		if err := call.Unmarshal(body); err != nil || call.Type != executor.Call_SUBSCRIBE {
			t.Errorf("the agent got %v (%v)", call.Type, err)
		}
		want := map[string]string{
			"Content-Type": "application/x-protobuf", "Accept": "application/x-protobuf", "Authorization": "Bearer eyJ.x.y",
		}
		for name, value := range want {
			if got := r.Header.Get(name); got != value {
				t.Errorf("%s: %q, want %q", name, got, value)
			}
		}
		if r.URL.Path != "/api/v1/executor" {
			t.Errorf("path %s", r.URL.Path)
		}
		stream := append(record(t, unknown), record(t, killed)...)
		for _, b := range stream { // As badly split as can be.
			w.Write([]byte{b})
			w.(http.Flusher).Flush()
		}
	}))
	defer agent.Close()

	c := client(t, Options{Endpoint: agent.Listener.Addr().String(), Token: "eyJ.x.y"})
	stream, err := c.Subscribe(t.Context(), aCall(executor.Call_SUBSCRIBE))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for _, want := range []*executor.Event{unknown, killed} {
		if got, err := stream.Next(); err != nil || !got.Equal(want) {
			t.Fatalf("got %v (%v), want %v", got, err, want)
		}
	}
	if _, err := stream.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("got %v, want the end of the stream", err)
	}
}

func TestCloseEndsAWaitingNext(t *testing.T) {
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer agent.Close()
	stream, err := client(t, Options{Endpoint: agent.Listener.Addr().String()}).Subscribe(t.Context(), aCall(executor.Call_SUBSCRIBE))
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() { _, err := stream.Next(); result <- err }()
	stream.Close()
	if err := <-result; err == nil {
		t.Fatal("Next returned an event")
	}
}

func TestRefusalsHaveTheirMeaning(t *testing.T) {
	for _, c := range []struct {
		status int
		text   string
		want   Class
	}{
		{503, "Agent has not finished recovery", Transient},
		{404, "404 Not Found.", Transient},
		{500, "", Transient},
		{400, "Executor cannot be found", Gone},
		{400, "Framework cannot be found", Gone},
		{400, "Failed to validate Executor::Call: Not a valid UUID", Invalid},
		{415, "Expecting 'Content-Type' of application/json or application/x-protobuf", Invalid},
		{401, "401 Unauthorized.", Forbidden},
		{403, "Executor is not subscribed", NotSubscribed},
		{403, "403 Forbidden.", Forbidden},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.text), func(t *testing.T) {
			agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(c.status)
				io.WriteString(w, c.text)
			}))
			defer agent.Close()
			err := client(t, Options{Endpoint: agent.Listener.Addr().String()}).Send(t.Context(), aCall(executor.Call_UPDATE))
			if got := ClassOf(err); err == nil || got != c.want {
				t.Fatalf("class %v of %v, want %v", got, err, c.want)
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("the error does not say what the agent said: %v", err)
			}
		})
	}
}

func TestNobodyThereIsTransient(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, err = client(t, Options{Endpoint: address}).Subscribe(t.Context(), aCall(executor.Call_SUBSCRIBE))
	if err == nil || ClassOf(err) != Transient {
		t.Fatalf("got %v of class %v", err, ClassOf(err))
	}
}

func TestSilentAgentIsGivenUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // Never accepts.
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c := client(t, Options{Endpoint: listener.Addr().String(), AnswerTimeout: 20 * time.Millisecond})
	if err := c.Send(t.Context(), aCall(executor.Call_UPDATE)); err == nil || ClassOf(err) != Transient {
		t.Fatalf("Send: %v", err)
	}
	if _, err := c.Subscribe(t.Context(), aCall(executor.Call_SUBSCRIBE)); err == nil || ClassOf(err) != Transient {
		t.Fatalf("Subscribe: %v", err)
	}
}

func TestDomainSocket(t *testing.T) {
	for name, dir := range map[string]string{
		"short path": t.TempDir(),
		"long path":  filepath.Join(t.TempDir(), strings.Repeat("runtime/", 20)),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			// The kernel takes no long path for listening either.
			t.Chdir(dir)
			listener, err := net.Listen("unix", "agent.sock")
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/slave(1)/api/v1/executor" { // Nothing else works on it.
					w.WriteHeader(http.StatusForbidden)
					return
				}
				w.WriteHeader(http.StatusAccepted)
			})}
			go server.Serve(listener)
			defer server.Close()
			c := client(t, Options{Socket: filepath.Join(dir, "agent.sock"), AgentPID: "slave(1)@127.0.0.1:5051"})
			if err := c.Send(context.Background(), aCall(executor.Call_HEARTBEAT)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	agent := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
	}))
	defer agent.Close()
	agent.Config.ErrorLog = log.New(io.Discard, "", 0)
	known := agent.Client().Transport.(*http.Transport).TLSClientConfig
	for name, c := range map[string]struct {
		config *tls.Config
		ok     bool
	}{
		"a certificate that is known":     {known, true},
		"one that is not":                 {&tls.Config{}, false},
		"one that nobody wants to verify": {&tls.Config{InsecureSkipVerify: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			err := client(t, Options{Endpoint: agent.Listener.Addr().String(), TLS: c.config}).Send(t.Context(), aCall(executor.Call_HEARTBEAT))
			if (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
			if err != nil && ClassOf(err) != Transient {
				t.Errorf("class %v: certificates can be renewed", ClassOf(err))
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]Options{
		"cannot use the agent's endpoint \"\"": {},
		"no libprocess address":                {Socket: "/run/agent.sock", AgentPID: "127.0.0.1"},
		"more than one line":                   {Endpoint: "127.0.0.1:5051", Token: "a\nb"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
