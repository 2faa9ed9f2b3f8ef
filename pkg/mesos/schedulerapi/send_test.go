package schedulerapi_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
)

func TestCallsArriveInOrderOverOneConnection(t *testing.T) {
	m := &master{Stay: true, Call: func(n int, _ *scheduler.Call) (int, string) {
		if n%100 == 7 {
			return 400, "Failed to validate scheduler::Call: Expecting 'kill' to be present"
		}
		return 202, ""
	}}
	from := map[string]bool{}
	m.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		from[r.RemoteAddr] = true
		return false
	}
	addr := start(t, m)
	s := subscribe(t, client(t, schedulerapi.Options{}, addr))
	sent := kills(5000)
	for i, err := range s.Send(context.Background(), sent) {
		if i%100 == 7 {
			wantError(t, err, schedulerapi.Refused, "the master at "+addr+" refuses the call (400): Failed to validate scheduler::Call: Expecting 'kill' to be present")
		} else if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	got, _ := m.seen()
	for i := range sent {
		if !got[i].Equal(sent[i]) {
			t.Fatalf("call %d arrived as %v", i, got[i])
		}
	}
	if len(from) != 2 {
		t.Errorf("%d connections, want one for the events and one for the calls", len(from))
	}
}

// TestConstraints: offer constraints are part of the message that mesos-go knows
// without them, and of no other call.
func TestConstraints(t *testing.T) {
	m := &master{Stay: true}
	var bodies [][]byte
	m.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		bodies = append(bodies, b)
		r.Body = io.NopCloser(bytes.NewReader(b))
		return false
	}
	s := subscribe(t, client(t, schedulerapi.Options{}, start(t, m)))
	update := &scheduler.Call{Type: scheduler.Call_UPDATE_FRAMEWORK, UpdateFramework: &scheduler.Call_UpdateFramework{
		FrameworkInfo: mesos.FrameworkInfo{User: "root", Name: "tandem"}, SuppressedRoles: []string{"web"},
	}}
	s.Constrain([]byte("constraints"))
	for _, err := range s.Send(context.Background(), []*scheduler.Call{update, kills(1)[0]}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Constrain(nil)
	s.Send(context.Background(), []*scheduler.Call{update})
	got, _ := m.seen()
	if len(got) != 3 || !got[0].Equal(update) || !got[1].Equal(kills(1)[0]) || !got[2].Equal(update) {
		t.Fatalf("the calls arrive as %v", got)
	}
	for i, want := range []bool{true, false, false} {
		plain, err := got[i].Marshal()
		if err != nil {
			t.Fatal(err)
		}
		// Field 3 of the message.
		if has := bytes.Contains(bodies[1+i], []byte("\x1a\x0bconstraints")); has != want || !want && !bytes.Equal(bodies[1+i], plain) {
			t.Errorf("call %d arrives as %q", i, bodies[1+i])
		}
	}
}

func TestALargeCallThatIsEchoed(t *testing.T) {
	m := &master{Stay: true, Call: func(n int, c *scheduler.Call) (int, string) {
		if n == 0 {
			return 400, "Failed to parse: " + string(c.Message.Data)
		}
		return 202, ""
	}}
	s := subscribe(t, client(t, schedulerapi.Options{}, start(t, m)))
	large := &scheduler.Call{Type: scheduler.Call_MESSAGE, Message: &scheduler.Call_Message{
		AgentID: mesos.AgentID{Value: "S0"}, ExecutorID: mesos.ExecutorID{Value: "e"}, Data: make([]byte, 20<<20),
	}}
	errs := s.Send(context.Background(), append([]*scheduler.Call{large}, kills(1)...))
	if errs[0] == nil || len(errs[0].Error()) > 5000 || errs[1] != nil {
		t.Errorf("got %d bytes of error and %v, want a short error and none", len(errs[0].Error()), errs[1])
	}
}

func TestACallThatCannotBeEncoded(t *testing.T) {
	s := subscribe(t, client(t, schedulerapi.Options{}, start(t, &master{Stay: true})))
	// A required message is missing.
	bad := &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, Subscribe: &scheduler.Call_Subscribe{}}
	errs := s.Send(context.Background(), []*scheduler.Call{bad, kills(1)[0]})
	var e *schedulerapi.Error
	if !errors.As(errs[0], &e) || e.Kind != schedulerapi.Refused || errs[1] != nil {
		t.Errorf("got %v, want only the first refused", errs)
	}
}

// TestAMasterThatDiesAmongCalls: what was answered is certain, what may have
// been read is not.
func TestAMasterThatDiesAmongCalls(t *testing.T) {
	addr := start(t, &master{Stay: true, Call: func(n int, _ *scheduler.Call) (int, string) {
		if n == 2 {
			panic(http.ErrAbortHandler)
		}
		return 202, ""
	}})
	s := subscribe(t, client(t, schedulerapi.Options{}, addr))
	for i, err := range s.Send(context.Background(), kills(5)) {
		if i < 2 {
			if err != nil {
				t.Errorf("call %d: %v", i, err)
			}
			continue
		}
		wantError(t, err, schedulerapi.Uncertain, "lost the connection to the master at "+addr+" before it answered: the connection was closed")
	}
	if errs := s.Send(context.Background(), kills(1)); errs[0] != nil {
		t.Errorf("the next call: %v, want a new connection", errs[0])
	}
}

func TestAMasterThatIsGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: &master{Stay: true}}
	go server.Serve(l)
	s := subscribe(t, client(t, schedulerapi.Options{}, l.Addr().String()))
	server.Close()
	errs := s.Send(context.Background(), kills(2))
	for _, err := range errs {
		wantError(t, err, schedulerapi.Unavailable, "cannot reach the master at "+l.Addr().String()+": connection refused")
	}
}

// TestAnIdleConnectionThatTheMasterCloses must not make the next call uncertain.
func TestAnIdleConnectionThatTheMasterCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		server := &http.Server{Handler: &master{Stay: true}, IdleTimeout: time.Minute}
		go server.Serve(network)
		defer server.Close()
		s := subscribe(t, client(t, schedulerapi.Options{Dial: network.dial}, "master.example:5050"))
		defer s.Close()
		for range 3 {
			if errs := s.Send(context.Background(), kills(1)); errs[0] != nil {
				t.Error(errs[0])
			}
			time.Sleep(2 * time.Minute)
		}
	})
}

func TestSendEndsWithItsContext(t *testing.T) {
	reached, release := make(chan struct{}), make(chan struct{})
	addr := start(t, &master{Stay: true, Call: func(n int, _ *scheduler.Call) (int, string) {
		if n == 0 {
			close(reached)
		}
		<-release
		return 202, ""
	}})
	defer close(release)
	s := subscribe(t, client(t, schedulerapi.Options{}, addr))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-reached
		cancel()
	}()
	for _, err := range s.Send(ctx, kills(2)) {
		var e *schedulerapi.Error
		if !errors.As(err, &e) || e.Kind != schedulerapi.Uncertain || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want uncertain and the context's error", err)
		}
	}
}

func TestSendAfterClose(t *testing.T) {
	addr := start(t, &master{Stay: true})
	s := subscribe(t, client(t, schedulerapi.Options{}, addr))
	s.Close()
	s.Close()
	errs := s.Send(context.Background(), kills(1))
	wantError(t, errs[0], schedulerapi.Unavailable, "cannot reach the master at "+addr+": the subscription was closed")
	if _, err := s.Next(); err == nil {
		t.Error("an event after Close")
	}
}

// TestAMasterThatHasForgotten: answers to calls can show that a subscription is
// over before its stream does.
func TestAMasterThatHasForgotten(t *testing.T) {
	for _, c := range []struct {
		status int
		text   string
		over   bool
	}{
		{403, "Framework is not subscribed", true},
		{400, "Framework cannot be found", true},
		{400, "The stream ID 'a' included in this request didn't match the stream ID currently associated with framework ID f", true},
		{503, "Master has not finished recovery", true},
		{307, "", true},
		{400, "Failed to validate scheduler::Call: Expecting 'kill' to be present", false},
		{403, "Not authorized to register framework  with roles { a }", false},
		{202, "", false},
	} {
		var answered atomic.Bool
		release := make(chan struct{})
		m := &master{Stay: true, Call: func(int, *scheduler.Call) (int, string) {
			answered.Store(true)
			return c.status, c.text
		}}
		addr := start(t, m)
		s := subscribe(t, client(t, schedulerapi.Options{}, addr))
		s.Send(context.Background(), kills(1))
		ended := make(chan error, 1)
		go func() {
			_, err := s.Next()
			ended <- err
			close(release)
		}()
		if !c.over {
			// It ends only because it is closed here.
			s.Close()
		}
		err := <-ended
		<-release
		if over := err != nil && strings.Contains(err.Error(), "the master knows it no more"); over != c.over || !answered.Load() {
			t.Errorf("%d %q: the subscription ended with %v; want it over: %v", c.status, c.text, err, c.over)
		}
	}
}

// TestWritingDoesNotWaitForAnswers holds against a deadlock: a master that reads
// no more until its answers are read.
func TestWritingDoesNotWaitForAnswers(t *testing.T) {
	const n = 20000
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		events, _ := l.Accept()
		http.ReadRequest(bufio.NewReader(events))
		io.WriteString(events, "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nMesos-Stream-Id: s\r\nContent-Length: 1000\r\n\r\n")
		calls, _ := l.Accept()
		in := bufio.NewReader(calls)
		for range n {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			io.WriteString(calls, "HTTP/1.1 202 Accepted\r\nDate: Mon, 23 Nov 2026 05:57:15 GMT\r\nContent-Length: 0\r\n\r\n")
		}
	}()
	s := subscribe(t, client(t, schedulerapi.Options{}, l.Addr().String()))
	for i, err := range s.Send(context.Background(), kills(n)) {
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
}
