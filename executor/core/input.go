package core

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Run numbers one execution of a task: a restart in place is another. Task IDs can
// come again once their last update is acknowledged; runs never do.
type Run uint64

// Input is something that has happened. The types below are all there are.
type Input interface{ isInput() }

// What the agent says, and what happens to the connection with it.
type (
	// Subscribing says that a subscription is about to be tried. The effects
	// hold the call.
	Subscribing struct{}
	// Subscribed is event SUBSCRIBED.
	Subscribed struct{ Event *executor.Event_Subscribed }
	// Disconnected says that the subscription has ended or could not be made;
	// calls fail until the next Subscribed.
	Disconnected struct {
		Reason string
		// Given says that the executor itself has given it up, for a moment.
		Given bool
	}
	// Rejected says that the agent will never take this executor's
	// subscription.
	Rejected struct{ Reason string }
	// Launched is event LAUNCH or LAUNCH_GROUP; a single task is a group of
	// one.
	Launched struct{ Tasks []mesos.TaskInfo }
	// KillAsked is event KILL.
	KillAsked struct {
		TaskID mesos.TaskID
		Policy *mesos.KillPolicy
	}
	// Acknowledged is event ACKNOWLEDGED.
	Acknowledged struct{ UUID []byte }
	// Shutdown is event SHUTDOWN, or says that the process was asked to end.
	Shutdown struct{ Reason string }
	// Message is event MESSAGE.
	Message struct{ Data []byte }
	// Ticked says that time has passed; see Core.Next.
	Ticked struct{}
)

// What became of the effects. Err is empty when all went well, and otherwise a
// sentence for the task's status.
type (
	// Fetched answers a Fetch.
	Fetched struct {
		Run Run
		Err string
	}
	// Started answers a Start: the workload runs, in its cgroup. When it does
	// there will be an Exited after it; when there is an Err there will be
	// none.
	Started struct {
		Run Run
		Err string
		// Warnings are the limits that are not enforced though they were asked
		// for, one line each.
		Warnings []string
	}
	// Exited says that the workload has ended, and nothing of it is left.
	Exited struct {
		Run  Run
		Exit Exit
	}
	// PreStopped answers a PreStop.
	PreStopped struct {
		Run    Run
		Spec   CheckSpec
		Result CheckResult
	}
	// DiskMeasured answers one of Disks.
	DiskMeasured struct {
		Run Run
		// Used is in bytes.
		Used uint64
		Err  string
	}
	// Checked answers a Check.
	Checked struct {
		Run    Run
		Kind   CheckKind
		Seq    uint64
		Result CheckResult
	}
)

// Exit is how a workload ended.
type Exit struct {
	// Code is the exit status of the main process; it counts when Signal is 0.
	Code int
	// Signal is what ended the main process, or 0.
	Signal     int
	CoreDumped bool
	// Usage is that of the whole cgroup, OOM kills included; nil when nothing
	// is known.
	Usage *tandemv1.Usage
	// Err says that the end could not be observed, and why.
	Err string
	// Warnings are for the report: what the task should have had and has not,
	// one line each.
	Warnings []string
	// Trouble says what could not be cleaned up. It is for the log.
	Trouble string
}

func (Subscribing) isInput()  {}
func (Subscribed) isInput()   {}
func (Disconnected) isInput() {}
func (Rejected) isInput()     {}
func (Launched) isInput()     {}
func (KillAsked) isInput()    {}
func (Acknowledged) isInput() {}
func (Shutdown) isInput()     {}
func (Message) isInput()      {}
func (Ticked) isInput()       {}
func (Fetched) isInput()      {}
func (Started) isInput()      {}
func (Exited) isInput()       {}
func (PreStopped) isInput()   {}
func (Checked) isInput()      {}
func (DiskMeasured) isInput() {}
