package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// NoContainerError says that an executor has no cgroup of its own to make
// its tasks' cgroups in, so that no per-task limit can be set. Whether tasks
// may run all the same is the caller's policy.
type NoContainerError struct{ Reason string }

func (e *NoContainerError) Error() string { return "cannot make cgroups for tasks: " + e.Reason }

// DepthError says that a v2 container has as many live tasks as its chain of
// cgroups may be deep.
type DepthError struct{ Depth int }

func (e *DepthError) Error() string {
	return fmt.Sprintf("cannot make one more cgroup: %d tasks are the most that one executor separates on cgroup v2", e.Depth)
}

// DefaultDepth is how many live tasks a v2 container separates unless told
// otherwise. The kernel walks the whole chain whenever a thread goes to sleep or
// wakes up, which costs about 45 ns a level: at this depth a switch to another
// thread takes twice as long as at the top, at 256 seven times. Charging memory,
// which it does in batches, costs nothing that can be measured up to here, and a
// tenth more at 256. The six bytes a level that count against the 4096 of a path
// bind much later.
const DefaultDepth = 64

// ContainerOptions say where an executor is.
type ContainerOptions struct {
	Host Host
	// Self is the executor's own membership.
	Self Membership
	// ID is the container id that the agent named in SUBSCRIBED. Empty means
	// that it named none.
	ID string
	// Subtree is the path of a cgroup that an operator has delegated to executors,
	// such as "/tandem": on v2 one with no process in it, on v1 a directory in each of
	// the hierarchies that tasks are to be limited with. Tasks then get
	// Subtree/ID/task and no chain. What an executor has left there that
	// lives no more is ended and removed by the next.
	// It is not used on v1 where the agent has given the executor a cgroup of its own.
	Subtree string
	// Held is the descriptor by which the program whose place this one takes held
	// its directory there; 0 for none. See [Container.Held].
	Held int
	// Depth bounds the chain on v2; 0 means [DefaultDepth].
	Depth int
}

// Container is the cgroup that a Mesos agent gave to an executor, seen as the
// place for the cgroups of its tasks. Its methods may be called from several
// goroutines at once.
//
// On v1 a task's cgroup is a child of the container's, in those hierarchies
// in which the agent made one for the container (its path ends in the container
// id); in others the executor is wherever the agent is, and nobody would clean
// up. An agent that restarts leaves such children alone, unless they are called
// "mesos".
//
// On v2 the agent takes every directory below the container's for a nested
// container, fails to find it, and exits or destroys it when it restarts. The
// one shape that it reads as the container itself is mesos/leaf,
// mesos/mesos/leaf and so on, because it skips the word mesos and one leaf at
// the end. So the tasks hang on a chain, the first at mesos/leaf, the second one
// level deeper, and no other name is ever made. The weight of each link is the
// sum of the tasks' below it, which leaves to each task the share that it would
// have beside the others.
type Container struct {
	version Version
	name    string
	dirs    []Dir // the container's directories
	options ValueOptions
	flat    bool
	// delegated says that the directories are the executor's in a delegated subtree, and
	// held is the descriptor of the lock on the first of them.
	delegated bool
	held      int
	shared    sync.Once

	mu sync.Mutex // guards chain, and the directories of the chain
	// chain holds the tasks' weights by level, the first at 0; 0 is free.
	chain []uint64
	depth int
}

// OpenContainer finds the executor's container. It makes nothing yet, but for
// the directory of a delegated subtree. A [*NoContainerError] says why there is
// none.
func OpenContainer(o ContainerOptions) (*Container, error) {
	if o.Depth == 0 {
		o.Depth = DefaultDepth
	}
	switch {
	case o.Host.Version == None:
		return nil, &NoContainerError{"no cgroup file system is mounted"}
	case o.ID == "":
		return nil, &NoContainerError{"the agent named no container"}
	case strings.ContainsRune(o.ID, '/'):
		return nil, &NoContainerError{fmt.Sprintf("%q is not the id of a container", o.ID)}
	case o.Host.Version == V1:
		c, err := openV1Container(o)
		if o.Subtree != "" && errors.Is(err, errNone) {
			return openV1Subtree(o)
		}
		return c, err
	case o.Subtree != "":
		return openV2Subtree(o)
	default:
		return openV2Container(o)
	}
}

func openV1Container(o ContainerOptions) (*Container, error) {
	c := &Container{version: V1, flat: true}
	var denied []string
	for _, h := range o.Host.Hierarchies {
		group, ok := o.Self.In(h)
		// A named hierarchy has no controller and needs no division.
		if !ok || path.Base(group) != o.ID || strings.HasPrefix(h.Controllers[0], namePrefix) {
			continue
		}
		dir, err := h.Dir(group)
		if err != nil {
			return nil, err
		}
		// For an executor that is not root the agent chowns the directories
		// of its isolators' hierarchies, but not the freezer's.
		if unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK, unix.AT_EACCESS) != nil {
			denied = append(denied, dir)
			continue
		}
		c.name = group
		c.dirs = append(c.dirs, Dir{Path: dir, Controllers: h.Controllers})
	}
	switch {
	case len(c.dirs) > 0:
		return c, nil
	case len(denied) > 0:
		return nil, &NoContainerError{fmt.Sprintf("the executor may not write to %s", strings.Join(denied, ", "))}
	default:
		return nil, errNone
	}
}

var errNone = &NoContainerError{"the agent isolates without cgroups and gave the executor none"}

