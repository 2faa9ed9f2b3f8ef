package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/prometheus/client_golang/prometheus"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

func TestAClientThatIsTooFastIsHeldBack(t *testing.T) {
	opt, _, _ := guarded(t, &commander{}, teams())
	opt.Limits.Rate = 0.5 // five at once
	base, _ := serve(t, opt)
	ask := func(token string) int {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", base+tandemv1connect.SchedulerServiceListJobsProcedure, strings.NewReader("{}"))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") == "" {
			t.Error("a client that is held back is not told for how long")
		}
		return res.StatusCode
	}
	var got []int
	for range 6 {
		got = append(got, ask("planted-reader"))
	}
	// Others go on, and who guesses tokens is held back by their address.
	got = append(got, ask("planted-writer"))
	for range 6 {
		got = append(got, ask("guess"))
	}
	want := []int{200, 200, 200, 200, 200, 429, 200, 401, 401, 401, 401, 401, 429}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	const most = 4 // of which one address has two
	opt := options(&commander{}, teams())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	frontOn(t, api.FrontOptions{Connections: most, Log: opt.Log, Registerer: opt.Registerer}, l)
	address := l.Addr().String()
	answered := func(c net.Conn) bool {
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return false
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	var conns []net.Conn
	dial := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns = append(conns, c)
		return c
	}
	for n, want := range []bool{true, true, false} {
		if got := answered(dial()); got != want {
			t.Errorf("connection %d was answered: %v, want %v", n, got, want)
		}
	}
	conns[0].Close()
	for !answered(dial()) {
		// The server hears of the end when it does.
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// endless is a reader whose watches never cease to have something to tell.
type endless struct {
	*reader
	ended chan struct{}
}

func (e *endless) Watch(context.Context, *tandemv1.WatchRequest) iter.Seq2[*tandemv1.WatchResponse, error] {
	return func(yield func(*tandemv1.WatchResponse, error) bool) {
		defer close(e.ended)
		job := words()
		job.Workloads[0].Cmd = strings.Repeat("x", 1<<20)
		for yield(&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Job{Job: &tandemv1.JobRecord{Spec: job}}}, nil) {
		}
	}
}

// TestAReaderThatStallsIsLost: a client that takes nothing of its stream does not
// hold on to what serves it.
func TestAReaderThatStallsIsLost(t *testing.T) {
	r := &endless{teams(), make(chan struct{})}
	opt := options(&commander{}, r.reader)
	opt.Reader, opt.Limits.Stall = r, 50*time.Millisecond
	base, _ := serve(t, opt)
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body := "\x00\x00\x00\x00\x02{}"
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/connect+json\r\nConnect-Protocol-Version: 1\r\nContent-Length: %d\r\n\r\n%s",
		tandemv1connect.SchedulerServiceWatchProcedure, len(body), body)
	<-r.ended
}

// TestASenderThatStallsIsLost: as is one that never sends the rest.
func TestASenderThatStallsIsLost(t *testing.T) {
	opt := options(&commander{}, teams())
	opt.Limits.Stall = 50 * time.Millisecond
	base, _ := serve(t, opt)
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		tandemv1connect.SchedulerServiceListJobsProcedure)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			t.Error("half a request was answered")
		}
	}
}

// dictated is a core that saves what it is told to: any command carries it out.
type dictated struct{ next []state.Change }

func (d *dictated) Step(_ time.Time, in core.Input) core.Effects {
	cmd, ok := in.(core.Command)
	if !ok {
		return core.Effects{}
	}
	e := core.Effects{Save: d.next, Replies: []core.Reply{{ID: cmd.ID}}}
	d.next = nil
	return e
}

func (d *dictated) Wanted() core.Wanted { return core.Wanted{} }

func (d *dictated) Next() (time.Time, bool) { return time.Time{}, false }

type forgetful struct{}

func (forgetful) Write([]state.Change) error { return nil }

// TestAThousandStreamsAndSlowOnes: every stream has every change in order, with
// ids that grow, while some read nothing at all, and the loop answers meanwhile.
func TestAThousandStreamsAndSlowOnes(t *testing.T) {
	const streams, slow, changes = 1000, 20, 40
	opt := options(&commander{}, teams())
	d := &dictated{}
	registry := prometheus.NewRegistry()
	l, err := loop.New(loop.Options{
		Core: d, Store: forgetful{}, Log: opt.Log, Metrics: registry, Framework: mesos.FrameworkInfo{Name: "many"},
		Subscribe: func(context.Context, *scheduler.Call) (loop.Stream, error) { return nil, errors.New("nobody answers") },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	opt.Commander, opt.Reader, opt.Limits = l, l.View(), api.Limits{Rate: -1}
	base, _ := serve(t, opt)
	client := protocols(base)["gRPC"]

	var ready, done sync.WaitGroup
	for n := range streams + slow {
		watch, err := client.Watch(t.Context(), &tandemv1.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if n >= streams {
			continue // It is open, and nobody reads it.
		}
		ready.Add(1)
		done.Go(func() {
			began, last, next := false, uint64(0), uint64(1)
			for watch.Receive() {
				m := watch.Msg()
				if m.GetSnapshotEnd() {
					began = true
					ready.Done()
				}
				if m.GetSequence() < last {
					t.Errorf("the id %d came after %d", m.GetSequence(), last)
				}
				last = m.GetSequence()
				if v := m.GetJob().GetVersion(); began && v > 0 {
					if v != next {
						t.Errorf("the version %d came, and not %d", v, next)
					}
					if next++; next > changes {
						return
					}
				}
			}
			t.Errorf("the stream ended after %d changes: %v", next-1, watch.Err())
		})
	}
	ready.Wait()
	for version := range uint64(changes) {
		job := words()
		job.Workloads[0].Cmd = strings.Repeat("x", 4<<10)
		d.next = []state.Change{state.PutJob(&tandemv1.JobRecord{Spec: job, Version: version + 1})}
		if _, err := l.Do(t.Context(), core.Command{Explain: &core.Explain{}}); err != nil {
			t.Fatal(err)
		}
	}
	done.Wait()
}
