// Package core decides. It holds the jobs, instances, attempts and offers of
// one scheduler, and for each input says what is to be saved, called and shown.
//
// It is pure: Step depends on the core's state, the given time and the input
// only, so that a whole cluster with all its faults can be run from one seed.
// It must never read a clock, draw a random number that was not seeded by its
// Config, do input or output, or start a goroutine; and it imports none of net,
// os, sync and log. A Core is not safe for concurrent use: package loop owns it.
package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// Effects is what one Step asks for. Its parts happen in the order of the
// fields, and each only when the one before is complete: nothing is called,
// answered or shown that is not durable. When saving fails nothing else may
// happen: the process ends, and starts again from what is saved.
type Effects struct {
	// Save is written in one transaction.
	Save []state.Change
	// Calls go to the master in this order. One that fails comes back as
	// CallFailed. framework_id is filled in by whoever sends.
	Calls []*scheduler.Call
	// Replies answer Commands.
	Replies []Reply
	// Show is what readers see next, beyond Save.
	Show []Notice
	// Samples are what tasks use, for readers. They are never saved.
	Samples []*tandemv1.UsageSample
}

// Input is something that has happened. The types below are all there are.
type Input interface{ isInput() }

type (
	// Subscribed says that the master has accepted the subscription.
	Subscribed struct {
		FrameworkID mesos.FrameworkID
		Master      mesos.MasterInfo
		// Suppressed and GPUs are what the subscription said of Wanted.
		Suppressed, GPUs bool
	}
	// Disconnected says that the subscription has ended: calls fail until the
	// next Subscribed, and all offers are void.
	Disconnected struct{}
	// Offers is event OFFERS.
	Offers struct{ Offers []mesos.Offer }
	// InverseOffers is event INVERSE_OFFERS.
	InverseOffers struct{ Offers []mesos.InverseOffer }
	// InverseRescinded is event RESCIND_INVERSE_OFFER.
	InverseRescinded struct{ OfferID mesos.OfferID }
	// Rescinded is event RESCIND.
	Rescinded struct{ OfferID mesos.OfferID }
	// Updated is event UPDATE. Nobody changes the status any more.
	Updated struct{ Status *mesos.TaskStatus }
	// OperationUpdated is event UPDATE_OPERATION_STATUS.
	OperationUpdated struct{ Status mesos.OperationStatus }
	// Failed is event FAILURE, of an executor or, without ExecutorID, an agent.
	Failed struct {
		AgentID    *mesos.AgentID
		ExecutorID *mesos.ExecutorID
		Status     *int32
	}
	// CallFailed says that a call did not reach the master or was refused by it.
	// Uncertain says that it may have taken effect all the same.
	CallFailed struct {
		Call      *scheduler.Call
		Reason    string
		Uncertain bool
	}
	// SecretsHeld says which secrets there are to launch with. It is the first
	// input where there are any, and comes again whenever that has changed.
	SecretsHeld struct{ Names []string }
	// Ticked says that time has passed; see Core.Next.
	Ticked struct{}
	// Command says that somebody asks for something, one of its pointers what.
	// ID is given back with the Reply, and Request, where it is given, has the command
	// carried out once, however often it comes.
	Command struct {
		ID       uint64
		Request  *Request
		Submit   *Submit
		Stop     *Stop
		Update   *Update
		Rollback *Rollback
		Restart  *Restart
		Run      *Run
		Explain  *Explain
		Withheld *Withheld
		// Reconcile asks the master about every task.
		Reconcile bool
		// Offers asks what was offered last, and changes nothing.
		Offers bool
		// Teardown has the master end every task and forget the framework, and
		// stops all jobs.
		Teardown bool
		// About single tasks.
		KillTask    *KillTask
		SignalTask  *SignalTask
		OpenSession *OpenSession
		Upgrade     *UpgradeExecutor
		Measure     *Measure
		Drain       *Drain
		PurgeVolume *PurgeVolume
	}
)

// Submit makes a job be as its spec says. The spec has been validated, and has
// every default written out.
type Submit struct {
	Job *tandemv1.Job
	// ExpectedVersion refuses the command unless the job has it; 0 means that
	// there must be no such job. Nil expects nothing.
	ExpectedVersion *uint64
	// Force allows the command to end more than half of the instances that run
	// by asking for fewer.
	Force bool
}

// Stop ends a job's tasks and keeps its record, unless Purge is set: then the
// record goes as soon as nothing of the job runs.
type Stop struct {
	JobID           string
	Purge           bool
	ExpectedVersion *uint64
}

// Update steers the update of a job that is under way.
type Update struct {
	JobID           string
	Action          UpdateAction
	ExpectedVersion *uint64
}

// UpdateAction is what becomes of an update.
type UpdateAction int

