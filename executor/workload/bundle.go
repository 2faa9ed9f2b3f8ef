package workload

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/spawn"
	"github.com/tandem-mesos/tandem/pkg/confine"
)

// Root is a root file system of a workload's own, in which an OCI runtime, crun or
// runc, starts the program. It takes an executor that is root, a mount namespace
// and a cgroup. The runtime ends when the program runs, and nothing of it stays.
type Root struct {
	// Path is the directory that becomes the root.
	Path string
	// Sandbox is the machine's directory that the program finds at Inside.
	Sandbox, Inside string
	// Volumes are further directories of the machine.
	Volumes []Volume
	// Work is a directory for the runtime's files, which is made for the start and
	// removed with it. Nobody but root should be able to change what is above it.
	Work string
	// Container is what else a bundle asks for. The sources of its mounts are paths of
	// the machine here.
	Container confine.Container
}

// Volume is a directory of the machine in a root file system.
type Volume struct{ Source, Destination string }

// bundle is the config.json of an OCI bundle. It has no resources and no path of
// a cgroup: the workload's limits are in force when the runtime begins, which must
// have no say in them.
type bundle struct {
	Version  string        `json:"ociVersion"`
	Process  specs.Process `json:"process"`
	Root     specs.Root    `json:"root"`
	Hostname string        `json:"hostname,omitempty"`
	Mounts   []specs.Mount `json:"mounts"`
	Linux    bundleOfLinux `json:"linux"`
}

type bundleOfLinux struct {
	Namespaces    []specs.LinuxNamespace `json:"namespaces"`
	Sysctl        map[string]string      `json:"sysctl,omitempty"`
	Seccomp       *specs.LinuxSeccomp    `json:"seccomp,omitempty"`
	MaskedPaths   []string               `json:"maskedPaths"`
	ReadonlyPaths []string               `json:"readonlyPaths"`
	MountLabel    string                 `json:"mountLabel,omitempty"`
}

