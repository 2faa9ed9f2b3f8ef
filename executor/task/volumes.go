package task

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tandem-mesos/tandem/executor/workload"
)

// linkVolumes has a task's directory name the persistent volumes that the agent
// has put into the sandbox as volume-NAME, a mount or a link by its isolators. A
// volume that belongs to the executor's user is given to the task's (nil when they
// are the same), so that the first workload with a user of its own can write to
// it; what is in it stays whose it is.
//
// In a root file system of its own a task has the volumes mounted, for which
// there are directories instead.
func linkVolumes(sandbox, dir string, volumes []string, user *workload.Numbers, rooted bool) error {
	for _, name := range volumes {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return fmt.Errorf("the volume %q cannot be the name of a directory", name)
		}
		volume, link := filepath.Join(sandbox, "volume-"+name), filepath.Join(dir, name)
		info, err := os.Stat(volume)
		if err != nil {
			return fmt.Errorf("cannot find volume %s in the sandbox: %w", name, err)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && user != nil && int(st.Uid) == os.Geteuid() {
			if err := os.Chown(volume, user.UID, user.GID); err != nil {
				return fmt.Errorf("cannot give volume %s to its user: %w", name, err)
			}
		}
		if rooted {
			if err := os.Mkdir(link, 0o755); err != nil && !os.IsExist(err) {
				return fmt.Errorf("cannot make a directory for volume %s: %w", name, err)
			}
			continue
		}
		if to, err := os.Readlink(link); err == nil && to == volume {
			continue
		}
		if err := os.Symlink(volume, link); err != nil {
			return fmt.Errorf("cannot put volume %s into its directory: %w", name, err)
		}
	}
	return nil
}
