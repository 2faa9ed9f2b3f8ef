package task

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/executor/workload"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// volume is a persistent volume of a task.
type volume struct {
	// name is where the task finds it, below its own directory.
	name string
	// source is where the agent has put it, below the executor's: a mount, or a link,
	// by its isolators.
	source string
}

// volumesOf lists a task's persistent volumes: those that its settings name, which are
// among the executor's resources, and those among its own, in which other schedulers
// have them. The agent puts the latter into the executor's directory as well.
func volumesOf(task *mesos.TaskInfo, settings *tandemv1.TaskSettings) (all []volume) {
	for _, name := range settings.GetVolumes() {
		all = append(all, volume{name: name, source: "volume-" + name})
	}
	for i := range task.Resources {
		if v := task.Resources[i].GetDisk().GetVolume(); v != nil {
			all = append(all, volume{name: v.ContainerPath, source: v.ContainerPath})
		}
	}
	return all
}

// linkVolumes has a task's directory name its volumes. One that belongs to the
// executor's user is given to the task's (nil when they are the same), so that the first
// workload with a user of its own can write to it; what is in it stays whose it is.
//
// In a root file system of its own a task has the volumes mounted, for which
// there are directories instead.
func linkVolumes(sandbox, dir string, volumes []volume, user *workload.Numbers, rooted bool) error {
	if len(volumes) == 0 {
		return nil
	}
	// The directory is the task's user's, who may have put links into it.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("cannot put volumes into its directory: %w", err)
	}
	defer root.Close()
	for _, v := range volumes {
		if !filepath.IsLocal(v.name) || filepath.Clean(v.name) != v.name || v.name == "." {
			return fmt.Errorf("the volume %q cannot be the name of a directory", v.name)
		}
		source := filepath.Join(sandbox, v.source)
		info, err := os.Stat(source)
		if err != nil {
			return fmt.Errorf("cannot find volume %s in the sandbox: %w", v.name, err)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && user != nil && int(st.Uid) == os.Geteuid() {
			if err := os.Chown(source, user.UID, user.GID); err != nil {
				return fmt.Errorf("cannot give volume %s to its user: %w", v.name, err)
			}
		}
		if rooted {
			if err := root.MkdirAll(v.name, 0o755); err != nil {
				return fmt.Errorf("cannot make a directory for volume %s: %w", v.name, err)
			}
			continue
		}
		if to, err := root.Readlink(v.name); err == nil && to == source {
			continue
		}
		err = root.MkdirAll(filepath.Dir(v.name), 0o755)
		if err == nil {
			err = root.Symlink(source, v.name)
		}
		if err != nil {
			return fmt.Errorf("cannot put volume %s into its directory: %w", v.name, err)
		}
	}
	return nil
}
