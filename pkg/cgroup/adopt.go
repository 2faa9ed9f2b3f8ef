package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// State is a task's group as it is passed on to a program that takes the place
// of the one that made it, in the same process.
type State struct {
	Name string
	Dirs []Dir
	// Soft is the memory limit in bytes that memory.high stands for, 0 for none.
	Soft int64
	// Pids is the limit of processes, 0 for none.
	Pids int64
	// Level and Weight are the group's place on the chain of a v2 container.
	Level  int
	Weight uint64
}

// State returns the state of a task's group.
func (c *Container) State(g *Group) State {
	s := State{Name: g.name, Dirs: g.Dirs(), Soft: g.soft.Load(), Pids: g.pids.Load()}
	if c.flat {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Level = c.level(g.dirs)
	s.Weight = c.chain[s.Level]
	return s
}

// level is how far down the chain directories hang: what there is of mesos
// between the container and the leaf, less one.
func (c *Container) level(dirs []Dir) int {
	below := strings.TrimPrefix(dirs[0].Path, c.dirs[0].Path)
	return strings.Count(below, string(filepath.Separator)+link) - 1
}

// Adopt returns the group of a task that runs, which another program has made in
// this container. All are to be adopted before another is created.
func (c *Container) Adopt(s State) (*Group, error) {
	if len(s.Dirs) == 0 {
		return nil, errors.New("cannot go on with a cgroup without a directory")
	}
	g := &Group{version: c.version, name: s.Name, dirs: s.Dirs, options: c.options}
	g.soft.Store(s.Soft)
	g.pids.Store(s.Pids)
	for _, d := range s.Dirs {
		if _, err := os.Lstat(d.Path); err != nil {
			return nil, fmt.Errorf("cannot go on with cgroup %s: %w", s.Name, err)
		}
	}
	if c.flat {
		return g, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.Level < 0 || s.Level != c.level(s.Dirs) || s.Weight == 0 {
		return nil, fmt.Errorf("cannot go on with cgroup %s: it has no place on the chain", s.Name)
	}
	for len(c.chain) <= s.Level {
		c.chain = append(c.chain, 0)
	}
	if c.chain[s.Level] != 0 {
		return nil, fmt.Errorf("cannot go on with cgroup %s: another has its place on the chain", s.Name)
	}
	c.chain[s.Level] = s.Weight
	g.removed = func() { c.free(s.Level) }
	return g, nil
}

// Held returns the descriptor by which this process holds its directory in a
// delegated subtree, or 0. It is passed on in ContainerOptions.Held.
func (c *Container) Held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.held, 0)
}

// hold takes the directory in a subtree that the program before this one held.
func hold(fd int, dir string) error {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return err
	}
	var held, there unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &held), unix.Stat(dir, &there)); err != nil {
		return err
	}
	if held.Dev != there.Dev || held.Ino != there.Ino {
		return fmt.Errorf("descriptor %d is not that of %s", fd, dir)
	}
	return nil
}
