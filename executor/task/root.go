package task

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/executor/workload"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// insideRoot is a task's directory in a root file system of its own: where a Mesos
// agent puts the sandbox of a container with an image.
const insideRoot = "/mnt/mesos/sandbox"

// rootOf describes a task's root file system, which is below its directory.
func rootOf(task *mesos.TaskInfo, settings *tandemv1.TaskSettings, path string, at Place) *workload.Root {
	root := &workload.Root{
		Path:    filepath.Join(at.Dir, path),
		Sandbox: at.Dir,
		// Not below the task's directory: that is its user's.
		Work: filepath.Join(at.Sandbox, "runtime", task.TaskID.Value),
	}
	for _, name := range settings.GetVolumes() {
		root.Volumes = append(root.Volumes, workload.Volume{
			Source: filepath.Join(at.Sandbox, "volume-"+name), Destination: filepath.Join(insideRoot, name),
		})
	}
	return root
}

// checkRoot refuses a root that a link leads out of the task's directory: what a
// runtime makes there, such as directories to mount on, it makes as root. One that
// is not there is left to the launcher to tell.
func checkRoot(root *workload.Root) error {
	if root == nil {
		return nil
	}
	dir, err := filepath.EvalSymlinks(root.Sandbox)
	if err != nil {
		return fmt.Errorf("cannot find its directory: %w", err)
	}
	real, err := filepath.EvalSymlinks(root.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot find its root file system: %w", err)
	}
	below, err := filepath.Rel(root.Sandbox, root.Path)
	if err != nil || real != filepath.Join(dir, below) {
		return fmt.Errorf("its root file system %s is a link, to %s; it must be a directory", below, real)
	}
	return nil
}
