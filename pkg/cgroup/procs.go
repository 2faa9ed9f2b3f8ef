package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Entrances lists the files through which a process of a single thread moves
// itself into the group: it writes 0 to each.
//
// On v1 that hardly costs anything from Linux 5.16 on. Whoever moves others, or all
// threads of a process, has to keep the whole machine from forking and exiting,
// and the kernel takes 10 to 20 ms to get there after an idle moment; the thread
// that moves itself alone has no need of it (cgroup_procs_write_start in the
// kernel's kernel/cgroup/cgroup.c).
func (g *Group) Entrances() []string {
	file := procsFile
	if g.version == V1 {
		file = "tasks"
	}
	var all []string
	for _, d := range g.dirs {
		all = append(all, filepath.Join(d.Path, file))
	}
	return all
}

// Add moves the process, with all its threads, into the group. The first move
// after an idle moment costs the kernel 10 to 20 ms; see [Group.Entrances]. A
// process that was forked a moment ago may not be movable yet,
// so it is tried for 150 ms. A process that is gone gives ESRCH.
func (g *Group) Add(pid int) error {
	for _, d := range g.dirs {
		if err := attach(d.Path, pid); err != nil {
			return fmt.Errorf("cannot move process %d into cgroup %s: %w", pid, g.name, errno(err))
		}
	}
	return nil
}

// attach has the patience of the library's own, which is for v1 only and looks
// the whole group up each time: the kernel says EINVAL of a process whose main
// thread has not run yet.
func attach(dir string, pid int) error {
	var err error
	for range 5 {
		err = write(filepath.Join(dir, procsFile), strconv.Itoa(pid))
		if !errors.Is(err, syscall.EINVAL) {
			break
		}
		time.Sleep(30 * time.Millisecond)
	}
	return err
}

const procsFile = "cgroup.procs"

// Processes lists the processes in the group and in all below it, in
// ascending order. A process that has ended and is not yet reaped is not
// listed. A group that does not exist has none.
//
// The library's own listing walks over every file of every directory and gives
// up when a directory goes away meanwhile.
func (g *Group) Processes() ([]int, error) {
	var all []int
	for _, d := range g.dirs {
		err := eachDir(d.Path, func(dir string) error {
			pids, err := readPids(filepath.Join(dir, procsFile))
			all = append(all, pids...)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("cannot list the processes of cgroup %s: %w", g.name, err)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Populated says whether a process lives in the group or below it.
func (g *Group) Populated() (bool, error) {
	if g.version == V2 {
		events, err := keyed(filepath.Join(g.dirs[0].Path, "cgroup.events"))
		if gone(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("cannot read whether cgroup %s is empty: %w", g.name, err)
		}
		return events["populated"] != 0, nil
	}
	pids, err := g.Processes()
	return len(pids) > 0, err
}

func readPids(file string) ([]int, error) {
	lines, err := words(file)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, line := range lines {
		pid, err := strconv.Atoi(line)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", file, err)
		}
		// 0 stands for a process of another pid namespace.
		if pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// eachDir visits a cgroup directory and those below it, parents first.
// Directories that go away meanwhile are passed over.
func eachDir(dir string, visit func(dir string) error) error {
	if err := visit(dir); err != nil || childless(dir) {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		if gone(err) {
			return nil
		}
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := eachDir(filepath.Join(dir, e.Name()), visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// gone says that a cgroup has been removed: its files are no more, or the
// open ones answer ENODEV.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV)
}
