package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

func TestVolumesInSandboxes(t *testing.T) {
	parentPath := func(path string) *mesos.Volume_Source {
		return &mesos.Volume_Source{
			Type:        mesos.Volume_Source_SANDBOX_PATH,
			SandboxPath: &mesos.Volume_Source_SandboxPath{Type: mesos.Volume_Source_SandboxPath_PARENT, Path: path},
		}
	}
	selfPath := parentPath("x")
	selfPath.SandboxPath.Type = mesos.Volume_Source_SandboxPath_SELF
	hostPath := func(path string) *mesos.Volume_Source {
		return &mesos.Volume_Source{Type: mesos.Volume_Source_HOST_PATH, HostPath: &mesos.Volume_Source_HostPath{Path: path}}
	}
	for _, c := range []struct {
		name   string
		volume mesos.Volume
		// link is where the container path leads, and err why it cannot be.
		link, err string
		alone     bool // there is no parent
	}{
		{name: "of the parent", volume: mesos.Volume{ContainerPath: "v", Source: parentPath("shared")}, link: "<parent>/shared"},
		{name: "further below", volume: mesos.Volume{ContainerPath: "a/b", Source: parentPath("p/q")}, link: "<parent>/p/q"},
		{name: "a persistent volume of the parent", volume: mesos.Volume{ContainerPath: "v", Source: parentPath("data")}, link: "<parent>/data"},
		{name: "of the machine", volume: mesos.Volume{ContainerPath: "v", Source: hostPath("<host>")}, link: "<host>"},
		{name: "as there was no source", volume: mesos.Volume{ContainerPath: "v", HostPath: new("<host>")}, link: "<host>", alone: true},
		{name: "of a kind that nobody provides", volume: mesos.Volume{ContainerPath: "v", Image: &mesos.Image{}}},

		{name: "no parent", volume: mesos.Volume{ContainerPath: "v", Source: parentPath("x")}, alone: true,
			err: "SANDBOX_PATH volume PARENT type only works for nested container"},
		{name: "absolute", volume: mesos.Volume{ContainerPath: "v", Source: parentPath("/x")}, err: "Path '/x' in SANDBOX_PATH volume is absolute"},
		{name: "up", volume: mesos.Volume{ContainerPath: "v", Source: parentPath("../x")},
			err: "Path '../x' in SANDBOX_PATH volume leaves the sandbox of the parent container"},
		{name: "of its own", volume: mesos.Volume{ContainerPath: "v", Source: selfPath}, err: "'container_path' is relative for SANDBOX_PATH volume SELF type"},
		{name: "at an absolute path", volume: mesos.Volume{ContainerPath: "/no/such/place", Source: parentPath("x")},
			err: "Mount point '/no/such/place' is an absolute path. It must exist if the container shares the host filesystem"},
		{name: "at a directory of the machine", volume: mesos.Volume{ContainerPath: "/tmp", Source: parentPath("x")},
			err: "The 'linux' launcher and 'filesystem/linux' isolator must be enabled to support SANDBOX_PATH volume with absolute container path"},
		{name: "of the machine at an absolute path", volume: mesos.Volume{ContainerPath: "/no/such/place", Source: hostPath("<host>")},
			err: "Mount point '/no/such/place' is an absolute path. It must exist if the container shares the host filesystem"},
		{name: "absolute without a parent", volume: mesos.Volume{ContainerPath: "/no/such/place", Source: parentPath("x")}, alone: true,
			err: "SANDBOX_PATH volume PARENT type only works for nested container"},
		{name: "not on the machine", volume: mesos.Volume{ContainerPath: "v", Source: hostPath("/no/such/thing")},
			err: "Path '/no/such/thing' in HOST_PATH volume does not exist"},
		{name: "relative on the machine", volume: mesos.Volume{ContainerPath: "v", Source: hostPath("x")}, err: "Path 'x' in HOST_PATH volume is not absolute"},
		{name: "outside the sandbox", volume: mesos.Volume{ContainerPath: "../v", Source: hostPath("<host>")},
			err: "Failed to create the mount point at '<above>/v': it would be outside the sandbox"},
	} {
		t.Run(c.name, func(t *testing.T) {
			box, parent, host := t.TempDir(), t.TempDir(), t.TempDir()
			names := strings.NewReplacer("<host>", host, "<parent>", parent, "<above>", filepath.Dir(box))
			if err := os.Symlink(host, filepath.Join(parent, "data")); err != nil {
				t.Fatal(err)
			}
			if s := c.volume.Source; s != nil && s.HostPath != nil {
				s.HostPath.Path = names.Replace(s.HostPath.Path)
			}
			if c.volume.HostPath != nil {
				c.volume.HostPath = new(names.Replace(*c.volume.HostPath))
			}
			if c.alone {
				parent = ""
			}
			err := linkVolumes(box, parent, []mesos.Volume{c.volume})
			if c.err != "" {
				if err == nil || err.Error() != names.Replace(c.err) {
					t.Fatalf("%v, want %s", err, names.Replace(c.err))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			link, err := os.Readlink(filepath.Join(box, c.volume.ContainerPath))
			if c.link == "" {
				if !os.IsNotExist(err) {
					t.Errorf("a link to %q, %v", link, err)
				}
				return
			}
			if err != nil || link != names.Replace(c.link) {
				t.Errorf("a link to %q, %v", link, err)
			}
			if info, err := os.Stat(link); err != nil || !info.IsDir() {
				t.Errorf("it leads to no directory: %v", err)
			}
		})
	}
}
