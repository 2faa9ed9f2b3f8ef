package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/cgroups/v3/cgroup1"
)

// makeBelow makes a v1 directory and its parents below the hierarchy's mount,
// in the way that the controllers need.
func makeBelow(mount string, d Dir) error {
	rel, err := filepath.Rel(mount, d.Path)
	if err != nil {
		return fmt.Errorf("cannot make cgroup directory %s: %w", d.Path, err)
	}
	at := mount
	for _, step := range strings.Split(rel, "/") {
		parent := at
		at = filepath.Join(at, step)
		if err := makeV1(parent, at, d.Controllers); err != nil {
			return err
		}
	}
	return nil
}

// makeV1 makes one v1 directory; one that exists is left as it is.
func makeV1(parent, dir string, controllers []string) error {
	if slices.Contains(controllers, "memory") {
		// Kernels before 5.11 let children escape a parent's limit unless
		// this is on before the first child; later ones have it always on.
		// It cannot be changed where there are children, and needs not to.
		if file := filepath.Join(parent, "memory.use_hierarchy"); !is(file, 1) {
			_ = write(file, "1")
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return fmt.Errorf("cannot make cgroup directory: %w", err)
	}
	if slices.Contains(controllers, "cpuset") {
		// A v1 cpuset starts empty and admits no process until it has both.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			content, err := os.ReadFile(filepath.Join(parent, file))
			if err == nil {
				err = write(filepath.Join(dir, file), strings.TrimSpace(string(content)))
			}
			if err != nil {
				return errors.Join(fmt.Errorf("cannot pass %s on to a new cgroup: %w", file, err), os.Remove(dir))
			}
		}
	}
	return nil
}

func is(file string, n uint64) bool {
	have, err := number(file)
	return err == nil && have == n
}

// unmake removes the first n directories again, those that are empty.
func (g *Group) unmake(n int) error {
	var errs []error
	for _, d := range g.dirs[:n] {
		if err := os.Remove(d.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// subsystem lets containerd/cgroups work on one directory of a Group. Its own
// subsystem types would look for the hierarchy under its controller's name
// below one root, which is not where every host has it.
type subsystem struct{ dir string }

func (s subsystem) Name() cgroup1.Name   { return cgroup1.Name(s.dir) }
func (s subsystem) Path(_ string) string { return s.dir }

// control returns the library's view of the v1 directories.
func (g *Group) control() (cgroup1.Cgroup, error) {
	return cgroup1.Load(cgroup1.StaticPath("/"), cgroup1.WithHierarchy(func() ([]cgroup1.Subsystem, error) {
		all := make([]cgroup1.Subsystem, len(g.dirs))
		for i, d := range g.dirs {
			all[i] = subsystem{d.Path}
		}
		return all, nil
	}))
}
