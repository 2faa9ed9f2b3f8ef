package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
)

// Persistent volumes lie below the work directory, or the root of their disk, by
// role and ID; one on a disk of type MOUNT is that disk. They are linked into
// sandboxes, as by a real agent's posix file system isolator (src/slave/paths.cpp,
// filesystem/posix.cpp).

// volumePath is where a volume lies; the master has seen to it that role and ID
// are names. A blank cannot be in a role, and stands for its slashes.
func (a *Agent) volumePath(r *mesos.Resource) string {
	role := ""
	if n := len(r.Reservations); n > 0 {
		role = r.Reservations[n-1].GetRole()
	}
	root := a.options.WorkDir
	switch source := r.GetDisk().GetSource(); source.GetType() {
	case mesos.Resource_DiskInfo_Source_MOUNT:
		return a.within(source.GetMount().GetRoot())
	case mesos.Resource_DiskInfo_Source_PATH:
		root = a.within(source.GetPath().GetRoot())
	}
	return filepath.Join(root, "volumes", "roles", strings.ReplaceAll(role, "/", " "), r.GetDisk().GetPersistence().GetID())
}

// within returns the root of a disk, which may be given from the work directory.
func (a *Agent) within(root string) string {
	if filepath.IsAbs(root) {
		return root
	}
	return filepath.Join(a.options.WorkDir, root)
}

// keepVolumes makes and removes the directories of volumes.
func (a *Agent) keepVolumes(v core.Volumes) {
	if a.options.Fake != nil {
		return
	}
	for i := range v.Created {
		if err := os.MkdirAll(a.volumePath(&v.Created[i]), 0o755); err != nil {
			a.log.WithError(err).Error("cannot make a persistent volume")
		}
	}
	for i := range v.Destroyed {
		if err := a.removeVolume(&v.Destroyed[i]); err != nil {
			a.log.WithError(err).Error("cannot remove a persistent volume")
		}
	}
}

// removeVolume removes a volume, or all that is in it where it is a whole disk.
func (a *Agent) removeVolume(r *mesos.Resource) error {
	path := a.volumePath(r)
	if r.GetDisk().GetSource().GetType() != mesos.Resource_DiskInfo_Source_MOUNT {
		return os.RemoveAll(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	var failed error
	for _, e := range entries {
		failed = errors.Join(failed, os.RemoveAll(filepath.Join(path, e.Name())))
	}
	return failed
}

// update is what a container is to have from now on.
type update struct {
	limits  core.Limits
	volumes []mesos.Resource
}

// wanted is where which name of the sandbox has to lead.
func (w *worker) wanted(volumes []mesos.Resource) map[string]string {
	linked := make(map[string]string, len(volumes))
	for i := range volumes {
		name := volumes[i].GetDisk().GetVolume().GetContainerPath()
		if name == "" || strings.Contains(name, "/") {
			w.agent.log.WithField("path", name).Warn("a persistent volume is not linked, because its container path has a slash")
			continue
		}
		linked[name] = w.agent.volumePath(&volumes[i])
	}
	return linked
}

// link has the sandbox name these volumes, and those of before no more. The
// executor can change its sandbox, so nothing beyond its own directory is
// followed. Volumes with a slash in their path are passed over.
func (w *worker) link(dir string, owner sandbox.Owner, volumes []mesos.Resource) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("cannot link volumes: %w", err)
	}
	defer root.Close()
	linked := w.wanted(volumes)
	for name, path := range w.linked {
		if linked[name] == path {
			continue
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			//lint:ignore ST1005 the words of a real agent, which travel on the wire
			return fmt.Errorf("Failed to remove the symlink for the unneeded persistent volume at '%s'", filepath.Join(dir, name))
		}
	}
	for name, path := range linked {
		if w.linked[name] == path {
			continue
		}
		if owner.UID != 0 {
			if err := os.Chown(path, int(owner.UID), int(owner.GID)); err != nil {
				//lint:ignore ST1005 the words of a real agent, which travel on the wire
				return fmt.Errorf("Failed to change the ownership of the persistent volume at '%s' with uid %d and gid %d: %w", path, owner.UID, owner.GID, err)
			}
		}
		if err := root.Symlink(path, name); err != nil {
			//lint:ignore ST1005 the words of a real agent, which travel on the wire
			return fmt.Errorf("Failed to symlink persistent volume from '%s' to '%s'", path, filepath.Join(dir, name))
		}
	}
	w.linked = linked
	return nil
}
