package cgroup

import (
	"fmt"
	"io"
	"os"

	"github.com/containerd/cgroups/v3"
)

// Membership says which cgroup a process is in, for each hierarchy.
type Membership struct {
	// Controllers maps each v1 controller, and each named hierarchy as
	// "name=…", to a cgroup path.
	Controllers map[string]string
	// Unified is the path in the v2 hierarchy, empty where there is none.
	Unified string
}

// ReadMembership reads /proc/<pid>/cgroup; pid 0 means the calling process.
func ReadMembership(pid int) (Membership, error) {
	name := "/proc/self/cgroup"
	if pid != 0 {
		name = fmt.Sprintf("/proc/%d/cgroup", pid)
	}
	f, err := os.Open(name)
	if err != nil {
		return Membership{}, fmt.Errorf("cannot find the cgroups of process %d: %w", pid, err)
	}
	defer f.Close()
	return ParseMembership(f)
}

// ParseMembership reads the format of /proc/<pid>/cgroup, which cgroups(7)
// describes.
func ParseMembership(r io.Reader) (Membership, error) {
	controllers, unified, err := cgroups.ParseCgroupFromReaderUnified(r)
	if err != nil {
		return Membership{}, fmt.Errorf("cannot read a process's cgroups: %w", err)
	}
	return Membership{Controllers: controllers, Unified: unified}, nil
}

// In returns the process's cgroup in the hierarchy.
func (m Membership) In(h Hierarchy) (group string, ok bool) {
	if h.Unified {
		return m.Unified, m.Unified != ""
	}
	for _, c := range h.Controllers {
		if group, ok := m.Controllers[c]; ok {
			return group, true
		}
	}
	return "", false
}
