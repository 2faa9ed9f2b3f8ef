package cgroup

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Value is one limit as it is written: which controller, which file of the
// cgroup's directory, what content.
type Value struct {
	// Controller is the kernel's name of the controller on that version.
	Controller string
	File       string
	Content    string
	// Else is written where File does not exist, nil for none.
	Else *Value
	// Optional marks a write that a missing controller or file makes
	// needless, such as one that asks for no limit.
	Optional bool
	// Swap marks a limit that a machine without swap satisfies too.
	Swap bool
	// Used, where it is not empty, names the file of the same directory whose
	// number Content must not be below; the write is refused if it is.
	Used string
	// Devices are the rules of a [DeviceProgram], of which Content is the text.
	Devices []specs.LinuxDeviceCgroup
}

// DeviceProgram stands in [Value.File] for what is no file: the program that the
// kernel asks, on v2, about each access to a device by a process of the group.
const DeviceProgram = "devices.program"

// String returns "file = content".
func (v Value) String() string { return v.File + " = " + v.Content }

// UnsupportedError says that a limit cannot be expressed: the version has
// nothing like it, or this package does not set it.
type UnsupportedError struct {
	// Field is the path of the field in OCI LinuxResources, such as
	// "memory.kernel".
	Field   string
	Version Version
	// Reason says more than that there is no such limit; it may be empty.
	Reason string
}

func (e *UnsupportedError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("cannot set %s on cgroup %s: %s", e.Field, e.Version, e.Reason)
	}
	return fmt.Sprintf("cannot set %s: cgroup %s has no such limit", e.Field, e.Version)
}

// InvalidError says that a limit contradicts itself or the format.
type InvalidError struct {
	Field  string
	Reason string
}

func (e *InvalidError) Error() string { return fmt.Sprintf("cannot set %s: %s", e.Field, e.Reason) }

// ValueOptions are choices that LinuxResources has no field for.
type ValueOptions struct {
	// SoftMemory, on v2, puts the memory limit into memory.high in place of
	// memory.max: the kernel then never kills for it, and whoever asks for
	// this must watch the group with [Group.Overrun] and end it.
	SoftMemory bool
	// GroupOOM, on v2, makes an out-of-memory kill take the whole cgroup.
	GroupOOM bool
}

// Values translates limits into the writes that put them in force in a fresh
// cgroup, in the order in which they must be made. Both results count:
// unsupported holds an [*UnsupportedError] for each field that the version has
// no file for. An [*InvalidError] makes the whole answer void.
//
// containerd/cgroups' own conversion is not used: it drops a quota that comes
// without a period, writes -1 where v2 wants "max", subtracts swap from no
// limit, and forgets burst, idle and unified.
func Values(version Version, r *specs.LinuxResources, options ValueOptions) (values []Value, unsupported []error, err error) {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	if err := validate(r); err != nil {
		return nil, nil, err
	}
	t := translation{version: version}
	switch version {
	case V1:
		t.v1(r)
	case V2:
		t.v2(r, options)
	default:
		return nil, nil, ErrUnavailable
	}
	return t.values, t.unsupported, nil
}

type translation struct {
	version     Version
	values      []Value
	unsupported []error
}

func (t *translation) add(controller, file, content string) {
	t.values = append(t.values, Value{Controller: controller, File: file, Content: content})
}

// limit adds a number of which -1 means no limit, spelled as the file wants it.
func (t *translation) limit(controller, file string, n int64, unlimited string) {
	if n < 0 {
		t.values = append(t.values, Value{Controller: controller, File: file, Content: unlimited, Optional: true})
		return
	}
	t.add(controller, file, strconv.FormatInt(n, 10))
}

func (t *translation) refuse(condition bool, field, reason string) {
	if condition {
		t.unsupported = append(t.unsupported, &UnsupportedError{Field: field, Version: t.version, Reason: reason})
	}
}

// inessential makes the last write optional if it asks for what is so anyway
// where there is no file for it.
func (t *translation) inessential(condition bool) {
	if condition {
		t.values[len(t.values)-1].Optional = true
	}
}

