package workload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/spawn"
	"github.com/tandem-mesos/tandem/pkg/confine"
)

// programOf says what a process is to become. A workload without a cgroup must
// not outlive the executor: nobody else could find it.
func (l *Launcher) programOf(s *Spec, user *Numbers, files [3]*os.File, mortal bool) spawn.Program {
	path, args := s.program()
	p := spawn.Program{
		Paths:           candidates(path, s.Env),
		Args:            args,
		Env:             s.Env,
		Dir:             s.Dir,
		Files:           files,
		Umask:           0o022,
		Capabilities:    capabilitiesOf(s.Capabilities),
		NoNewPrivileges: s.NoNewPrivileges,
		DieWithParent:   mortal,
		OOMScore:        l.adjustedScore(s.OOMScoreAdj),
	}
	if s.Umask != nil {
		p.Umask = *s.Umask
	}
	stated := false
	for _, r := range s.Rlimits {
		stated = stated || r.Type == "RLIMIT_NOFILE"
		number, _ := confine.ResourceOf(r.Type)
		p.Rlimits = append(p.Rlimits, spawn.Rlimit{Resource: number, Soft: r.Soft, Hard: r.Hard})
	}
	if given := l.nofile(); !stated && given != nil {
		p.Rlimits = append(p.Rlimits, *given)
	}
	if user != nil {
		p.User = &spawn.User{UID: user.UID, GID: user.GID, Groups: user.Groups}
	}
	if len(s.Groups) > 0 {
		if p.User == nil {
			own, _ := os.Getgroups()
			p.User = &spawn.User{UID: os.Geteuid(), GID: os.Getegid(), Groups: own}
		}
		p.User.Groups = append(slices.Clone(p.User.Groups), s.Groups...)
	}
	return p
}

func capabilitiesOf(c *specs.LinuxCapabilities) *spawn.Capabilities {
	if c == nil {
		return nil
	}
	set := func(names []string) (bits uint64) {
		for _, name := range names {
			if n, ok := confine.CapabilityOf(name); ok {
				bits |= 1 << n
			}
		}
		return bits
	}
	return &spawn.Capabilities{
		Bounding: set(c.Bounding), Effective: set(c.Effective), Permitted: set(c.Permitted),
		Inheritable: set(c.Inheritable), Ambient: set(c.Ambient),
	}
}

func viewOf(v View) spawn.View {
	view := spawn.View{ReadonlyRoot: v.ReadonlyRoot}
	for _, n := range v.Namespaces {
		view.Namespaces |= map[specs.LinuxNamespaceType]uintptr{
			specs.PIDNamespace: unix.CLONE_NEWPID, specs.MountNamespace: unix.CLONE_NEWNS,
			specs.IPCNamespace: unix.CLONE_NEWIPC, specs.UTSNamespace: unix.CLONE_NEWUTS,
		}[n]
	}
	for _, m := range v.Mounts {
		flags, data, _ := m.Flags() // They were checked.
		view.Mounts = append(view.Mounts, spawn.Mount{Target: m.Destination, Flags: flags, Data: data})
	}
	return view
}

// candidates lists the files that a program's name may mean, in the way of
// execvp(3).
func candidates(path string, env []string) []string {
	if strings.Contains(path, "/") {
		return []string{path}
	}
	var all []string
	search := lookup(env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	for _, dir := range strings.Split(search, ":") {
		if dir == "" {
			dir = "."
		}
		all = append(all, filepath.Join(dir, path))
	}
	return all
}

func lookup(env []string, name, otherwise string) string {
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return otherwise
}

// givenNofile returns the limit of open files that the executor was started with. The
// Go runtime raises its own, keeps the old one to itself, and gives it back to programs
// that the standard library starts: the kernel tells it of one. It returns nil when there
// is none to be told.
func givenNofile() *spawn.Rlimit {
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", ":"}, nil)
	if err != nil {
		return nil
	}
	var given unix.Rlimit
	err = unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &given)
	_ = syscall.Kill(pid, syscall.SIGKILL) // It has served.
	for {
		if _, err := syscall.Wait4(pid, nil, 0, nil); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil
	}
	return &spawn.Rlimit{Resource: unix.RLIMIT_NOFILE, Soft: given.Cur, Hard: given.Max}
}

// wantedScore is the oom_score_adj that a workload is to have.
func wantedScore(asked *int) int {
	if asked == nil {
		return 0
	}
	return *asked
}

// ownOOMScore reads the executor's own. One that cannot be read is as good as
// none.
func ownOOMScore() int {
	data, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0
	}
	score, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return score
}

// adjustedScore is the score that a program has to be given, which is nil for that
// of the executor. An executor may have one that should not be inherited; to lower it
// takes a privilege, and without it the program lives with it.
func (l *Launcher) adjustedScore(asked *int) *spawn.OOMScore {
	score := wantedScore(asked)
	if score == l.oomScore {
		return nil
	}
	return &spawn.OOMScore{Adjust: score, Must: asked != nil}
}

// explain says why a process did not become its program.
func explain(s *Spec, p spawn.Program, err error) error {
	var f *spawn.Failure
	if !errors.As(err, &f) {
		return err
	}
	switch f.Step {
	case spawn.StepRlimit:
		r := p.Rlimits[f.Which]
		name := "RLIMIT_NOFILE"
		if f.Which < len(s.Rlimits) {
			name = s.Rlimits[f.Which].Type
		}
		return fmt.Errorf("cannot set %s to %d:%d: %w", name, r.Soft, r.Hard, f.Errno)
	case spawn.StepUser:
		name := s.User
		if s.Numbers != nil {
			name = s.Numbers.Name
		}
		return fmt.Errorf("cannot become user %q: %w", name, f.Errno)
	case spawn.StepParent:
		return fmt.Errorf("cannot tie it to the executor's life: %w", f.Errno)
	case spawn.StepPrivileges:
		return fmt.Errorf("cannot give up new privileges: %w", f.Errno)
	case spawn.StepNamespaces, spawn.StepReadonly, spawn.StepCapabilities:
		if errors.Is(f.Errno, syscall.EPERM) {
			return fmt.Errorf("%w; that takes an executor that is root and has the capabilities", f)
		}
		return f
	case spawn.StepMount:
		return fmt.Errorf("cannot mount a tmpfs on %s: %w", p.View.Mounts[f.Which].Target, f.Errno)
	case spawn.StepCgroup:
		return fmt.Errorf("cannot enter its cgroup: %w", f.Errno)
	case spawn.StepOOMScore:
		return fmt.Errorf("cannot set the oom_score_adj %d: %w", p.OOMScore.Adjust, f.Errno)
	case spawn.StepDir:
		return fmt.Errorf("cannot enter the working directory %s: %w", s.Dir, f.Errno)
	case spawn.StepExec:
		path, _ := s.program()
		return explainExec(path, p.Paths[f.Which], f.Errno)
	default:
		return f
	}
}

func explainExec(path, tried string, errno syscall.Errno) error {
	switch {
	case errno == syscall.ENOENT && !strings.Contains(path, "/"):
		return fmt.Errorf("cannot run %q: it is in no directory of PATH", path)
	case errno == syscall.ENOENT && exists(path):
		return fmt.Errorf("cannot run %q: its interpreter, or its dynamic loader, does not exist", path)
	default:
		return fmt.Errorf("cannot run %q: %w", tried, errno)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
