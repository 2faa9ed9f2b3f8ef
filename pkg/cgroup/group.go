package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Group is one cgroup: on v1 a directory in each of several hierarchies, on
// v2 one directory. Its methods may be called from several goroutines at once.
// What they report is read from the kernel every time.
type Group struct {
	version Version
	name    string
	dirs    []Dir
	options ValueOptions
	// soft is the memory limit in bytes that memory.high stands for, 0 for none.
	soft atomic.Int64
	// pids is the limit of processes, 0 for none, and from when forking was stopped
	// to kill them: what is refused then is refused by us.
	pids    atomic.Int64
	thrash  thrash
	removed func() // called once, when the directories are gone; nil for nothing
	// gone is set with it: another task's group may have the same directories
	// from then on.
	gone atomic.Bool
}

// Dir is one directory of a Group.
type Dir struct {
	// Path is the directory.
	Path string
	// Controllers are those whose files are in it.
	Controllers []string
}

// AbsentError says that a group has no such controller, or its kernel no
// such file of the controller, so that a limit cannot be set. A caller chooses
// whether that is a failure.
type AbsentError struct {
	Controller string
	// File is empty where the whole controller is missing.
	File  string
	Group string
}

func (e *AbsentError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("cgroup %s has no %s controller", e.Group, e.Controller)
	}
	return fmt.Sprintf("cgroup %s has no file %s", e.Group, e.File)
}

// Create makes the cgroup with this path, as /proc/<pid>/cgroup would call
// it, and its parents, in the hierarchies of the wanted controllers. Those that
// the host lacks are left out; see [Group.Has]. A cgroup that exists is used as
// it is.
//
// On v2 the wanted controllers are enabled in those ancestors that do not have
// them enabled yet, from the mount's own directory down, so the caller must own
// the tree: an executor below an agent uses a [Container] in place of this.
func (h Host) Create(group string, controllers ...string) (*Group, error) {
	group = path.Clean("/" + group)
	switch h.Version {
	case V1:
		return h.createV1(group, controllers)
	case V2:
		return h.createV2(group, controllers)
	default:
		return nil, ErrUnavailable
	}
}

func (h Host) createV1(group string, controllers []string) (*Group, error) {
	var paths []string
	var dirs []Dir
	for _, hierarchy := range h.Hierarchies {
		if !slices.ContainsFunc(controllers, hierarchy.Has) {
			continue
		}
		dir, err := hierarchy.Dir(group)
		if err != nil {
			return nil, err
		}
		paths = append(paths, hierarchy.Mount)
		dirs = append(dirs, Dir{Path: dir, Controllers: hierarchy.Controllers})
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("cannot make cgroup %s: %w: none of %s", group, ErrUnavailable, strings.Join(controllers, ", "))
	}
	g := &Group{version: V1, name: group, dirs: dirs}
	for i, d := range dirs {
		if err := makeBelow(paths[i], d); err != nil {
			return nil, errors.Join(err, g.unmake(i))
		}
	}
	return g, nil
}

func (h Host) createV2(group string, controllers []string) (_ *Group, err error) {
	root := h.Hierarchies[0]
	dir, err := root.Dir(group)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(root.Mount, dir)
	if err != nil {
		return nil, fmt.Errorf("cannot make cgroup %s: %w", group, err)
	}
	// What fails, for instance in a container whose processes are in the
	// cgroup that it sees as the root, leaves everything as it was.
	var undo []func()
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot make cgroup %s: %w", group, err)
			for _, f := range slices.Backward(undo) {
				f()
			}
		}
	}()
	at := root.Mount
	for _, step := range strings.Split(rel, "/") {
		parent := at
		at = filepath.Join(at, step)
		enabled, err := enable(parent, controllers)
		undo = append(undo, func() { disable(parent, enabled) })
		if err != nil {
			return nil, err
		}
		switch err := os.Mkdir(at, 0o755); {
		case err == nil:
			made := at
			undo = append(undo, func() { _ = unlinkDir(made) })
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
	}
	return openV2(group, dir)
}

// openV2 returns the Group of an existing v2 directory.
func openV2(group, dir string) (*Group, error) {
	controllers, err := words(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return nil, fmt.Errorf("cannot open cgroup %s: %w", group, err)
	}
	return &Group{version: V2, name: group, dirs: []Dir{{Path: dir, Controllers: controllers}}}, nil
}

// Version returns V1 or V2.
func (g *Group) Version() Version { return g.version }

// String returns the group's path within its hierarchies.
func (g *Group) String() string { return g.name }

// Dirs returns the group's directories: one for each v1 hierarchy, one on v2.
func (g *Group) Dirs() []Dir { return slices.Clone(g.dirs) }

// Has says whether limits of the controller can be set.
func (g *Group) Has(controller string) bool {
	_, ok := g.dir(controller)
	return ok
}

func (g *Group) dir(controller string) (string, bool) {
	for _, d := range g.dirs {
		if slices.Contains(d.Controllers, controller) {
			return d.Path, true
		}
	}
	return "", false
}

// Set writes the values in order and stops at the first that fails. A
// missing controller or file gives an [*AbsentError], unless the value says that
// it is as good, and a kernel that takes no [DeviceProgram] an [*UnsupportedError].
// A refusal by the kernel comes back with its errno.
func (g *Group) Set(values ...Value) error {
	for i, v := range values {
		if err := g.set(v, values[i:]); err != nil {
			return err
		}
	}
	return nil
}

