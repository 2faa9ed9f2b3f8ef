package confine

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Problem is something that cannot be meant.
type Problem struct {
	// Field is where it is, such as "process.rlimits[0].type".
	Field string
	// Text says what is wrong and what to do, to follow the field's name.
	Text string
}

// rlimits maps the OCI names to the kernel's numbers.
var rlimits = map[string]int{
	"RLIMIT_AS":         unix.RLIMIT_AS,
	"RLIMIT_CORE":       unix.RLIMIT_CORE,
	"RLIMIT_CPU":        unix.RLIMIT_CPU,
	"RLIMIT_DATA":       unix.RLIMIT_DATA,
	"RLIMIT_FSIZE":      unix.RLIMIT_FSIZE,
	"RLIMIT_LOCKS":      unix.RLIMIT_LOCKS,
	"RLIMIT_MEMLOCK":    unix.RLIMIT_MEMLOCK,
	"RLIMIT_MSGQUEUE":   unix.RLIMIT_MSGQUEUE,
	"RLIMIT_NICE":       unix.RLIMIT_NICE,
	"RLIMIT_NOFILE":     unix.RLIMIT_NOFILE,
	"RLIMIT_NPROC":      unix.RLIMIT_NPROC,
	"RLIMIT_RSS":        unix.RLIMIT_RSS,
	"RLIMIT_RTPRIO":     unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME":     unix.RLIMIT_RTTIME,
	"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
	"RLIMIT_STACK":      unix.RLIMIT_STACK,
}

// ResourceOf returns the kernel's number of a resource limit by its OCI name.
func ResourceOf(name string) (number int, ok bool) {
	number, ok = rlimits[name]
	return number, ok
}

// ResourceName returns the OCI name of a resource limit by the kernel's number.
func ResourceName(number int) (name string, ok bool) {
	for name, n := range rlimits {
		if n == number {
			return name, true
		}
	}
	return "", false
}

// Check lists what is wrong with a Spec, in the order of its fields.
func (s *Spec) Check() []Problem {
	var c checker
	if p := s.Process; p != nil {
		c.process(p)
	}
	for i, n := range s.Namespaces {
		at := fmt.Sprintf("namespaces[%d].type", i)
		switch n.Type {
		case specs.PIDNamespace, specs.MountNamespace, specs.IPCNamespace, specs.UTSNamespace:
			if slices.Contains(s.Namespaces[:i], n) {
				c.refuse(at, "is %q a second time", n.Type)
			}
		default:
			c.refuse(at, "is %q; a workload can have its own pid, mount, ipc and uts", n.Type)
		}
	}
	mount := s.Has(specs.MountNamespace) || s.Bundle != ""
	if s.Has(specs.PIDNamespace) && !mount {
		c.refuse("namespaces", "has pid without mount; a program that sees its own processes only needs a /proc of its own: add {type: mount}")
	}
	c.root(s, mount)
	for i, m := range s.Mounts {
		at := fmt.Sprintf("mounts[%d]", i)
		if !mount {
			c.refuse(at, needsMount)
		}
		if m.Type != "tmpfs" {
			c.refuse(at+".type", "is %q; only tmpfs can be mounted", m.Type)
		}
		if !path.IsAbs(m.Destination) || path.Clean(m.Destination) != m.Destination || m.Destination == "/" || strings.ContainsRune(m.Destination, 0) {
			c.refuse(at+".destination", "is %q; it must be an absolute path without . and .., and not /", m.Destination)
		}
		if _, _, err := m.Flags(); err != nil {
			c.refuse(at+".options", "%v", err)
		}
	}
	return c.problems
}

const needsMount = "needs a mount namespace; add {type: mount} to linux.namespaces"

type checker struct{ problems []Problem }

// root checks what has to do with the root file system.
func (c *checker) root(s *Spec, mount bool) {
	below := func(field, dir, such string) {
		if !filepath.IsLocal(dir) || path.Clean(dir) != dir || strings.ContainsRune(dir, 0) {
			c.refuse(field, "is %q; it must be a directory that fetch brings into the workload's own, such as %s", dir, such)
		}
	}
	if s.Root != nil && s.Root.Readonly && !mount {
		c.refuse("root.readonly", needsMount)
	}
	switch own := s.Root != nil && s.Root.Path != ""; {
	case s.Bundle != "" && own:
		c.refuse("root.path", "stands beside a bundle, which has its root by itself; leave one of them out")
	case s.Bundle != "":
		below("bundle", s.Bundle, "bundle")
	case own:
		if !mount {
			c.refuse("root.path", needsMount)
		}
		if s.Root.Path == "." {
			c.refuse("root.path", "is the workload's own directory; have fetch bring it into one below, such as rootfs")
			break
		}
		below("root.path", s.Root.Path, "rootfs")
	}
	if s.Seccomp != nil && !s.HasRoot() {
		c.refuse("seccomp", "needs a root file system of its own, root.path or bundle: an OCI runtime puts it in force")
	}
	c.seccomp("seccomp", s.Seccomp)
}

