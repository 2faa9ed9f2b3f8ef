// Command nullexecutor is an executor that runs nothing: it subscribes, answers
// every task with TASK_RUNNING and every kill with TASK_KILLED. What it takes is
// what Mesos and the wire take, so that measurements of a real executor can be
// told apart from those of the way to it.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/google/uuid"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/mesos/executorapi"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "nullexecutor:", err)
		os.Exit(1)
	}
}

// calls is how many updates are under way at once.
const calls = 4

type null struct {
	client    *executorapi.Client
	framework mesos.FrameworkID
	executor  mesos.ExecutorID
	updates   chan *executor.Call
}

// run runs until the agent ends the subscription.
func run(ctx context.Context) error {
	client, err := executorapi.New(executorapi.Options{Endpoint: os.Getenv("MESOS_AGENT_ENDPOINT"), Connections: calls})
	if err != nil {
		return err
	}
	defer client.Close()
	n := &null{
		client:    client,
		framework: mesos.FrameworkID{Value: os.Getenv("MESOS_FRAMEWORK_ID")},
		executor:  mesos.ExecutorID{Value: os.Getenv("MESOS_EXECUTOR_ID")},
		updates:   make(chan *executor.Call),
	}
	for range calls {
		go n.send(ctx)
	}
	subscribe := n.call(executor.Call_SUBSCRIBE)
	subscribe.Subscribe = &executor.Call_Subscribe{}
	stream, err := client.Subscribe(ctx, subscribe)
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		event, err := stream.Next()
		if err != nil {
			return err
		}
		switch event.Type {
		case executor.Event_LAUNCH_GROUP:
			for _, task := range event.LaunchGroup.TaskGroup.Tasks {
				n.report(task.TaskID, mesos.TASK_RUNNING)
			}
		case executor.Event_KILL:
			n.report(event.Kill.TaskID, mesos.TASK_KILLED)
		case executor.Event_SHUTDOWN:
			return nil
		}
	}
}

func (n *null) call(kind executor.Call_Type) *executor.Call {
	return &executor.Call{Type: kind, FrameworkID: n.framework, ExecutorID: n.executor}
}

func (n *null) report(task mesos.TaskID, state mesos.TaskState) {
	id := uuid.New()
	call := n.call(executor.Call_UPDATE)
	call.Update = &executor.Call_Update{Status: mesos.TaskStatus{
		TaskID: task, State: &state, Source: mesos.SOURCE_EXECUTOR.Enum(), UUID: id[:], ExecutorID: &n.executor,
	}}
	n.updates <- call
}

func (n *null) send(ctx context.Context) {
	for call := range n.updates {
		if err := n.client.Send(ctx, call); err != nil {
			fmt.Fprintln(os.Stderr, "nullexecutor:", err)
		}
	}
}
