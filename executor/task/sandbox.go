package task

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tandem-mesos/tandem/executor/workload"
)

// directory returns the path of a task's directory. Mesos lets no task ID
// through that is no file name; a path must not depend on that.
func directory(sandbox, id string) (string, error) {
	if id == "" || id == "." || id == ".." || strings.ContainsAny(id, "/\x00") {
		return "", fmt.Errorf("the task ID %q cannot be the name of a directory", id)
	}
	return filepath.Join(sandbox, "tasks", id), nil
}

// makeDirectory makes a task's directory, for a user that may be another than
// the executor's (nil when it is not).
func makeDirectory(sandbox, dir string, user *workload.Numbers) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("cannot make its directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o750); err != nil && !os.IsExist(err) {
		return fmt.Errorf("cannot make its directory: %w", err)
	}
	if user == nil {
		return nil
	}
	if err := os.Lchown(dir, user.UID, user.GID); err != nil {
		return fmt.Errorf("cannot give its directory to its user: %w", err)
	}
	return letThrough(sandbox, user)
}

// letThrough makes the executor's own directory one that the user can pass
// through: the agent makes it for the executor's user alone.
func letThrough(sandbox string, user *workload.Numbers) error {
	info, err := os.Stat(sandbox)
	if err != nil {
		return fmt.Errorf("cannot look at the sandbox: %w", err)
	}
	const search = 0o001
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == user.UID || info.Mode()&search != 0 {
		return nil
	}
	if err := os.Chmod(sandbox, info.Mode().Perm()|search); err != nil {
		return fmt.Errorf("cannot let its user through the sandbox: %w", err)
	}
	return nil
}
