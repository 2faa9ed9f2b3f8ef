package cgroup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// Version says which generation of the cgroup interface limits are set
// through on a host.
type Version int

const (
	// None means that no usable cgroup file system is mounted.
	None Version = iota
	// V1 has one hierarchy for each controller, or for each of a few
	// controllers together. A host with v1 controllers is V1 even where a v2
	// hierarchy without them is mounted beside ("hybrid").
	V1
	// V2 has one unified hierarchy.
	V2
)

// String returns "none", "v1" or "v2".
func (v Version) String() string {
	switch v {
	case V1:
		return "v1"
	case V2:
		return "v2"
	default:
		return "none"
	}
}

// ErrUnavailable is returned where an operation needs a cgroup file system and
// none is mounted.
var ErrUnavailable = errors.New("no cgroup file system is mounted")

// Hierarchy is one mounted cgroup hierarchy.
type Hierarchy struct {
	// Mount is the directory where the hierarchy is mounted.
	Mount string
	// Root is the cgroup that shows at Mount: "/" but for containers that
	// have only a part of the hierarchy mounted.
	Root string
	// Unified is true for cgroup v2.
	Unified bool
	// Controllers are those of a v1 hierarchy, such as cpu and cpuacct; a
	// named hierarchy without a controller has one "name=…" entry. It is empty
	// for v2, where every cgroup says in cgroup.controllers what it has.
	Controllers []string
	// ReadOnly is true where the mount cannot be written.
	ReadOnly bool
	// LocalEvents is true for a v2 hierarchy mounted with memory_localevents:
	// memory.events then counts what happened to the cgroup itself and not
	// what happened below it.
	LocalEvents bool
}

// Dir returns the directory of the cgroup that /proc/<pid>/cgroup calls
// group. It fails where that cgroup is not below the part of the hierarchy
// that is mounted.
func (h Hierarchy) Dir(group string) (string, error) {
	// The kernel writes /.. for what is above the reader's cgroup namespace.
	if outside(group) || outside(h.Root) {
		return "", fmt.Errorf("cannot find cgroup %q below %s: it is in another cgroup namespace", group, h.Mount)
	}
	rel, err := filepath.Rel(h.Root, path.Clean(group))
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", fmt.Errorf("cannot find cgroup %q below %s: only %q is mounted there", group, h.Mount, h.Root)
	}
	return filepath.Join(h.Mount, rel), nil
}

func outside(group string) bool {
	return !strings.HasPrefix(group, "/") || group == "/.." || strings.HasPrefix(group, "/../")
}

// Has says whether the v1 hierarchy carries the controller.
func (h Hierarchy) Has(controller string) bool {
	return slices.Contains(h.Controllers, controller)
}

// Host is what a machine, or a container on it, has mounted.
type Host struct {
	// Version decides which of the hierarchies limits are set through.
	Version Version
	// Hierarchies are those of that version only, in the order they were
	// mounted. There is exactly one on V2.
	Hierarchies []Hierarchy
}

// ReadHost reads /proc/self/mountinfo. A host without cgroups is not an
// error: its Version is None.
func ReadHost() (Host, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Host{}, fmt.Errorf("cannot find where cgroups are mounted: %w", err)
	}
	defer f.Close()
	return ParseHost(f)
}

// ParseHost reads the format of /proc/<pid>/mountinfo, which proc(5)
// describes. Where a hierarchy is mounted in several places the first that
// can be written wins.
func ParseHost(r io.Reader) (Host, error) {
	mounts, err := mountinfo.GetMountsFromReader(r, mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return Host{}, fmt.Errorf("cannot read the mount table: %w", err)
	}
	var v1, v2 []Hierarchy
	for _, m := range mounts {
		h := Hierarchy{
			Mount:    m.Mountpoint,
			Root:     m.Root,
			Unified:  m.FSType == "cgroup2",
			ReadOnly: slices.Contains(strings.Split(m.Options, ","), "ro"),
		}
		super := strings.Split(m.VFSOptions, ",")
		if h.Unified {
			h.LocalEvents = slices.Contains(super, "memory_localevents")
			v2 = keepFirst(v2, h)
			continue
		}
		h.Controllers = controllersOf(super)
		v1 = keepFirst(v1, h)
	}
	switch {
	case len(v1) > 0 && (carries(v1, "cpu") || carries(v1, "memory") || len(v2) == 0):
		return Host{Version: V1, Hierarchies: v1}, nil
	case len(v2) > 0:
		// Lone v1 mounts beside v2 exist in the wild (a named hierarchy for
		// systemd, net_cls for a VPN) and limit nothing.
		return Host{Version: V2, Hierarchies: v2[:1]}, nil
	default:
		return Host{}, nil
	}
}

// Controllers returns the controllers of a v1 host, and nothing for v2.
func (h Host) Controllers() []string {
	var all []string
	for _, hierarchy := range h.Hierarchies {
		for _, c := range hierarchy.Controllers {
			if !strings.HasPrefix(c, namePrefix) {
				all = append(all, c)
			}
		}
	}
	return all
}

const namePrefix = "name="

// generic lists the super block options of a v1 mount that are not
// controllers; see cgroup1_show_options in the kernel's
// kernel/cgroup/cgroup-v1.c.
var generic = []string{"rw", "ro", "none", "noprefix", "clone_children", "xattr", "cpuset_v2_mode", "favordynmods", "seclabel"}

func controllersOf(super []string) []string {
	var out []string
	for _, o := range super {
		if o == "" || slices.Contains(generic, o) || strings.HasPrefix(o, "release_agent=") {
			continue
		}
		if strings.Contains(o, "=") && !strings.HasPrefix(o, namePrefix) {
			continue // a security module's own option, such as context=…
		}
		out = append(out, o)
	}
	return out
}

// keepFirst appends the hierarchy unless it is there already; a mount that
// can be written replaces one that cannot.
func keepFirst(all []Hierarchy, h Hierarchy) []Hierarchy {
	for i, known := range all {
		if slices.Equal(known.Controllers, h.Controllers) {
			if known.ReadOnly && !h.ReadOnly {
				all[i] = h
			}
			return all
		}
	}
	return append(all, h)
}

func carries(all []Hierarchy, controller string) bool {
	return slices.ContainsFunc(all, func(h Hierarchy) bool { return h.Has(controller) })
}
