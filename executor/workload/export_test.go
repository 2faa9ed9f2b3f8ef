package workload

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/spawn"
)

// RefuseBirths makes the launcher's kernel one that starts no process in a
// given cgroup.
func (l *Launcher) RefuseBirths(err syscall.Errno) (refused func() int) {
	n := 0
	l.birth = func(ctx context.Context, c *spawn.Child) error {
		if c.Options.Cgroup != 0 {
			n++
			return err
		}
		return c.Start(ctx)
	}
	return func() int { return n }
}

// WithoutPidfds makes the launcher's kernel one from before pidfds.
func (l *Launcher) WithoutPidfds() {
	l.birth = func(ctx context.Context, c *spawn.Child) error {
		c.Options.WithoutPidfd = true
		return c.Start(ctx)
	}
}

// OnlyRuntime has the launcher know that OCI runtime only, and says whether the
// machine has it.
func (l *Launcher) OnlyRuntime(name string) bool {
	l.runtimes = slices.DeleteFunc(slices.Clone(runtimes), func(r ociRuntime) bool { return r.name != name })
	_, _, err := findRuntime(l.runtimes)
	return err == nil
}

// BundleOf returns the config.json of a workload whose user has the numbers.
func BundleOf(s Spec, uid int, has, present []string) ([]byte, error) {
	l := &Launcher{nofile: func() *spawn.Rlimit { return &spawn.Rlimit{Resource: unix.RLIMIT_NOFILE, Soft: 10, Hard: 20} }}
	p := l.programOf(&s, &Numbers{UID: uid, GID: uid + 1, Groups: []int{uid + 1}}, [3]*os.File{}, false)
	return json.MarshalIndent(bundleOf(&s, p, has, present), "", " ")
}

var CgroupMounts = cgroupMounts