// The actions.
const (
	// PauseUpdate lets it stand still until it is resumed.
	PauseUpdate UpdateAction = iota + 1
	// ResumeUpdate lets a paused one go on.
	ResumeUpdate
	// PromoteUpdate finds the canaries good, so that the rest follows.
	PromoteUpdate
	// AbortUpdate goes back to the last good version.
	AbortUpdate
)

// Rollback makes an earlier version's spec the job's newest version. The update
// that follows tries no canaries first, and is not itself gone back from.
type Rollback struct {
	JobID string
	// Version is the version to go back to; 0 means the last good one before the
	// current.
	Version         uint64
	ExpectedVersion *uint64
	Force           bool // as in Submit
}

// Restart replaces instances by new attempts of the same version: those of a
// service as an update would, and those of a batch that have ended by a new
// beginning.
type Restart struct {
	JobID string
	// Slots are the instances; none means all.
	Slots           []int32
	ExpectedVersion *uint64
}

// Run starts a cron job now, besides its schedule, as its overlap policy allows.
type Run struct {
	JobID           string
	ExpectedVersion *uint64
}

// Explain asks why instances of a job wait, and changes nothing of them.
type Explain struct {
	JobID string
	// Job, when it is given, asks instead whether its new instances would find
	// room. It need not have been submitted.
	Job *tandemv1.Job
	// Withheld, where it is given, is taken in before.
	Withheld *Withheld
}

// Drain has instances leave an agent and keeps new ones off it, until it is
// cancelled.
type Drain struct {
	// Agent is its ID, or its hostname where only one agent has that.
	Agent  string
	Cancel bool
	// Deadline is after how long whatever is still there is ended, with room
	// elsewhere or without; 0 for never.
	Deadline time.Duration
	// ExpectedVersion is the version that the agent's drain must be at; nil for any.
	ExpectedVersion *uint64
}

// PurgeVolume has a persistent volume destroyed.
type PurgeVolume struct {
	ID string
	// Forget it without waiting for its agent, which will not come back.
	Forget bool
	// ExpectedState is the state that it must be in; nil for any.
	ExpectedState *tandemv1.VolumeState
}

// Reply answers a Command, with its ID.
type Reply struct {
	ID uint64
	// Explanation answers Explain.
	Explanation *tandemv1.Explanation
	// Offers answers Offers, by hostname.
	Offers []*tandemv1.OfferView
	// Agent answers Drain.
	Agent *tandemv1.DrainAgentResponse
	// Volume answers PurgeVolume.
	Volume *tandemv1.VolumeRecord
	// Refused is nil when the command was carried out.
	Refused *Refused
	Version uint64
	Changed bool
	// LeftOut is how many tasks a Measure does not measure, for there are too
	// many.
	LeftOut int32
	// Program is what the executor says of its version, in answer to an
	// UpgradeExecutor.
	Program string
	// Run is the ID of the job that a Run has started.
	Run string
	// Tasks is how many tasks a Reconcile asks about by name, or a Teardown ends.
	Tasks int32
}

// Code classes a refusal.
type Code int

// The classes of refusals.
const (
	NotFound Code = iota + 1
	StaleVersion
	Conflict
	// OtherRequest: the request's key stands for another one.
	OtherRequest
	// Unanswered: an executor was asked to do it and has not answered in time, so
	// that it may have done it.
	Unanswered
)

// Refused is why a command was not carried out.
type Refused struct {
	Code   Code
	Reason string
}

// Error returns the reason.
func (r *Refused) Error() string { return r.Reason }

// Notice is a fact for the log, one line: what was decided about what, and why.
type Notice struct {
	// Level is how much a person should care.
	Level NoticeLevel
	Text  string
	// Job, Attempt, Task and Agent name what it is about; empty where they do not
	// apply. An attempt comes with its instance and agent, an instance with its
	// job.
	Job     string
	Attempt uint64
	Task    string
	Agent   string
	// OfInstance says that it is about one instance of the job, which is Slot.
	OfInstance bool
	Slot       int32
}

// NoticeLevel is how much a person should care about a Notice.
type NoticeLevel int

// The levels of notices.
const (
	Debug NoticeLevel = iota
	Info
	Warn
)

func (Subscribed) isInput()       {}
func (Disconnected) isInput()     {}
func (Offers) isInput()           {}
func (InverseOffers) isInput()    {}
func (InverseRescinded) isInput() {}
func (Rescinded) isInput()        {}
func (Updated) isInput()          {}
func (OperationUpdated) isInput() {}
func (Failed) isInput()           {}
func (CallFailed) isInput()       {}
func (Ticked) isInput()           {}
func (Command) isInput()          {}
func (SecretsHeld) isInput()      {}