// What a program is not shown of the machine, and what it can write nothing to.
var (
	masked = []string{"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware"}
	readonly = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// ofMachine are files of the machine that a program needs where it shares its
// network.
var ofMachine = []string{"/etc/hosts", "/etc/resolv.conf"}

// bundleOf describes the program for a runtime. Has lists which capabilities there
// are, by name; there are those files of ofMachine that present names.
func bundleOf(s *Spec, p spawn.Program, has, present []string) bundle {
	_, args := s.program()
	if s.Path != "" { // A runtime has one word for what to run and for its name.
		args = append([]string{s.Path}, args[1:]...)
	} else if s.Shell != "" {
		args = append([]string{"/bin/sh"}, args[1:]...)
	}
	umask, score := uint32(p.Umask), wantedScore(s.OOMScoreAdj)
	c := &s.View.Root.Container
	b := bundle{
		Version: "1.0.2", // the oldest that has all of this
		Process: specs.Process{
			Args: args, Env: s.Env, Cwd: s.Dir,
			User:            specs.User{Umask: &umask},
			Capabilities:    s.Capabilities,
			NoNewPrivileges: s.NoNewPrivileges,
			OOMScoreAdj:     &score,
			ApparmorProfile: c.ApparmorProfile,
			SelinuxLabel:    c.SelinuxLabel,
		},
		Root:     specs.Root{Path: s.View.Root.Path, Readonly: s.View.ReadonlyRoot},
		Hostname: c.Hostname,
		Mounts:   mountsOf(s, present),
		Linux: bundleOfLinux{
			Sysctl: c.Sysctl, Seccomp: c.Seccomp, MountLabel: c.MountLabel,
			MaskedPaths: slices.Concat(masked, c.MaskedPaths), ReadonlyPaths: slices.Concat(readonly, c.ReadonlyPaths),
		},
	}
	if u := p.User; u != nil {
		b.Process.User.UID, b.Process.User.GID = uint32(u.UID), uint32(u.GID)
		for _, g := range u.Groups {
			b.Process.User.AdditionalGids = append(b.Process.User.AdditionalGids, uint32(g))
		}
	}
	if s.Capabilities == nil { // Those that a change of the user leaves.
		b.Process.Capabilities = &specs.LinuxCapabilities{Bounding: has}
		if b.Process.User.UID == 0 {
			b.Process.Capabilities.Effective, b.Process.Capabilities.Permitted = has, has
		}
	}
	for _, r := range p.Rlimits {
		name, _ := confine.ResourceName(r.Resource)
		b.Process.Rlimits = append(b.Process.Rlimits, specs.POSIXRlimit{Type: name, Soft: r.Soft, Hard: r.Hard})
	}
	for _, n := range s.View.Namespaces {
		b.Linux.Namespaces = append(b.Linux.Namespaces, specs.LinuxNamespace{Type: n})
	}
	return b
}

// mountsOf lists what is in the root, in the order in which it is mounted. Of the
// machine's cgroups the program sees what there is, and can write to none.
func mountsOf(s *Spec, present []string) []specs.Mount {
	own := func(kind, at string, options ...string) specs.Mount {
		return specs.Mount{Destination: at, Type: kind, Source: kind, Options: options}
	}
	bind := func(from, to string, options ...string) specs.Mount {
		return specs.Mount{Destination: to, Type: "none", Source: from, Options: append([]string{"rbind"}, options...)}
	}
	all := []specs.Mount{
		own("proc", "/proc", "nosuid", "noexec", "nodev"),
		own("tmpfs", "/dev", "nosuid", "strictatime", "mode=755", "size=65536k"),
		own("devpts", "/dev/pts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
		own("tmpfs", "/dev/shm", "nosuid", "noexec", "nodev", "mode=1777"),
		bind("/sys", "/sys", "nosuid", "noexec", "nodev", "ro"),
	}
	if slices.Contains(s.View.Namespaces, specs.IPCNamespace) {
		all = append(all, own("mqueue", "/dev/mqueue", "nosuid", "noexec", "nodev"))
	}
	for _, file := range present {
		all = append(all, bind(file, file, "ro"))
	}
	all = append(all, s.View.Root.Container.Mounts...)
	for _, m := range s.View.Mounts {
		all = append(all, own("tmpfs", m.Destination, m.Options...))
	}
	all = append(all, bind(s.View.Root.Sandbox, s.View.Root.Inside))
	for _, v := range s.View.Root.Volumes {
		all = append(all, bind(v.Source, v.Destination))
	}
	return all
}

func (r *Root) validate(s *Spec) error {
	for _, path := range []string{r.Path, r.Sandbox, r.Inside, r.Work} {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("its root file system has the path %q, which is not absolute", path)
		}
	}
	if !slices.Contains(s.View.Namespaces, specs.MountNamespace) {
		return errors.New("its root file system takes a mount namespace")
	}
	if s.Path != "" && filepath.Base(s.Path) != filepath.Base(s.Args[0]) {
		return fmt.Errorf("its program %s is to have the name %q, which an OCI runtime cannot give it; execute it under that name", s.Path, s.Args[0])
	}
	return nil
}

// cgroupMounts lists where cgroups are mounted, by /proc/self/mountinfo (see
// proc(5)), and which of these are v2's beside those of v1.
func cgroupMounts(mountinfo string) (all, beside []string) {
	var v1 bool
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		const at = 4
		if len(fields) <= at || len(kind) == 0 {
			continue
		}
		point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[at])
		switch kind[0] {
		case "cgroup":
			v1 = true
		case "cgroup2":
			beside = append(beside, point)
		default:
			continue
		}
		if !slices.Contains(all, point) {
			all = append(all, point)
		}
	}
	if !v1 {
		beside = nil
	}
	return all, beside
}

// bounding lists the capabilities that a program can have at all.
func bounding() (names []string) {
	for _, name := range confine.Capabilities() {
		n, _ := confine.CapabilityOf(name)
		if has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0); err == nil && has == 1 {
			names = append(names, name)
		}
	}
	return names
}
