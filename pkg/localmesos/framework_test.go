package localmesos_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/encoding/codecs"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	executorcalls "github.com/mesos/mesos-go/api/v1/lib/executor/calls"
	executorconfig "github.com/mesos/mesos-go/api/v1/lib/executor/config"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli/httpexec"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli/httpsched"
	"github.com/mesos/mesos-go/api/v1/lib/resources"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master"
)

// These tests are a framework written with mesos-go: a scheduler here, and an
// executor that is this test binary run by the agent.

func TestMain(m *testing.M) {
	if os.Getenv("MESOS_EXECUTOR_ID") != "" {
		if err := runExecutor(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(clusterDir); dir != "" {
		if err := runCluster(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// runExecutor reports each task as running, and as finished unless its data
// says to stay.
func runExecutor() error {
	config, err := executorconfig.FromEnv()
	if err != nil {
		return err
	}
	client := httpcli.New(
		httpcli.Endpoint("http://"+config.AgentEndpoint+"/api/v1/executor"),
		httpcli.Codec(codecs.ByMediaType[codecs.MediaTypeProtobuf]),
	)
	options := executor.CallOptions{executorcalls.Framework(config.FrameworkID), executorcalls.Executor(config.ExecutorID)}
	send := executorcalls.SenderWith(httpexec.NewSender(client.Send), options...)
	subscribe := executorcalls.SenderWith(httpexec.NewSender(client.Send, httpcli.Close(true)), options...)
	ctx := context.Background()
	update := func(id mesos.TaskID, state mesos.TaskState) error {
		u, source := uuid.New(), mesos.SOURCE_EXECUTOR
		response, err := send.Send(ctx, executorcalls.NonStreaming(executorcalls.Update(mesos.TaskStatus{
			TaskID: id, State: &state, UUID: u[:], Source: &source,
			ExecutorID: &mesos.ExecutorID{Value: config.ExecutorID},
		})))
		if response != nil {
			response.Close()
		}
		return err
	}
	// A lost agent is looked for again until it is back.
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		stream, err := subscribe.Send(ctx, executorcalls.NonStreaming(executorcalls.Subscribe(nil, nil)))
		if err != nil {
			fmt.Println("cannot subscribe:", err)
			continue
		}
		done, err := serve(stream, update)
		stream.Close()
		if done {
			return err
		}
	}
	return errors.New("the agent did not come back")
}

// serve obeys the events of one stream; it returns false at the stream's end.
func serve(stream mesos.Response, update func(mesos.TaskID, mesos.TaskState) error) (done bool, err error) {
	for {
		var event executor.Event
		if err := stream.Decode(&event); err != nil {
			fmt.Println("the stream ended:", err)
			return false, nil
		}
		switch event.Type {
		case executor.Event_LAUNCH_GROUP:
			for _, t := range event.LaunchGroup.TaskGroup.Tasks {
				err = errors.Join(err, update(t.TaskID, mesos.TASK_RUNNING))
				if string(t.Data) != "stay" {
					err = errors.Join(err, update(t.TaskID, mesos.TASK_FINISHED))
				}
			}
		case executor.Event_KILL:
			err = update(event.Kill.TaskID, mesos.TASK_KILLED)
		case executor.Event_SHUTDOWN:
			return true, nil
		}
		if lost := (*url.Error)(nil); errors.As(err, &lost) {
			// An agent that dies after it took the update has no time to say so.
			fmt.Println("the agent did not answer:", err)
			return false, nil
		}
		if err != nil {
			return true, err
		}
	}
}

// framework is a scheduler in a test.
type framework struct {
	*testing.T
	caller func(*scheduler.Call) (mesos.Response, error)
	id     mesos.FrameworkID
	events chan *scheduler.Event
	ended  chan struct{} // closed at the stream's end
	// offers came while something else was awaited.
	offers []mesos.Offer
	// last is the UUID of the latest update.
	last []byte
}

func subscribe(t *testing.T, cluster *localmesos.Cluster) *framework {
	t.Helper()
	return subscribeAt(t, cluster.URL(), mesos.FrameworkID{})
}

// subscribeAt subscribes with the master at a URL, as the framework with an ID if
// it has one already.
func subscribeAt(t *testing.T, url string, id mesos.FrameworkID) *framework {
	t.Helper()
	client := httpcli.New(
		httpcli.Endpoint(url+"/api/v1/scheduler"),
		httpcli.Codec(codecs.ByMediaType[codecs.MediaTypeProtobuf]),
	)
	caller := httpsched.NewCaller(client)
	f := &framework{T: t, events: make(chan *scheduler.Event, 100)}
	f.caller = func(c *scheduler.Call) (mesos.Response, error) {
		c.FrameworkID = &f.id
		return caller.Call(t.Context(), c)
	}
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	timeout, checkpoint := 60.0, true
	info := &mesos.FrameworkInfo{
		User: self.Username, Name: "example", Roles: []string{"example"}, FailoverTimeout: &timeout, Checkpoint: &checkpoint,
		Capabilities: []mesos.FrameworkInfo_Capability{
			{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}, {Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE},
		},
	}
	subscribe := calls.Subscribe(info)
	if id.Value != "" {
		info.ID, subscribe.FrameworkID = &id, &id
	}
	stream, err := caller.Call(t.Context(), subscribe)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	f.ended = done
	go func() {
		defer close(done)
		for {
			event := &scheduler.Event{}
			if err := stream.Decode(event); err != nil {
				if !errors.Is(err, io.EOF) && t.Context().Err() == nil {
					t.Log("the stream ended:", err)
				}
				return
			}
			f.events <- event
		}
	}()
	t.Cleanup(func() {
		stream.Close()
		<-done
	})
	f.id = *f.next(scheduler.Event_SUBSCRIBED).Subscribed.FrameworkID
	return f
}

func (f *framework) call(c *scheduler.Call) {
	f.Helper()
	response, err := f.caller(c)
	if err != nil {
		f.Fatalf("%v: %v", c.Type, err)
	}
	if response != nil {
		response.Close()
	}
}

// next waits for an event of a kind, acknowledges updates, and skips what may
// come at any time.
func (f *framework) next(kind scheduler.Event_Type) *scheduler.Event {
	f.Helper()
	for timeout := time.After(20 * time.Second); ; {
		select {
		case e := <-f.events:
			if s := e.Update; s != nil && s.Status.UUID != nil {
				f.call(calls.Acknowledge(s.Status.AgentID.Value, s.Status.TaskID.Value, s.Status.UUID))
			}
			if e.Rescind != nil && f.forget(e.Rescind.OfferID) {
				continue // nobody has seen the offer
			}
			switch e.Type {
			case kind:
				return e
			case scheduler.Event_RESCIND: // of an offer that came late, and was taken all the same
			case scheduler.Event_HEARTBEAT:
			case scheduler.Event_OFFERS:
				f.offers = append(f.offers, e.Offers.Offers...)
			default:
				f.Fatalf("event %v, want %v", e, kind)
			}
		case <-timeout:
			f.Fatalf("no %v came", kind)
		}
	}
}

// forget drops an offer that was not taken yet, and reports whether there was it.
func (f *framework) forget(id mesos.OfferID) bool {
	kept := slices.DeleteFunc(f.offers, func(o mesos.Offer) bool { return o.ID == id })
	gone := len(kept) < len(f.offers)
	f.offers = kept
	return gone
}

// offer returns an offer that was not used yet.
func (f *framework) offer() mesos.Offer {
	f.Helper()
	if len(f.offers) == 0 {
		f.offers = f.next(scheduler.Event_OFFERS).Offers.Offers
	}
	offer := f.offers[0]
	f.offers = f.offers[1:]
	return offer
}

// update waits for an update and checks it.
func (f *framework) update(task string, state mesos.TaskState) mesos.TaskStatus {
	f.Helper()
	s := f.next(scheduler.Event_UPDATE).Update.Status
	for f.last != nil && bytes.Equal(s.UUID, f.last) {
		// An agent sends again what it has not heard to be acknowledged, on a slow
		// machine for a long time.
		s = f.next(scheduler.Event_UPDATE).Update.Status
	}
	f.last = s.UUID
	if s.TaskID.Value != task || s.GetState() != state {
		f.Fatalf("update of %s: %v %s, want %s: %v", s.TaskID.Value, s.GetState(), s.GetMessage(), task, state)
	}
	return s
}

// launch launches a group of tasks, given as id or id:data, on an executor.
func (f *framework) launch(offer mesos.Offer, executorID string, tasks ...string) {
	f.Helper()
	binary, err := os.Executable()
	if err != nil {
		f.Fatal(err)
	}
	executable, value := true, "exec ./"+filepath.Base(binary)
	amounts := func(cpus, mem, disk float64) []mesos.Resource {
		return []mesos.Resource{resources.NewCPUs(cpus).Resource, resources.NewMemory(mem).Resource, resources.NewDisk(disk).Resource}
	}
	info := mesos.ExecutorInfo{
		Type: mesos.ExecutorInfo_CUSTOM, ExecutorID: mesos.ExecutorID{Value: executorID}, FrameworkID: &f.id,
		Command: &mesos.CommandInfo{
			Value: &value,
			URIs:  []mesos.CommandInfo_URI{{Value: "file://" + binary, Executable: &executable}},
		},
		Resources: amounts(0.1, 64, 32),
	}
	var infos []mesos.TaskInfo
	for _, task := range tasks {
		id, data, _ := strings.Cut(task, ":")
		infos = append(infos, mesos.TaskInfo{
			Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: offer.AgentID, Data: []byte(data), Resources: amounts(0.1, 32, 8),
		})
	}
	// What is left is wanted again at once.
	f.call(calls.Accept(calls.OfferOperations{calls.OpLaunchGroup(info, infos...)}.WithOffers(offer.ID)).With(calls.RefuseSeconds(0)))
}

// startCluster starts a cluster with one agent that offers often.
func startCluster(t *testing.T) *localmesos.Cluster {
	t.Helper()
	return clusterOf(t, localmesos.Options{
		Master: master.Options{AllocationInterval: 50 * time.Millisecond},
		Agent:  agent.Options{ExecutorReregistrationTimeout: 300 * time.Millisecond},
	})
}

// clusterOf starts a cluster, which is stopped at the end of the test.
func clusterOf(t *testing.T, o localmesos.Options) *localmesos.Cluster {
	t.Helper()
	cluster, err := localmesos.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

func TestLifeOfATaskGroup(t *testing.T) {
	cluster := startCluster(t)
	f := subscribe(t, cluster)
	offer := f.offer()
	if offer.AgentID != cluster.Agents()[0].ID() {
		t.Errorf("the offer is of agent %v", offer.AgentID)
	}
	f.launch(offer, "exec-1", "t1")
	f.update("t1", mesos.TASK_RUNNING)
	s := f.update("t1", mesos.TASK_FINISHED)
	if s.GetContainerStatus().GetContainerID().GetValue() == "" || s.GetSource() != mesos.SOURCE_EXECUTOR {
		t.Errorf("status %v", s)
	}

	offer = f.offer()
	f.launch(offer, "exec-1", "t2:stay")
	f.update("t2", mesos.TASK_RUNNING)
	f.call(calls.Kill("t2", offer.AgentID.Value))
	f.update("t2", mesos.TASK_KILLED)
	f.call(calls.Shutdown("exec-1", offer.AgentID.Value))
	if failure := f.next(scheduler.Event_FAILURE).Failure; failure.ExecutorID.Value != "exec-1" || failure.GetStatus() != 0 {
		t.Errorf("failure %v", failure)
	}
}

func TestTeardownEndsExecutors(t *testing.T) {
	cluster := startCluster(t)
	f := subscribe(t, cluster)
	f.launch(f.offer(), "exec-1", "t1:stay", "t2:stay")
	f.update("t1", mesos.TASK_RUNNING)
	s := f.update("t2", mesos.TASK_RUNNING)
	pid := s.GetContainerStatus().GetExecutorPID()
	f.call(&scheduler.Call{Type: scheduler.Call_TEARDOWN})
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the executor lives on")
}

func TestTasksSurviveTheirAgent(t *testing.T) {
	cluster := startCluster(t)
	f := subscribe(t, cluster)
	crashing := cluster.Agents()[0]
	f.launch(f.offer(), "exec-1", "t1:stay")
	f.update("t1", mesos.TASK_RUNNING)
	f.offer()
	crashing.Crash()
	f.next(scheduler.Event_RESCIND)
	if err := crashing.Recover(); err != nil {
		t.Fatal(err)
	}
	offer := f.offer()
	if len(offer.ExecutorIDs) != 1 || offer.ExecutorIDs[0].Value != "exec-1" {
		t.Errorf("the agent came back with the executors %v", offer.ExecutorIDs)
	}
	f.call(calls.Kill("t1", offer.AgentID.Value))
	f.update("t1", mesos.TASK_KILLED)
}
