package spawn

import (
	"fmt"
	"syscall"
)

// Step is one of those on a child's way to its program.
type Step uint32

// The steps that can fail.
const (
	StepFiles      Step = iota + 1
	StepSession         // Its own session.
	StepRlimit          // Which is the index of the limit.
	StepUser            // The user and the groups.
	StepParent          // To die with its parent; ESRCH when that has died.
	StepPrivileges      // To give up new privileges.
	StepDir             // The working directory.
	StepExec            // Which is the index of the path.
	StepTerminal        // The controlling terminal.
	StepNamespaces
	StepReadonly // The root that it cannot write to.
	StepMount    // Which is the index of the mount.
	StepCapabilities
	StepCgroup // Which is the index of the file.
	StepOOMScore
)

// String names the step.
func (s Step) String() string {
	names := [...]string{"", "take its files", "make a session", "set a resource limit", "become its user",
		"tie itself to its parent", "give up privileges", "enter its directory", "execute its program", "take over its terminal",
		"make its namespaces", "make its root read-only", "mount a tmpfs", "set its capabilities",
		"enter its cgroup", "set its oom_score_adj"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("take step %d", uint32(s))
}

// Failure says what a child could not do, and why.
type Failure struct {
	Step  Step
	Which int
	Errno syscall.Errno
}

func (f *Failure) Error() string { return fmt.Sprintf("cannot %s: %s", f.Step, f.Errno.Error()) }

// Unwrap returns the kernel's reason.
func (f *Failure) Unwrap() error { return f.Errno }
