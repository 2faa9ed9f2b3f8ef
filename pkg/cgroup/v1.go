package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
		shareV1(parent, d.Controllers)
		if err := makeV1(parent, at, d.Controllers); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// shareV1 has the limits of a v1 directory hold for what is made below it. Kernels
// before 5.11 let children escape a parent's limit unless this is on before the first
// child; later ones have it always on. It cannot be changed where there are children, and
// needs not to.
func shareV1(dir string, controllers []string) {
	if !slices.Contains(controllers, "memory") {
		return
	}
	if file := filepath.Join(dir, "memory.use_hierarchy"); !is(file, 1) {
		_ = write(file, "1")
	}
}

// makeV1 makes one v1 directory; one that exists is left as it is, and is
// [fs.ErrExist].
func makeV1(parent, dir string, controllers []string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make cgroup directory: %w", err)
	}
	if slices.Contains(controllers, "cpuset") {
		// A v1 cpuset starts empty and admits no process until it has both.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			content, err := read(filepath.Join(parent, file))
			if err == nil {
				err = write(filepath.Join(dir, file), strings.TrimSpace(content))
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