// validate refuses what no version could mean.
func validate(r *specs.LinuxResources) error {
	if c := r.CPU; c != nil {
		switch {
		case c.Quota != nil && (*c.Quota == 0 || *c.Quota < -1):
			return &InvalidError{"cpu.quota", fmt.Sprintf("%d is neither a time in microseconds nor -1 for no limit", *c.Quota)}
		case c.Period != nil && *c.Period == 0:
			return &InvalidError{"cpu.period", "0 is not a time"}
		case c.Idle != nil && *c.Idle != 0 && *c.Idle != 1:
			return &InvalidError{"cpu.idle", fmt.Sprintf("%d is neither 0 nor 1", *c.Idle)}
		case strings.ContainsAny(c.Cpus+c.Mems, "\n\x00"):
			return &InvalidError{"cpu.cpus", "it is more than one line"}
		}
	}
	if m := r.Memory; m != nil {
		for _, f := range []struct {
			name string
			n    *int64
		}{
			{"memory.limit", m.Limit}, {"memory.reservation", m.Reservation}, {"memory.swap", m.Swap},
			{"memory.kernel", kernelLimit(m)}, {"memory.kernelTCP", m.KernelTCP},
		} {
			if f.n != nil && *f.n < -1 {
				return &InvalidError{f.name, fmt.Sprintf("%d is neither a size in bytes nor -1 for no limit", *f.n)}
			}
		}
		if m.Swap != nil && *m.Swap >= 0 {
			if m.Limit == nil || *m.Limit < 0 {
				return &InvalidError{"memory.swap", "it is the limit of memory and swap together and needs a memory.limit"}
			}
			if *m.Swap < *m.Limit {
				return &InvalidError{"memory.swap", fmt.Sprintf("%d is the limit of memory and swap together and must not be below memory.limit, %d", *m.Swap, *m.Limit)}
			}
		}
		if m.Swappiness != nil && *m.Swappiness > 200 {
			return &InvalidError{"memory.swappiness", fmt.Sprintf("%d is above 200", *m.Swappiness)}
		}
	}
	if p := r.Pids; p != nil && p.Limit != nil && (*p.Limit == 0 || *p.Limit < -1) {
		return &InvalidError{"pids.limit", fmt.Sprintf("%d is neither a number of processes nor -1 for no limit", *p.Limit)}
	}
	for _, h := range r.HugepageLimits {
		if !pageSize(h.Pagesize) {
			return &InvalidError{"hugepageLimits", fmt.Sprintf("%q is not a page size as the kernel writes it, such as 2MB or 1GB", h.Pagesize)}
		}
	}
	if b := r.BlockIO; b != nil {
		weights := []*uint16{b.Weight}
		for _, d := range b.WeightDevice {
			weights = append(weights, d.Weight)
		}
		for _, w := range weights {
			if w != nil && (*w < 10 || *w > 1000) {
				return &InvalidError{"blockIO.weight", fmt.Sprintf("%d is not between 10 and 1000", *w)}
			}
		}
	}
	for _, d := range r.Devices {
		if err := validateDevice(d); err != nil {
			return err
		}
	}
	if n := r.Network; n != nil {
		for _, p := range n.Priorities {
			if p.Name == "" || strings.ContainsAny(p.Name, " \n\x00") {
				return &InvalidError{"network.priorities", fmt.Sprintf("%q is not the name of an interface", p.Name)}
			}
		}
	}
	for name := range r.Rdma {
		if name == "" || strings.ContainsAny(name, " \n\x00") {
			return &InvalidError{"rdma", fmt.Sprintf("%q is not the name of a device", name)}
		}
	}
	for file, content := range r.Unified {
		controller, _, ok := strings.Cut(file, ".")
		if !ok || controller == "" || strings.ContainsAny(file, "/\n\x00") {
			return &InvalidError{"unified", fmt.Sprintf("%q is not the name of a cgroup v2 file", file)}
		}
		// The files of the core move processes and change the tree, which
		// only this package may do.
		if controller == "cgroup" && file != "cgroup.max.depth" && file != "cgroup.max.descendants" {
			return &InvalidError{"unified", fmt.Sprintf("%s is not a limit", file)}
		}
		if strings.ContainsRune(content, 0) {
			return &InvalidError{"unified", fmt.Sprintf("the content of %s is not text", file)}
		}
	}
	return nil
}

func validateDevice(d specs.LinuxDeviceCgroup) error {
	switch d.Type {
	case "", "a", "b", "c":
	default:
		return &InvalidError{"devices.type", fmt.Sprintf("%q is none of a, b and c", d.Type)}
	}
	seen := map[rune]bool{}
	for _, c := range d.Access {
		if !strings.ContainsRune("rwm", c) || seen[c] {
			return &InvalidError{"devices.access", fmt.Sprintf("%q is not of r, w and m, each once", d.Access)}
		}
		seen[c] = true
	}
	return nil
}

// pageSize knows the names that the kernel gives sizes of huge pages, with
// which their files begin: a number and KB, MB or GB; see mem_fmt in the kernel's
// mm/hugetlb_cgroup.c.
func pageSize(name string) bool {
	number, prefixed := strings.CutSuffix(name, "B")
	if !prefixed || number == "" || !strings.ContainsRune("KMG", rune(number[len(number)-1])) {
		return false
	}
	n, err := strconv.ParseUint(number[:len(number)-1], 10, 32)
	return err == nil && n > 0 && strconv.FormatUint(n, 10)+number[len(number)-1:]+"B" == name
}

// kernelLimit is the one place that knows the field. Its kernels are old, and
// so are those of many agents.
func kernelLimit(m *specs.LinuxMemory) *int64 {
	//lint:ignore SA1019 It is in the format, so it is set or refused, and not forgotten.
	return m.Kernel
}

// unified comes last, so that it wins over the portable fields.
func (t *translation) unified(r *specs.LinuxResources, options ValueOptions) {
	for _, file := range slices.Sorted(maps.Keys(r.Unified)) {
		// Under a soft limit the kernel must not be given one to kill for.
		if file == "memory.max" && options.SoftMemory {
			t.refuse(true, "unified memory.max", "tasks are held to memory.high here")
			continue
		}
		controller, _, _ := strings.Cut(file, ".")
		// A file of many keys, such as io.max, takes one of them at a time.
		content := strings.TrimRight(r.Unified[file], "\n")
		for line := range strings.SplitSeq(content, "\n") {
			if line != "" || content == "" {
				t.add(controller, file, line)
			}
		}
	}
}

// Weight converts v1 cpu shares to a v2 cpu.weight so that the proportions
// between siblings stay as they are, which is all that either number means:
// 1024 shares become the default weight 100, as in Mesos, which counts 1024
// shares or a weight of 100 for one cpu. The result is within the kernel's
// bounds, 1 to 10000.
func Weight(shares uint64) uint64 {
	const most = 10000
	if shares >= most*1024/100 {
		return most
	}
	return max(1, uint64(math.Round(float64(shares)*100/1024)))
}
