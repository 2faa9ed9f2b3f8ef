package confine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Bundle is what the config.json of an OCI bundle asks for, as far as a task can
// have it: docs/executor.md says what is taken, left out and refused.
type Bundle struct {
	// Args and Env are the program's; Args may be empty.
	Args, Env []string
	// Cwd is its working directory in the root.
	Cwd string
	// User is by numbers, and has no umask, which is in Spec.
	User specs.User
	// Spec is what it is confined to in the words of tasks' own settings. The path
	// of its root is below the bundle.
	Spec Spec
	// Container is the rest.
	Container Container
	// Left says what it asks for and no task is given, one line each.
	Left []string
}

// Container is what a program can have in a root file system of its own only, where
// an OCI runtime gives it to it.
type Container struct {
	Hostname string
	// Mounts are of tmpfs, and of directories and files of the bundle: their sources
	// are below it.
	Mounts  []specs.Mount
	Seccomp *specs.LinuxSeccomp
	Sysctl  map[string]string
	// MaskedPaths and ReadonlyPaths are beside those that every container has.
	MaskedPaths, ReadonlyPaths                []string
	ApparmorProfile, SelinuxLabel, MountLabel string
}

// The parts of a config.json that are read; see config.md and config-linux.md of the
// OCI runtime specification. Rlimits and capabilities are as in a Spec.
type (
	config struct {
		OCIVersion string        `json:"ociVersion"`
		Process    configProcess `json:"process"`
		Root       *Root         `json:"root"`
		Hostname   string        `json:"hostname"`
		Mounts     []specs.Mount `json:"mounts"`
		Linux      configLinux   `json:"linux"`
	}
	configProcess struct {
		Process
		User            specs.User `json:"user"`
		Args            []string   `json:"args"`
		Env             []string   `json:"env"`
		Cwd             string     `json:"cwd"`
		ApparmorProfile string     `json:"apparmorProfile"`
		SelinuxLabel    string     `json:"selinuxLabel"`
	}
	configLinux struct {
		Namespaces        []specs.LinuxNamespace `json:"namespaces"`
		Sysctl            map[string]string      `json:"sysctl"`
		Seccomp           *specs.LinuxSeccomp    `json:"seccomp"`
		MaskedPaths       []string               `json:"maskedPaths"`
		ReadonlyPaths     []string               `json:"readonlyPaths"`
		RootfsPropagation string                 `json:"rootfsPropagation"`
		MountLabel        string                 `json:"mountLabel"`
		Resources         json.RawMessage        `json:"resources"`
	}
)

// refused are the fields that no task is given and that would be missed, by where
// they are, with why.
var refused = []struct{ in, field, why string }{
	{"", "hooks", "has programs of the agent's, which are run as root outside of the root file system"},
	{"", "domainname", "is not known to every runtime"},
	{"", "solaris", "is for another system"},
	{"", "windows", "is for another system"},
	{"", "vm", "is for another system"},
	{"", "zos", "is for another system"},
	{"", "freebsd", "is for another system"},
	{"process", "commandLine", "is for another system"},
	{"process", "scheduler", "is not known to every runtime"},
	{"process", "ioPriority", "is not known to every runtime"},
	{"process", "execCPUAffinity", "is not known to every runtime"},
	{"linux", "devices", "has more devices than the usual ones, which are all that a task is given"},
	{"linux", "uidMappings", "is for a user namespace, which no task is given"},
	{"linux", "gidMappings", "is for a user namespace, which no task is given"},
	{"linux", "timeOffsets", "is for a time namespace, which no task is given"},
	{"linux", "netDevices", "is for a network namespace, which no task is given"},
	{"linux", "intelRdt", "belongs to the agent"},
	{"linux", "memoryPolicy", "is not known to every runtime"},
	{"linux", "personality", "is not given to tasks"},
}

// ParseBundle reads a config.json, and says all that is wrong with it in one error.
// Fields that the specification does not have are ignored, as it demands.
func ParseBundle(data []byte) (*Bundle, error) {
	var c config
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("it is no config.json of the OCI runtime specification: %w", err)
	}
	check := &bundleChecker{of: &c}
	check.refused(data)
	b := check.bundle()
	check.problems = append(check.problems, b.Spec.Check()...)
	if len(check.problems) == 0 {
		return b, nil
	}
	texts := make([]string, len(check.problems))
	for i, p := range check.problems {
		texts[i] = p.Field + " " + p.Text
	}
	return nil, errors.New(strings.Join(texts, "; "))
}

type bundleChecker struct {
	checker
	of *config
}

// refused looks for what would be missed.
func (c *bundleChecker) refused(data []byte) {
	objects := map[string]map[string]json.RawMessage{"": fields(data)}
	for _, name := range []string{"process", "linux"} {
		objects[name] = fields(objects[""][name])
	}
	for _, r := range refused {
		if !emptyJSON(objects[r.in][r.field]) {
			c.refuse(strings.TrimPrefix(r.in+"."+r.field, "."), "%s; leave it out", r.why)
		}
	}
}

