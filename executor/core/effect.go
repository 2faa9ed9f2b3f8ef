package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"golang.org/x/sys/unix"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Effects is what one Step asks for. Its parts are begun in the order of the
// fields; none waits for the one before to be complete.
type Effects struct {
	// Subscribe answers Subscribing: the call with all that is unacknowledged.
	Subscribe *executor.Call
	// Sends go to the agent, a task's in this order: a call must not overtake
	// an earlier one of its task. When the subscription ends those that are
	// left are dropped; the next SUBSCRIBE brings them again.
	Sends []*executor.Call
	// StopFetches breaks off the fetches of these runs; no answer is needed.
	StopFetches []Run
	// StopChecks breaks off what checks of these runs are under way; no answer
	// is needed.
	StopChecks []Run
	// Kills end every process of these runs, at once and without mercy.
	Kills []Run
	// PreStops are asked for before the first signal.
	PreStops []PreStop
	// Signals go to the main processes of runs.
	Signals []Signal
	// Fetches bring files into tasks' sandboxes.
	Fetches []Fetch
	// Starts run workloads.
	Starts []Start
	// Checks are performed once.
	Checks []Check
	// Disks asks for what the directories of these runs' tasks take. DiskMeasured
	// answers for each.
	Disks []Run
	// Measure asks for samples of what these runs use. Measured answers it.
	Measure []Run
	// Deliveries and Opens are what people ask for. Done answers each.
	Deliveries []Deliver
	Opens      []Open
	// Says are calls of MESSAGE. Each is made once, and whether it arrives is
	// nobody's business.
	Says []*executor.Call
	// Prepare, when it is not nil, is about this executor's own program.
	Prepare *Prepare
	// Dismiss says that what was prepared is not needed any more.
	Dismiss bool
	// Notices are facts for the log.
	Notices []Notice
	// End, when it is not nil, ends the executor. It is the last effect that
	// there will be.
	End *End
}

// Fetch asks for the files of a task, and for the sandbox to put them in.
// Fetched answers it, unless it is stopped.
type Fetch struct {
	Run      Run
	Task     *mesos.TaskInfo
	Settings *tandemv1.TaskSettings
}

// Start asks for a workload to be run in a cgroup of its own. Started answers
// it, always.
type Start struct {
	Run  Run
	Task *mesos.TaskInfo
	// Settings is nil for a task of a scheduler that sends none.
	Settings *tandemv1.TaskSettings
}

// PreStop asks for a task's own hook before its first signal. PreStopped answers
// it, after Timeout at the latest, unless the workload ends before.
type PreStop struct {
	Run     Run
	Spec    CheckSpec
	Timeout time.Duration
}

// Signal asks for a signal to a run's main process.
type Signal struct {
	Run    Run
	Signal unix.Signal
}

// Check asks for one check to be performed. Checked answers it with the same
// Seq, unless it is stopped.
type Check struct {
	Run  Run
	Kind CheckKind
	Seq  uint64
	Spec CheckSpec
	// Timeout of 0 means none.
	Timeout time.Duration
}

// CheckKind tells the checks of a task apart.
type CheckKind int

// The kinds of checks.
const (
	// Health is TaskInfo.health_check: failures are reported, and kill.
	Health CheckKind = iota
	// Status is TaskInfo.check or TaskSettings.readiness_check: what it finds
	// is reported when it changes, and never kills.
	Status
	// Hook is TaskSettings.pre_stop_http or pre_stop_command: it is performed
	// once, and never by a Check.
	Hook
)

// String returns the kind as a person would name it.
func (k CheckKind) String() string {
	switch k {
	case Health:
		return "health check"
	case Status:
		return "check"
	case Hook:
		return "pre-stop hook"
	default:
		return "unknown check"
	}
}

// CheckSpec is what a check does. Exactly one field is set.
type CheckSpec struct {
	HTTP    *HTTPCheck
	TCP     *TCPCheck
	Command *mesos.CommandInfo
}

// HTTPCheck is a GET to a port of this machine.
type HTTPCheck struct {
	// Scheme is http or https; certificates are not verified.
	Scheme string
	Port   uint32
	Path   string
	IPv6   bool
}

// TCPCheck is a connection to a port of this machine.
type TCPCheck struct {
	Port uint32
	IPv6 bool
}

// CheckResult is what a check found.
type CheckResult struct {
	// Err says that the check could not be performed, or took too long.
	Err string
	// ExitCode is a command's, Status an HTTP answer's; Connected is a TCP
	// check's.
	ExitCode  int
	Status    int
	Connected bool
	// Said is how the output of a command ends that did not succeed; empty for nothing.
	Said string
}

// Notice is a fact for the log, one line: what was decided about what, and why.
type Notice struct {
	Level Level
	// Task is empty where it is about no task.
	Task string
	Text string
}

// Level is how much a person should care about a Notice.
type Level int

// The levels of notices.
const (
	Debug Level = iota
	Info
	Warn
)

// End is why the executor ends.
type End struct {
	Reason string
	// Failed says that something was lost: the process should not exit 0.
	Failed bool
}
