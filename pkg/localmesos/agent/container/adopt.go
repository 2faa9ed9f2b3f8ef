package container

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// Adopt takes a container over that an earlier process has started, with its
// executor's process ID or zero. An executor that is no more, or whose process ID
// is another's by now, has ended; its container is there until Wait. How an
// adopted executor ends nobody can tell.
func (r *Runtime) Adopt(id string, pid int, l core.Limits) (*Container, error) {
	c := &Container{runtime: r, done: make(chan struct{}), limits: l, hardMB: hardMemory(l)}
	var err error
	if c.members, err = c.cgroups(id, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot adopt container %s: %w", id, err), c.remove())
	}
	c.leader = adopt(id, pid)
	go c.wait()
	return c, nil
}

func adopt(id string, pid int) *adopted {
	a := &adopted{id: pid, fd: -1}
	if pid <= 0 {
		return a
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return a
	}
	// What is looked at is of the process that the descriptor names.
	if !isOf(id, pid) {
		_ = unix.Close(fd)
		return a
	}
	a.fd = fd
	return a
}

// isOf says whether a process is a container's: the ID is in the name of its
// cgroups, or of its sandbox, which its environment tells.
func isOf(id string, pid int) bool {
	for _, name := range []string{"cgroup", "environ"} {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
		if err == nil && bytes.Contains(text, []byte(id)) {
			return true
		}
	}
	return false
}

// Orphans lists the containers that are there by the cgroups, without those named.
func (r *Runtime) Orphans(known ...string) []string {
	if r.root == "" {
		return nil
	}
	var ids []string
	for _, h := range r.host.Hierarchies {
		if h.Unified != (r.host.Version == cgroup.V2) {
			continue
		}
		dir, err := h.Dir(r.root)
		if err != nil {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.IsDir() && !slices.Contains(known, e.Name()) && !slices.Contains(ids, e.Name()) {
				ids = append(ids, e.Name())
			}
		}
	}
	return ids
}

// Clear kills what is in a container that nobody knows, and removes it.
func (r *Runtime) Clear(id string) error {
	group, err := r.host.Create(path.Join(r.root, id), controllers...)
	if err != nil {
		return fmt.Errorf("cannot clear container %s: %w", id, err)
	}
	return (&Container{runtime: r, group: group}).remove()
}