// set writes one value; rest are the values from it onwards.
func (g *Group) set(v Value, rest []Value) error {
	if v.File == DeviceProgram {
		return g.setDevices(v.Devices)
	}
	dir, ok := g.dir(v.Controller)
	if v.Controller == "cgroup" && g.version == V2 {
		dir, ok = g.dirs[0].Path, true // the core's own files, which every v2 cgroup has
	}
	if !ok {
		return g.absent(v, "")
	}
	if v.belowUse(dir) {
		return fmt.Errorf("cannot write %q to %s of cgroup %s: more is in use, and memory.checkBeforeUpdate asks to look: %w",
			v.Content, v.File, g.name, syscall.EBUSY)
	}
	err := write(filepath.Join(dir, v.File), v.Content)
	if errors.Is(err, syscall.EINVAL) && g.version == V1 && g.makeRoom(dir, v, rest) {
		err = write(filepath.Join(dir, v.File), v.Content)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EOPNOTSUPP): // some old files are there and mean nothing
		if v.Else != nil {
			return g.set(*v.Else, nil)
		}
		return g.absent(v, v.File)
	default:
		return fmt.Errorf("cannot write %q to %s of cgroup %s: %w%s", v.Content, v.File, g.name, errno(err), hint(dir, v, err))
	}
}

// belowUse says whether a value is known to be below what its file of use says.
func (v Value) belowUse(dir string) bool {
	if v.Used == "" {
		return false
	}
	used, err := number(filepath.Join(dir, v.Used))
	if err != nil {
		return false // Without the controller there is no limit to write either.
	}
	most, err := strconv.ParseUint(v.Content, 10, 64)
	return err == nil && most < used
}

// hint tells what the kernel's errno does not.
func hint(dir string, v Value, err error) string {
	switch {
	case v.File == "devices.allow" && errors.Is(err, syscall.EPERM):
		return "; no cgroup may have a device that the one above it has not, and where that one is given a list of them " +
			"the rules have to begin with {allow: false}"
	case v.File != "cpu.cfs_quota_us" || !errors.Is(err, syscall.EINVAL):
		return ""
	}
	quota, _ := words(filepath.Join(dir, "..", v.File))
	period, _ := words(filepath.Join(dir, "..", "cpu.cfs_period_us"))
	if len(quota) != 1 || len(period) != 1 || quota[0] == "-1" {
		return ""
	}
	return fmt.Sprintf("; the cgroup above it is limited to %s us in %s us, and no child may have more", quota[0], period[0])
}

// makeRoom handles changes of a v1 cgroup that has limits already, where the
// old value of one file forbids the new value of another. It says whether the
// write should be tried again.
func (g *Group) makeRoom(dir string, v Value, rest []Value) bool {
	switch v.File {
	case "memory.limit_in_bytes":
		// It may not exceed the old limit of memory and swap together.
		for _, next := range rest {
			if next.File == "memory.memsw.limit_in_bytes" {
				return write(filepath.Join(dir, next.File), next.Content) == nil
			}
		}
	case "cpu.cfs_period_us":
		// The old quota over the new period may exceed the parent's ratio.
		for _, next := range rest {
			if next.File == "cpu.cfs_quota_us" {
				return write(filepath.Join(dir, next.File), "-1") == nil
			}
		}
	}
	return false
}

func (g *Group) absent(v Value, file string) error {
	if v.Optional || v.Swap && swapless() {
		return nil
	}
	return &AbsentError{Controller: v.Controller, File: file, Group: g.name}
}

// swapless says whether the machine surely has no swap: /proc/swaps has its
// heading only.
func swapless() bool {
	swaps, err := read("/proc/swaps")
	return err == nil && strings.Count(strings.TrimSpace(swaps), "\n") == 0
}

// Prepare makes a process that is started with attr begin its life in the
// group. It works on v2 only and returns false on v1, where the process has to
// be moved before it does anything of its own, by itself through
// [Group.Entrances] or by another with [Group.Add]. release must be
// called when the process has been started or could not be.
func (g *Group) Prepare(attr *syscall.SysProcAttr) (release func(), ok bool, err error) {
	if g.version != V2 {
		return func() {}, false, nil
	}
	fd, err := unix.Open(g.dirs[0].Path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false, fmt.Errorf("cannot open cgroup %s: %w", g.name, err)
	}
	attr.UseCgroupFD, attr.CgroupFD = true, fd
	return func() { unix.Close(fd) }, true, nil
}

// enable turns on controllers for the children of a v2 directory: those that
// the directory has and that are not on yet, one by one, because one refusal
// makes the kernel refuse the whole line. It returns what it has turned on, also
// when it fails.
func enable(dir string, controllers []string) (enabled []string, err error) {
	available, err := words(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the controllers of %s: %w", dir, err)
	}
	already, err := words(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the controllers of %s: %w", dir, err)
	}
	for _, c := range controllers {
		if !slices.Contains(available, c) || slices.Contains(already, c) {
			continue
		}
		if err := write(filepath.Join(dir, "cgroup.subtree_control"), "+"+c); err != nil {
			return enabled, fmt.Errorf("cannot enable the %s controller below %s: %w", c, dir, errno(err))
		}
		enabled = append(enabled, c)
	}
	return enabled, nil
}

// disable takes back what enable has done. Where somebody has begun to use it
// meanwhile it stays.
func disable(dir string, controllers []string) {
	for _, c := range controllers {
		_ = write(filepath.Join(dir, "cgroup.subtree_control"), "-"+c)
	}
}

// errno strips the path from a file error whose message names it anyway.
func errno(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