func openV2Container(o ContainerOptions) (*Container, error) {
	h := o.Host.Hierarchies[0]
	above, ok := strings.CutSuffix(o.Self.Unified, "/leaf")
	if !ok || path.Base(above) != o.ID {
		return nil, errNone
	}
	dir, err := h.Dir(above)
	if err != nil {
		return nil, err
	}
	// For an executor that is not root the agent chowns the leaf only, and a
	// process cannot be moved or born out of it without rights above it.
	if unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK, unix.AT_EACCESS) != nil {
		return nil, &NoContainerError{fmt.Sprintf("the executor may not write to %s; on cgroup v2 it has to run as root", dir)}
	}
	g, err := openV2(above, dir)
	if err != nil {
		return nil, err
	}
	return &Container{
		version: V2, name: above, dirs: g.dirs, depth: o.Depth,
		// Without memory_localevents the container's memory.events counts what
		// happens below it, and the agent takes a task's out-of-memory kill for
		// the container's and destroys it. So the kernel must not kill.
		options: ValueOptions{SoftMemory: !h.LocalEvents, GroupOOM: h.LocalEvents},
	}, nil
}

// String names the container's cgroup.
func (c *Container) String() string { return c.name }

// Version returns V1 or V2.
func (c *Container) Version() Version { return c.version }

// Controllers lists what tasks can be limited with.
func (c *Container) Controllers() []string {
	var all []string
	for _, d := range c.dirs {
		all = append(all, d.Controllers...)
	}
	return all
}

// SoftMemory says that a task's memory limit is one that the kernel reclaims
// and throttles for but never kills for, so that whoever runs the task has to
// watch its usage.
func (c *Container) SoftMemory() bool { return c.options.SoftMemory }

// BoundsSwap says whether the kernel can hold a task to an amount of swap. One
// that does not account for swap has no file for it.
func (c *Container) BoundsSwap() bool {
	file := "memory.memsw.limit_in_bytes"
	if c.version == V2 {
		file = "memory.swap.max"
	}
	return slices.ContainsFunc(c.dirs, func(d Dir) bool {
		_, err := os.Lstat(filepath.Join(d.Path, file))
		return err == nil && slices.Contains(d.Controllers, "memory")
	})
}

// Create makes an empty cgroup for a task. The limits are only looked at for
// the task's CPU weight and the controllers it needs; [Group.Limit] sets them. A
// task of the same name must be gone before. A [*DepthError] means that there
// are too many tasks.
func (c *Container) Create(task string, r *specs.LinuxResources) (*Group, error) {
	if !c.flat {
		return c.createLink(r)
	}
	name := dirName(task)
	g := &Group{version: c.version, name: path.Join(c.name, name), options: c.options}
	for i, d := range c.used(r) {
		parent, d := d.Path, Dir{Path: filepath.Join(d.Path, name), Controllers: d.Controllers}
		g.dirs = append(g.dirs, d)
		var err error
		if c.version == V1 {
			c.share()
			err = makeV1(parent, d.Path, d.Controllers)
		} else {
			err = os.Mkdir(d.Path, 0o755)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot make a cgroup for task %s: %w", task, err), g.unmake(i))
		}
	}
	return g, nil
}

// share is shareV1 for the container, which is once enough.
func (c *Container) share() {
	c.shared.Do(func() {
		for _, d := range c.dirs {
			shareV1(d.Path, d.Controllers)
		}
	})
}

// Close removes what the container has made beside the tasks' groups: the
// executor's own directory in a delegated subtree. It must be empty by then.
func (c *Container) Close() error {
	if dirs := c.Delegated(); len(dirs) > 0 {
		// The first is the one that is held: it goes last.
		for _, dir := range slices.Backward(dirs) {
			if err := unlinkDir(dir); err != nil && !gone(err) {
				return fmt.Errorf("cannot remove cgroup %s: %w", c.name, err)
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.held >= 0 {
			_ = unix.Close(c.held)
			c.held = -1
		}
	}
	return nil
}

// used returns the directories below which a task needs one of its own. On v1
// some hierarchies are left alone unless a limit asks for them: a child there
// would escape from what is set for the container (throttled block I/O) or from
// what an agent counts for it.
func (c *Container) used(r *specs.LinuxResources) []Dir {
	if c.version == V2 {
		return c.dirs
	}
	controllers := needed(V1, r)
	var used []Dir
	for _, d := range c.dirs {
		if slices.ContainsFunc(d.Controllers, func(have string) bool { return slices.Contains(controllers, have) }) {
			used = append(used, d)
		}
	}
	if len(used) == 0 {
		return c.dirs // any will do to keep the processes together
	}
	return used
}

// The controllers that every task has, for limits, for measuring and for
// ending it. Others, which cost, come when a limit asks for them.
var (
	everyV1 = []string{"cpu", "cpuacct", "memory", "pids", "freezer"}
	everyV2 = []string{"cpu", "memory", "pids"}
)

// needed lists the controllers of a task with these limits.
func needed(version Version, r *specs.LinuxResources) []string {
	all := slices.Clone(everyV2)
	if version == V1 {
		all = slices.Clone(everyV1)
	}
	values, _, err := Values(version, r, ValueOptions{})
	if err != nil {
		return all // Limit will say so
	}
	for _, v := range values {
		if !slices.Contains(all, v.Controller) {
			all = append(all, v.Controller)
		}
	}
	return all
}
