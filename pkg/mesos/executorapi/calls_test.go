package executorapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// agentOf serves each connection by itself, and counts them.
func agentOf(t *testing.T, serve func(conn net.Conn, requests func() bool)) (endpoint string, connections *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	connections = new(atomic.Int32)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				serve(conn, func() bool { // reads one request
					r, err := http.ReadRequest(in)
					if err == nil {
						_, err = io.Copy(io.Discard, r.Body)
					}
					return err == nil
				})
			}()
		}
	}()
	return listener.Addr().String(), connections
}

const taken = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"

func TestConnectionsAreUsedAgain(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		want         int32
	}{
		{"as they are", taken, 1},
		{"after a word that there is more to come", "HTTP/1.1 100 Continue\r\n\r\n" + taken, 1},
		{"after an answer in pieces", "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 1},
		{"unless the agent says that it closes them", "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			endpoint, connections := agentOf(t, func(conn net.Conn, request func() bool) {
				for request() {
					io.WriteString(conn, c.answer)
				}
			})
			agent := client(t, Options{Endpoint: endpoint, Connections: 1})
			for range 5 {
				if err := agent.Send(t.Context(), aCall(executor.Call_UPDATE)); err != nil {
					t.Fatal(err)
				}
			}
			if got := connections.Load(); got != c.want {
				t.Errorf("%d connections, want %d", got, c.want)
			}
		})
	}
}

// One that the agent has closed in silence is no failure of the next call.
func TestClosedConnectionIsReplaced(t *testing.T) {
	endpoint, connections := agentOf(t, func(conn net.Conn, request func() bool) {
		if request() {
			io.WriteString(conn, taken)
		}
	})
	agent := client(t, Options{Endpoint: endpoint, Connections: 1})
	for range 5 {
		if err := agent.Send(t.Context(), aCall(executor.Call_UPDATE)); err != nil {
			t.Fatal(err)
		}
	}
	if got := connections.Load(); got != 5 {
		t.Errorf("%d connections, want one for each call", got)
	}
}

func TestNoMoreConnectionsThanAllowed(t *testing.T) {
	const most = 3
	endpoint, connections := agentOf(t, func(conn net.Conn, request func() bool) {
		for request() {
			io.WriteString(conn, taken)
		}
	})
	agent := client(t, Options{Endpoint: endpoint, Connections: most})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := agent.Send(t.Context(), aCall(executor.Call_UPDATE)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := connections.Load(); got > most {
		t.Errorf("%d connections, want %d at most", got, most)
	}
}

// A call that is given up leaves nothing behind that could answer the next one.
func TestCallEndsWithItsContext(t *testing.T) {
	asked := make(chan bool, 1)
	var silent atomic.Bool
	silent.Store(true)
	endpoint, connections := agentOf(t, func(conn net.Conn, request func() bool) {
		for request() {
			if silent.Load() {
				asked <- true
				continue
			}
			io.WriteString(conn, taken)
		}
	})
	agent := client(t, Options{Endpoint: endpoint, Connections: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- agent.Send(ctx, aCall(executor.Call_UPDATE)) }()
	<-asked
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || ClassOf(err) != Transient {
		t.Errorf("err = %v, of class %v", err, ClassOf(err))
	}
	silent.Store(false)
	if err := agent.Send(t.Context(), aCall(executor.Call_UPDATE)); err != nil {
		t.Error(err)
	}
	if got := connections.Load(); got != 2 {
		t.Errorf("%d connections, want another one for the second call", got)
	}
}