func fields(data []byte) (all map[string]json.RawMessage) {
	_ = json.Unmarshal(data, &all) // What is no object has none.
	return all
}

// emptyJSON says whether a field says nothing.
func emptyJSON(data []byte) bool {
	text := string(bytes.TrimSpace(data))
	return slices.Contains([]string{"", "null", "{}", "[]", `""`}, text)
}

func (c *bundleChecker) bundle() *Bundle {
	if !strings.HasPrefix(c.of.OCIVersion, "1.") {
		c.refuse("ociVersion", "is %q; 1.0 and later ones that go with it are known", c.of.OCIVersion)
	}
	p, l := &c.of.Process, &c.of.Linux
	b := &Bundle{Args: p.Args, Env: p.Env, Cwd: p.Cwd, User: p.User, Spec: Spec{Process: &p.Process, Root: c.root()}}
	if b.Cwd == "" {
		b.Cwd = "/"
	}
	if !path.IsAbs(b.Cwd) {
		c.refuse("process.cwd", "is %q, which is not absolute", b.Cwd)
	}
	for i, e := range b.Env {
		if at := strings.IndexByte(e, '='); at <= 0 || strings.ContainsRune(e, 0) {
			c.refuse(fmt.Sprintf("process.env[%d]", i), "is %q, which is not name=value", e)
		}
	}
	b.User.Umask, p.Process.User = nil, &User{Umask: p.User.Umask}
	if p.Capabilities == nil { // Nothing is said of them: there are none.
		p.Capabilities = &specs.LinuxCapabilities{}
	}
	// Some that runtimes write themselves have ambient ones that the kernel would not
	// take, and runtimes leave them out.
	p.Capabilities.Ambient = slices.DeleteFunc(p.Capabilities.Ambient, func(name string) bool {
		return !slices.Contains(p.Capabilities.Permitted, name) || !slices.Contains(p.Capabilities.Inheritable, name)
	})
	c.namespaces(b)
	b.Container = Container{
		Hostname: c.of.Hostname, Mounts: c.mounts(), Seccomp: l.Seccomp, Sysctl: l.Sysctl,
		MaskedPaths: l.MaskedPaths, ReadonlyPaths: l.ReadonlyPaths,
		ApparmorProfile: p.ApparmorProfile, SelinuxLabel: p.SelinuxLabel, MountLabel: l.MountLabel,
	}
	if b.Container.Hostname != "" && !b.Spec.Has(specs.UTSNamespace) {
		c.refuse("hostname", "takes a uts namespace")
	}
	c.seccomp("linux.seccomp", l.Seccomp)
	c.sysctl(l.Sysctl, b.Spec.Has(specs.IPCNamespace))
	c.absolute("linux.maskedPaths", l.MaskedPaths)
	c.absolute("linux.readonlyPaths", l.ReadonlyPaths)
	if !slices.Contains([]string{"", "private", "rprivate", "slave", "rslave"}, l.RootfsPropagation) {
		c.refuse("linux.rootfsPropagation", "is %q; what a task mounts is seen by nobody else", l.RootfsPropagation)
	}
	if limits := fields(l.Resources); len(limits) > 1 || len(limits) == 1 && limits["devices"] == nil {
		b.Left = append(b.Left, "linux.resources of the bundle: a task's limits are the job's")
	}
	return b
}

func (c *bundleChecker) absolute(field string, paths []string) {
	for i, at := range paths {
		if !path.IsAbs(at) {
			c.refuse(fmt.Sprintf("%s[%d]", field, i), "is %q, which is not absolute", at)
		}
	}
}

// root reads the root's path, which is below the bundle.
func (c *bundleChecker) root() *Root {
	r := c.of.Root
	if r == nil || r.Path == "" {
		c.refuse("root.path", "is missing")
		return nil
	}
	if clean := path.Clean(r.Path); filepath.IsLocal(clean) && clean != "." {
		return &Root{Path: clean, Readonly: r.Readonly}
	}
	c.refuse("root.path", "is %q; it must be a directory in the bundle, such as rootfs", r.Path)
	return nil
}

