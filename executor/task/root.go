package task

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/confine"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// insideRoot is a task's directory in a root file system of its own: where a Mesos
// agent puts the sandbox of a container with an image.
const insideRoot = "/mnt/mesos/sandbox"

// rootOf describes a task's root file system, which is below its directory.
func rootOf(task *mesos.TaskInfo, settings *tandemv1.TaskSettings, asked confine.Spec, bundle *confine.Bundle, at Place) *workload.Root {
	root := &workload.Root{
		Path:    filepath.Join(at.Dir, asked.Root.Path),
		Sandbox: at.Dir,
		Inside:  insideRoot,
		// Not below the task's directory: that is its user's.
		Work: filepath.Join(at.Sandbox, "runtime", task.TaskID.Value),
	}
	if bundle != nil {
		root.Container = containerOf(bundle, filepath.Join(at.Dir, asked.Bundle))
	}
	root.Container.Seccomp = asked.Seccomp
	for _, v := range volumesOf(task, settings) {
		root.Volumes = append(root.Volumes, workload.Volume{
			Source: filepath.Join(at.Sandbox, v.source), Destination: filepath.Join(insideRoot, v.name),
		})
	}
	return root
}

// checkRoot refuses a root, or a directory of a bundle that is mounted in it, that a
// link leads out of the task's directory: what a runtime makes there, such as
// directories to mount on, it makes as root. One that is not there is left to the
// launcher to tell.
func checkRoot(root *workload.Root) error {
	if root == nil {
		return nil
	}
	if err := checkBelow(root.Sandbox, root.Path, "root file system"); err != nil {
		return err
	}
	for _, m := range root.Container.Mounts {
		if m.Type == tmpfs {
			continue
		}
		if err := checkBelow(root.Sandbox, m.Source, "mount on "+m.Destination+","); err != nil {
			return err
		}
	}
	return nil
}

// checkBelow refuses a path that is not what it looks like.
func checkBelow(dir, path, what string) error {
	here, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("cannot find its directory: %w", err)
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot find its %s: %w", what, err)
	}
	below, err := filepath.Rel(dir, path)
	if err != nil || real != filepath.Join(here, below) {
		return fmt.Errorf("its %s %s is a link, to %s, which may be outside of the task's directory; bring it as it is", what, below, real)
	}
	return nil
}