func (c *checker) refuse(field, format string, args ...any) {
	c.problems = append(c.problems, Problem{field, fmt.Sprintf(format, args...)})
}

func (c *checker) process(p *Process) {
	if u := p.User; u != nil && u.Umask != nil && *u.Umask > 0o777 {
		c.refuse("process.user.umask", "is %#o; the most is 0777", *u.Umask)
	}
	if p.Capabilities != nil {
		c.capabilities(p.Capabilities)
	}
	seen := map[string]bool{}
	for i, r := range p.Rlimits {
		at := fmt.Sprintf("process.rlimits[%d]", i)
		if _, ok := rlimits[r.Type]; !ok {
			c.refuse(at+".type", "is %q; the kernel's are called RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_MEMLOCK and so on", r.Type)
		}
		if seen[r.Type] {
			c.refuse(at+".type", "is %q a second time", r.Type)
		}
		seen[r.Type] = true
		if r.Soft < -1 || r.Hard < -1 {
			c.refuse(at, "is below -1, which means no limit")
		}
		if r.Soft.Kernel() > r.Hard.Kernel() {
			c.refuse(at+".soft", "is above hard")
		}
	}
	if o := p.OOMScoreAdj; o != nil && (*o < -1000 || *o > 1000) {
		c.refuse("process.oomScoreAdj", "is %d; it goes from -1000 to 1000", *o)
	}
}

func (c *checker) capabilities(all *specs.LinuxCapabilities) {
	for _, set := range []struct {
		name  string
		names []string
		// within are the sets that the kernel wants them to be in.
		within []string
		sets   [][]string
	}{
		{"bounding", all.Bounding, nil, nil},
		{"permitted", all.Permitted, []string{"bounding"}, [][]string{all.Bounding}},
		{"effective", all.Effective, []string{"permitted"}, [][]string{all.Permitted}},
		{"inheritable", all.Inheritable, []string{"bounding"}, [][]string{all.Bounding}},
		{"ambient", all.Ambient, []string{"permitted", "inheritable"}, [][]string{all.Permitted, all.Inheritable}},
	} {
		for i, name := range set.names {
			at := fmt.Sprintf("process.capabilities.%s[%d]", set.name, i)
			if _, ok := capabilities[name]; !ok {
				c.refuse(at, "is %q, which is no capability; they are called CAP_NET_BIND_SERVICE, CAP_SYS_PTRACE and so on", name)
				continue
			}
			for j, other := range set.sets {
				if !slices.Contains(other, name) {
					c.refuse(at, "is %s, which is not in %s as well", name, set.within[j])
				}
			}
		}
	}
}

// seccomp refuses what has to do with a process of the agent's.
func (c *checker) seccomp(field string, s *specs.LinuxSeccomp) {
	switch {
	case s == nil:
	case s.DefaultAction == "":
		c.refuse(field+".defaultAction", "is missing; SCMP_ACT_ERRNO, say, or SCMP_ACT_ALLOW")
	case s.ListenerPath != "" || s.ListenerMetadata != "":
		c.refuse(field+".listenerPath", "names a socket of the agent's; leave it out")
	}
}

// Flags returns a tmpfs mount's flags and data for mount(2).
func (m Mount) Flags() (flags uintptr, data string, err error) {
	var rest []string
	for _, o := range m.Options {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "nosuid":
			flags |= unix.MS_NOSUID
		case "nodev":
			flags |= unix.MS_NODEV
		case "noexec":
			flags |= unix.MS_NOEXEC
		case "ro":
			flags |= unix.MS_RDONLY
		case "rw":
		case "size", "nr_inodes", "mode", "uid", "gid":
			base := 10
			if name == "mode" {
				base = 8
			}
			number := strings.TrimRight(value, "kKmMgG%")
			if _, err := strconv.ParseUint(number, base, 63); err != nil || len(value)-len(number) > 1 {
				return 0, "", fmt.Errorf("have %q, whose value is not a number", o)
			}
			rest = append(rest, o)
		default:
			return 0, "", fmt.Errorf("have %q; known are nosuid, nodev, noexec, ro, rw, size, nr_inodes, mode, uid and gid", o)
		}
	}
	return flags, strings.Join(rest, ","), nil
}
