package workload

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/confine"
)

// Spec is what to run, and how. It is not changed by this package.
type Spec struct {
	// ID names the workload among those of the executor, and its cgroup. It is
	// the task's id; two live workloads cannot have the same.
	ID string

	// Shell is a command line for /bin/sh -c. Exactly one of Shell and Args
	// must be set.
	Shell string
	// Args is the program's argument vector, its own name included.
	Args []string
	// Path is the program where that is not Args[0]. A name without a slash is
	// looked for in the PATH of Env, as the workload's user.
	Path string

	// Env is the whole environment, as "name=value". Nothing is added to it.
	Env []string
	// Dir is the working directory, an absolute path.
	Dir string
	// User is a user's name or number; empty for the executor's own. The
	// user's group and supplementary groups come with it.
	User string
	// Numbers are who it runs as in place of User; nil for that one.
	Numbers *Numbers

	// Stdout and Stderr are absolute paths of files, appended to and made when
	// they are missing. They are given to User. Empty means /dev/null; the same
	// path twice means one file. Standard input is /dev/null.
	Stdout, Stderr string
	// Output is both in their place; nil for none. A start closes it.
	Output *os.File
	// Rotation bounds these files; nil lets them grow, with nothing between
	// the workload and them. See package output.
	Rotation *Rotation

	// Limits are enforced by the cgroup; nil for none.
	Limits *specs.LinuxResources
	// Policy says whether the workload may run without a limit that cannot be
	// set.
	Policy cgroup.Policy

	// Umask is the file mode creation mask; nil for 022.
	Umask *int
	// Rlimits are set beside those that the executor was started with, which
	// the workload has otherwise. The names are those of the OCI runtime
	// specification, such as RLIMIT_NOFILE.
	Rlimits []specs.POSIXRlimit
	// OOMScoreAdj is from -1000 to 1000; nil sets 0 as far as permitted.
	OOMScoreAdj *int
	// NoNewPrivileges keeps the program from gaining privileges by executing
	// set-user-ID files.
	NoNewPrivileges bool
	// Groups are numbers of groups beside those of the user.
	Groups []int
	// Capabilities are what the program begins with; nil leaves them to the user.
	Capabilities *specs.LinuxCapabilities
	// View is what the program sees of the machine.
	View View
	// With is a workload of the same View that runs, whose namespaces are used; nil
	// for new ones.
	With *Process
}

// View is what a program sees of the machine that others do not. Anything of it
// takes an executor that is root.
type View struct {
	// Namespaces are those of its own: pid, mount, ipc and uts. As the first
	// process of a pid namespace a program is not ended by a signal that it does
	// not handle, but for SIGKILL.
	Namespaces []specs.LinuxNamespaceType
	// ReadonlyRoot leaves only Dir and Mounts writable. It takes the mount
	// namespace, as Mounts do.
	ReadonlyRoot bool
	// Root is what is its root; nil for the machine's.
	Root *Root
	// Mounts are of tmpfs, empty at first and gone with the workload.
	Mounts []confine.Mount
}

// Rotation is how many files of each stream are kept, the live one included, and
// how large each may become, in bytes.
type Rotation struct {
	MaxFiles    int
	MaxFileSize int64
}

func (s *Spec) validate() error {
	switch {
	case s.ID == "":
		return errors.New("it has no id")
	case (s.Shell == "") == (len(s.Args) == 0):
		return errors.New("exactly one of a shell command and arguments must be given")
	case s.Shell != "" && s.Path != "":
		return errors.New("a shell command cannot have a path of its own")
	case !strings.HasPrefix(s.Dir, "/"):
		return fmt.Errorf("its working directory %q is not an absolute path", s.Dir)
	case s.OOMScoreAdj != nil && (*s.OOMScoreAdj < -1000 || *s.OOMScoreAdj > 1000):
		return fmt.Errorf("its oom_score_adj of %d is not between -1000 and 1000", *s.OOMScoreAdj)
	case s.Umask != nil && (*s.Umask < 0 || *s.Umask > 0o777):
		return fmt.Errorf("its umask of %#o is not between 0 and 0777", *s.Umask)
	}
	own := s.Dir
	if s.View.Root != nil {
		own = s.View.Root.Inside
	}
	for _, m := range s.View.Mounts {
		if own == m.Destination || strings.HasPrefix(own, m.Destination+"/") {
			return fmt.Errorf("its mount on %s would hide its own directory, %s", m.Destination, own)
		}
	}
	if s.isRooted() {
		if err := s.View.Root.validate(s); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{"standard output": s.Stdout, "standard error": s.Stderr} {
		if value != "" && !strings.HasPrefix(value, "/") {
			return fmt.Errorf("the file of its %s, %q, is not an absolute path", name, value)
		}
	}
	for _, e := range s.Env {
		if i := strings.IndexByte(e, '='); i <= 0 {
			return fmt.Errorf("its environment has %q, which is not name=value", e)
		}
		if strings.ContainsRune(e, 0) {
			return errors.New("its environment has a value with a zero byte")
		}
	}
	for _, a := range append([]string{s.Shell, s.Path, s.Dir}, s.Args...) {
		if strings.ContainsRune(a, 0) {
			return errors.New("its command has a zero byte")
		}
	}
	for _, r := range s.Rlimits {
		if _, ok := confine.ResourceOf(r.Type); !ok {
			return fmt.Errorf("it has an unknown resource limit %q", r.Type)
		}
		if r.Soft > r.Hard {
			return fmt.Errorf("its %s has a soft limit of %d above the hard one of %d", r.Type, r.Soft, r.Hard)
		}
	}
	return nil
}

// program returns what to execute.
func (s *Spec) program() (path string, args []string) {
	switch {
	case s.Shell != "":
		return "/bin/sh", []string{"sh", "-c", s.Shell}
	case s.Path != "":
		return s.Path, s.Args
	default:
		return s.Args[0], s.Args
	}
}
