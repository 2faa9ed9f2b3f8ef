package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// linkVolumes has a container's sandbox name the volumes that it is described
// with: directories of the machine, and of the sandbox of its parent, which is
// empty for a container without one. A real agent mounts them; here they are
// links, as its posix isolators make them, and so always writable. Directories of
// the parent's that are not there are made, and belong to whom its sandbox does.
//
// Nothing is made outside both sandboxes. The errors have the words of a real
// agent's isolators (src/slave/containerizer/mesos/isolators/volume).
func linkVolumes(dir, parent string, volumes []mesos.Volume) error {
	for i := range volumes {
		v := &volumes[i]
		source, err := volumeSource(v, parent)
		if err != nil {
			return err
		}
		if source == "" {
			continue // of a kind that nobody here provides
		}
		if err := linkVolume(dir, v.ContainerPath, source); err != nil {
			//lint:ignore ST1005 the words of a real agent, which travel on the wire
			return fmt.Errorf("Failed to create the mount point at '%s': %w", filepath.Join(dir, v.ContainerPath), err)
		}
	}
	return nil
}

// volumeSource finds, or makes, what a volume shows.
func volumeSource(v *mesos.Volume, parent string) (string, error) {
	host, inside := v.GetHostPath(), v.GetSource().GetSandboxPath()
	if s := v.GetSource(); s.GetType() == mesos.Volume_Source_HOST_PATH && s.HostPath != nil {
		host = s.HostPath.Path
		if !filepath.IsAbs(host) {
			//lint:ignore ST1005 the words of a real agent, which travel on the wire
			return "", fmt.Errorf("Path '%s' in HOST_PATH volume is not absolute", host)
		}
	} else if host != "" && !filepath.IsAbs(host) {
		// What there was before there were sources.
		host, inside = "", &mesos.Volume_Source_SandboxPath{Type: mesos.Volume_Source_SandboxPath_SELF, Path: host}
	}
	switch {
	case host != "":
		return hostVolume(host, v.ContainerPath)
	case inside != nil:
		return parentVolume(inside, v.ContainerPath, parent)
	}
	return "", nil
}

func hostVolume(host, at string) (string, error) {
	if _, err := os.Stat(host); err != nil {
		//lint:ignore ST1005 the words of a real agent, which travel on the wire
		return "", fmt.Errorf("Path '%s' in HOST_PATH volume does not exist", host)
	}
	return host, mountable("HOST_PATH", at)
}

// mountable refuses what only a mount could show: what is not there by a real
// agent's filesystem/linux isolator, and the rest by its others.
func mountable(kind, at string) error {
	if !filepath.IsAbs(at) {
		return nil
	}
	if _, err := os.Stat(at); err != nil {
		//lint:ignore ST1005 the words of a real agent, which travel on the wire
		return fmt.Errorf("Mount point '%s' is an absolute path. It must exist if the container shares the host filesystem", at)
	}
	//lint:ignore ST1005 the words of a real agent, which travel on the wire
	return fmt.Errorf("The 'linux' launcher and 'filesystem/linux' isolator must be enabled to support %s volume with absolute container path", kind)
}

func parentVolume(s *mesos.Volume_Source_SandboxPath, at, parent string) (string, error) {
	text := ""
	switch {
	case filepath.IsAbs(s.Path):
		text = "Path '" + s.Path + "' in SANDBOX_PATH volume is absolute"
	case s.Type == mesos.Volume_Source_SandboxPath_SELF && filepath.IsAbs(at):
		return "", mountable("SANDBOX_PATH", at)
	case s.Type == mesos.Volume_Source_SandboxPath_SELF:
		text = "'container_path' is relative for SANDBOX_PATH volume SELF type"
	case s.Type != mesos.Volume_Source_SandboxPath_PARENT:
		text = "Unknown SANDBOX_PATH volume type"
	case parent == "":
		text = "SANDBOX_PATH volume PARENT type only works for nested container"
	case !filepath.IsLocal(s.Path):
		text = "Path '" + s.Path + "' in SANDBOX_PATH volume leaves the sandbox of the parent container"
	}
	if text != "" {
		return "", errors.New(text)
	}
	source := filepath.Join(parent, s.Path)
	if err := makeInside(parent, filepath.Clean(s.Path)); err != nil {
		//lint:ignore ST1005 the words of a real agent, which travel on the wire
		return "", fmt.Errorf("Failed to create the directory '%s' in the sandbox: %s", source, reason(err))
	}
	return source, mountable("SANDBOX_PATH", at)
}

// makeInside makes a directory below another unless something is there already,
// which may be a link to a persistent volume.
func makeInside(dir, name string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := root.MkdirAll(name, 0o755); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return root.Lchown(name, int(stat.Uid), int(stat.Gid))
	}
	return nil
}

// linkVolume makes a link in a sandbox.
func linkVolume(dir, name, source string) error {
	if !filepath.IsLocal(name) {
		return errors.New("it would be outside the sandbox")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	name = filepath.Clean(name)
	if above := path.Dir(name); above != "." {
		if err := root.MkdirAll(above, 0o755); err != nil {
			return err
		}
	}
	return root.Symlink(source, name)
}
