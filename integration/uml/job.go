package uml

import (
	"errors"
	"path/filepath"
	"time"
)

// JobVariable is the kernel parameter that names the file with the guest's
// [Job]. The kernel hands it to its first process as an environment variable.
const JobVariable = "TANDEM_GUEST_JOB"

// EndFile is the file in [Job.Scratch] where the guest writes its [End].
const EndFile = "end.json"

// Job is what a guest has to do.
type Job struct {
	// Command is the program, by its absolute path, and its arguments.
	Command []string
	// Dir is the working directory, and Env the whole environment.
	Dir string
	Env []string
	// Scratch is the directory of this machine that the guest may write to,
	// under the same path.
	Scratch string
	// Visible lists directories of this machine that the guest must see even
	// where they are below one of those that it has for itself, such as /tmp.
	Visible []string
	// Limit is when the guest goes off by itself, in case nobody is left to
	// stop it; 0 for never. [Run] sets it by its context's deadline.
	Limit time.Duration
	// LocalEvents mounts cgroup2 with memory_localevents.
	LocalEvents bool
	// Systemd lays cgroups out as a booted Debian does: the first process in
	// /init.scope, the program in /user.slice/session-1.scope, and the
	// controllers enabled at the root. Without it there are no cgroups at all
	// but the root, with nothing enabled.
	Systemd bool
}

func (j Job) validate() error {
	switch {
	case len(j.Command) == 0 || !filepath.IsAbs(j.Command[0]):
		return errors.New("the command of a guest has to be an absolute path")
	case !filepath.IsAbs(j.Dir):
		return errors.New("the working directory of a guest has to be an absolute path")
	case !filepath.IsAbs(j.Scratch):
		return errors.New("the scratch directory of a guest has to be an absolute path")
	}
	return nil
}

// End is how a guest's program ended.
type End struct {
	// Failure says why the program could not be run; empty if it was.
	Failure string
	// Status is its exit status, and 128 + n after signal n.
	Status int
	// Processes lists what was still running then.
	Processes []string
	// Cgroups lists the cgroups that were there then and not before.
	Cgroups []string
	// Enabled are the controllers enabled at the root, before and after.
	EnabledBefore, EnabledAfter string
}