// namespaces reads which are made anew. A root of its own takes that of mounts in any
// case.
func (c *bundleChecker) namespaces(b *Bundle) {
	b.Spec.Namespaces = []Namespace{{specs.MountNamespace}}
	for i, n := range c.of.Linux.Namespaces {
		at := fmt.Sprintf("linux.namespaces[%d]", i)
		if n.Path != "" {
			c.refuse(at+".path", "is %q; a task joins no namespace that is there", n.Path)
		}
		switch n.Type {
		case specs.MountNamespace:
		case specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace:
			b.Spec.Namespaces = append(b.Spec.Namespaces, Namespace{n.Type})
		case specs.NetworkNamespace:
			b.Left = append(b.Left, "the bundle's network namespace: a task has the agent's network and ports")
		case specs.CgroupNamespace:
			// The cgroups that it sees are the machine's, which it can change nothing of.
		default:
			c.refuse(at+".type", "is %q; a task can have its own pid, mount, ipc and uts", n.Type)
		}
	}
}

// made are the file systems that every container has, by their types, with where.
var made = map[string]string{
	"proc": "/proc", "sysfs": "/sys", "devpts": "/dev/pts", "mqueue": "/dev/mqueue", "cgroup": "/sys/fs/cgroup", "cgroup2": "/sys/fs/cgroup",
}

// mounts reads what is mounted beside what every container has.
func (c *bundleChecker) mounts() (all []specs.Mount) {
	for i, m := range c.of.Mounts {
		at := fmt.Sprintf("mounts[%d]", i)
		where := path.Clean(m.Destination)
		usual, isMade := made[m.Type]
		switch {
		case isMade && where == usual, m.Type == "tmpfs" && where == "/dev":
			continue
		case !path.IsAbs(where) || where == "/":
			c.refuse(at+".destination", "is %q; it must be an absolute path, and not /", m.Destination)
			continue
		}
		bound := slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
		switch {
		case bound: // Runtimes go by the option, whatever the type is.
			m.Type = "bind"
		case m.Type == "bind":
			bound, m.Options = true, append([]string{"rbind"}, m.Options...)
		}
		switch {
		case bound && (m.Source == "" || !filepath.IsLocal(m.Source)):
			c.refuse(at+".source", "is %q, on %q; only what is in the bundle can be mounted", m.Source, where)
		case bound, m.Type == "tmpfs":
		default:
			c.refuse(at+".type", "is %q, on %q; only tmpfs, and what is in the bundle, can be mounted", m.Type, where)
		}
		for _, o := range m.Options {
			if slices.Contains([]string{"shared", "rshared", "unbindable", "runbindable", "idmap", "ridmap"}, o) {
				c.refuse(at+".options", "have %q, on %q; what a task mounts is seen by nobody else", o, where)
			}
		}
		all = append(all, specs.Mount{Destination: where, Type: m.Type, Source: m.Source, Options: m.Options})
	}
	return all
}

// sysctl refuses those that are not of the namespaces that a task can have, but of
// the machine.
func (c *bundleChecker) sysctl(all map[string]string, ipc bool) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		dotted := strings.ReplaceAll(name, "/", ".")
		own := strings.HasPrefix(dotted, "fs.mqueue.") || slices.Contains([]string{
			"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
			"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
		}, dotted)
		switch {
		case !own:
			c.refuse("linux.sysctl", "has %q, which is the agent's", name)
		case !ipc:
			c.refuse("linux.sysctl", "has %q, which takes an ipc namespace", name)
		}
	}
}

// Over returns what a task asks for over what its bundle, in a directory below the
// task's, does: the task has the last word, and can take no confinement back. What a
// bundle says of the score for the kernel's choice of victims is not in it.
func (s Spec) Over(b *Bundle) Spec {
	all := s
	all.Namespaces = slices.Clone(s.Namespaces)
	for _, n := range b.Spec.Namespaces {
		if !s.Has(n.Type) {
			all.Namespaces = append(all.Namespaces, n)
		}
	}
	all.Root = &Root{Path: path.Join(s.Bundle, b.Spec.Root.Path), Readonly: b.Spec.Root.Readonly || s.Root != nil && s.Root.Readonly}
	if all.Seccomp == nil {
		all.Seccomp = b.Container.Seccomp
	}
	theirs := b.Spec.Process
	p := Process{User: theirs.User, Capabilities: theirs.Capabilities, NoNewPrivileges: theirs.NoNewPrivileges}
	if own := s.Process; own != nil {
		if own.User != nil {
			p.User = &User{Umask: own.User.Umask, AdditionalGids: own.User.AdditionalGids}
			if p.User.Umask == nil {
				p.User.Umask = theirs.User.Umask
			}
		}
		if own.Capabilities != nil {
			p.Capabilities = own.Capabilities
		}
		p.NoNewPrivileges = p.NoNewPrivileges || own.NoNewPrivileges
		p.OOMScoreAdj = own.OOMScoreAdj
		p.Rlimits = slices.Clone(own.Rlimits)
	}
	for _, r := range theirs.Rlimits {
		if !slices.ContainsFunc(p.Rlimits, func(has Rlimit) bool { return has.Type == r.Type }) {
			p.Rlimits = append(p.Rlimits, r)
		}
	}
	all.Process = &p
	return all
}
