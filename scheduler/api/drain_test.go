package api_test

import (
	"net"
	"sync"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// TestACallInFlight when the server stops is answered, and no connection is taken
// any more meanwhile.
func TestACallInFlight(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	c := &commander{stop: func(core.Stop) (core.Reply, error) {
		close(begun)
		<-release
		return core.Reply{Version: 7}, nil
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	base, stop := serveOn(t, options(c, teams()), closing{l, sync.OnceFunc(func() { close(closed) })})
	answer := make(chan uint64, 1)
	go func() {
		r, err := protocols(base)["Connect"].StopJob(t.Context(), &tandemv1.StopJobRequest{Id: "/a"})
		if err != nil {
			t.Errorf("the call in flight: %v", err)
		}
		answer <- r.GetVersion()
	}()
	<-begun
	ended := make(chan struct{})
	go func() {
		stop()
		close(ended)
	}()
	<-closed
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("a server that stops takes connections")
	}
	close(release)
	if got := <-answer; got != 7 {
		t.Errorf("the call in flight is answered with version %d, want 7", got)
	}
	<-ended
}

// closing tells when a listener was closed.
type closing struct {
	net.Listener
	tell func()
}

// Close closes the listener.
func (c closing) Close() error {
	defer c.tell()
	return c.Listener.Close()
}
