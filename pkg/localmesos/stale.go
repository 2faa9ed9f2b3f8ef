package localmesos

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/container"
)

// A process that is killed cannot clean up. What its clusters leave behind has
// its process ID in the name, so that the next cluster can: executors in their
// cgroups, and temporary directories.

const namePrefix = "localmesos-"

// ownName is the beginning of the names of what this process makes.
func ownName() string { return fmt.Sprintf("%s%d-", namePrefix, os.Getpid()) }

// lastingName is the name of what the clusters of all processes make that have the
// same directory, one after the other: what one leaves is not stale but the next
// one's.
func lastingName(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("cannot use directory %q: %w", dir, err)
	}
	sum := sha256.Sum256([]byte(dir))
	return namePrefix + "in-" + hex.EncodeToString(sum[:8]), nil
}

// stale says that a name was given by a process that is no more.
func stale(name string) bool {
	rest, ok := strings.CutPrefix(name, namePrefix)
	number, _, dashed := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(number)
	return ok && dashed && err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// removeStale does what it can: what it cannot remove belongs to somebody else,
// and harms nobody.
func removeStale(isolation agent.Isolation) {
	if isolation != agent.IsolationNone {
		container.RemoveStale(stale)
	}
	dirs, err := os.ReadDir(os.TempDir())
	if err != nil {
		return
	}
	for _, d := range dirs {
		if d.IsDir() && stale(d.Name()) {
			_ = os.RemoveAll(filepath.Join(os.TempDir(), d.Name()))
		}
	}
}
