package task

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tandem-mesos/tandem/executor/check"
	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/confine"
	"github.com/tandem-mesos/tandem/pkg/fetch"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Options say where tasks run.
type Options struct {
	// Sandbox is the executor's own directory, an absolute path. Required.
	Sandbox string
	// Cache is where copies of fetched files are kept. Default: the directory
	// cache in the sandbox.
	Cache string
	// FrameworkID, Hostname and IP go into every task's environment; the last is the
	// executor's own, and may be empty.
	FrameworkID, Hostname, IP string
	// User is whom a task runs as that names no user. It is used only where the
	// executor is root. Empty means the executor's own.
	User string
	// Launcher runs the workloads. Required.
	Launcher *workload.Launcher
	// Kernel is what the launcher's cgroups can do.
	Kernel Kernel
}

func (o Options) validate() (Options, error) {
	switch {
	case !filepath.IsAbs(o.Sandbox):
		return o, fmt.Errorf("cannot use the sandbox %q: it must be an absolute path", o.Sandbox)
	case o.Launcher == nil:
		return o, errors.New("cannot run tasks without a launcher")
	}
	if o.Cache == "" {
		o.Cache = filepath.Join(o.Sandbox, "cache")
	}
	if os.Geteuid() != 0 {
		o.User = ""
	}
	return o, nil
}

// Tasks runs tasks. Its methods may be called from several goroutines at once.
type Tasks struct{ options Options }

// New returns a Tasks.
func New(o Options) (*Tasks, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	return &Tasks{o}, nil
}

func (s *Tasks) user(task *mesos.TaskInfo) string {
	if user := task.Command.GetUser(); user != "" {
		return user
	}
	return s.options.User
}

// Fetch makes a task's directory and brings its files. It blocks until they are
// there, or one cannot be had; the error names it.
func (s *Tasks) Fetch(ctx context.Context, f core.Fetch) error {
	asked, err := askedOf(f.Task, f.Settings)
	if err != nil {
		return err
	}
	dir, owner, err := s.prepare(f.Task, f.Settings, asked)
	if err != nil {
		return err
	}
	for _, r := range FetchesOf(f.Task, f.Settings, s.options.Cache) {
		r.Dir = dir
		if owner != nil {
			r.Owner = &fetch.Owner{UID: owner.UID, GID: owner.GID, Groups: owner.Groups}
		}
		if err := fetch.Fetch(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes a task's directory, with its volumes in it, if it is not there
// yet.
func (s *Tasks) prepare(task *mesos.TaskInfo, settings *tandemv1.TaskSettings, asked confine.Spec) (dir string, owner *workload.Numbers, err error) {
	dir, err = directory(s.options.Sandbox, task.TaskID.Value)
	if err != nil {
		return "", nil, err
	}
	owner, err = workload.LookUp(s.user(task))
	if err != nil {
		return "", nil, err
	}
	return dir, owner, s.give(dir, owner, volumesOf(task, settings), asked.HasRoot())
}

// give makes a task's directory, with its volumes in it, as far as it is not there yet,
// and gives both to a user (nil for the executor's own).
func (s *Tasks) give(dir string, owner *workload.Numbers, volumes []volume, rooted bool) error {
	if err := makeDirectory(s.options.Sandbox, dir, owner); err != nil {
		return err
	}
	return linkVolumes(s.options.Sandbox, dir, volumes, owner, rooted)
}

// Start runs a task's workload and returns when its program is being executed.
func (s *Tasks) Start(ctx context.Context, t core.Start) (*Process, error) {
	asked, err := askedOf(t.Task, t.Settings)
	if err != nil {
		return nil, err
	}
	dir, _, err := s.prepare(t.Task, t.Settings, asked)
	if err != nil {
		return nil, err
	}
	limits, err := LimitsOf(s.options.Kernel, t.Task, t.Settings)
	if err != nil {
		return nil, err
	}
	spec, left, err := s.specOf(t.Task, t.Settings, asked, limits, dir)
	if err == nil {
		err = checkRoot(spec.View.Root)
	}
	if err == nil && spec.Numbers != nil {
		err = s.give(dir, spec.Numbers, volumesOf(t.Task, t.Settings), true) // Its bundle has told who it is.
	}
	if err != nil {
		return nil, err
	}
	process, err := s.options.Launcher.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	p := s.process(t.Task, t.Settings, spec, process, append(limits.Skipped, left...))
	for _, skipped := range process.Skipped() {
		p.warnings = append(p.warnings, skipped.Error())
	}
	return p, nil
}

// specOf describes a task's workload, and says what its bundle asks for in vain.
func (s *Tasks) specOf(task *mesos.TaskInfo, settings *tandemv1.TaskSettings, asked confine.Spec, limits Limits, dir string) (spec workload.Spec, left []string, err error) {
	bundle, err := bundleOf(s.options.Sandbox, dir, task.TaskID.Value, asked)
	if err != nil {
		return spec, nil, err
	}
	at := Place{FrameworkID: s.options.FrameworkID, Hostname: s.options.Hostname, IP: s.options.IP, Dir: dir, Sandbox: s.options.Sandbox}
	spec, err = describe(task, settings, limits, asked, bundle, at)
	spec.User = s.user(task)
	if bundle == nil || err != nil {
		return spec, nil, err
	}
	// Who the task, or the framework, names goes before whom a bundle does.
	if own, err := workload.LookUp(spec.User); err == nil && (own == nil || task.Command.GetUser() == "" && own.UID == 0) {
		spec.Numbers = userOf(bundle.User)
	}
	return spec, bundle.Left, nil
}

// describe describes a task's workload, all but its user. It touches nothing on the
// machine.
func describe(task *mesos.TaskInfo, settings *tandemv1.TaskSettings, limits Limits, asked confine.Spec, bundle *confine.Bundle, at Place) (workload.Spec, error) {
	seen := at
	if asked.HasRoot() {
		seen.Dir = insideRoot
	}
	var given []string
	if bundle != nil {
		given, asked = bundle.Env, asked.Over(bundle)
	}
	environment, err := Environment(task, given, seen)
	if err != nil {
		return workload.Spec{}, err
	}
	spec := workload.Spec{
		ID:      task.TaskID.Value,
		Env:     environment,
		Dir:     seen.Dir,
		Stdout:  filepath.Join(at.Dir, "stdout"),
		Stderr:  filepath.Join(at.Dir, "stderr"),
		Limits:  limits.Resources,
		Policy:  limits.Policy,
		Rlimits: limits.Rlimits,

		OOMScoreAdj: limits.OOMScoreAdj,
	}
	if logs := settings.GetLogs(); logs.GetMaxFiles() > 0 {
		spec.Rotation = &workload.Rotation{MaxFiles: int(logs.GetMaxFiles()), MaxFileSize: logs.GetMaxFileSize()}
	}
	setCommand(&spec, task.Command)
	confined(&spec, asked)
	if asked.HasRoot() {
		spec.View.Root = rootOf(task, settings, asked, bundle, at)
	}
	if bundle != nil {
		bundled(&spec, bundle)
		if spec.Shell == "" && len(spec.Args) == 0 {
			return spec, errors.New("neither the task nor its bundle says what to run: give it a command, or the bundle's config.json process.args")
		}
	}
	return spec, nil
}

// setCommand reads a command as Mesos means it: a command line for the shell,
// or a program and its argument vector, whose first is the program's own name.
func setCommand(spec *workload.Spec, c *mesos.CommandInfo) {
	spec.Shell, spec.Path, spec.Args = "", "", nil
	switch {
	case c.GetShell(): // The default.
		spec.Shell = c.GetValue()
	case len(c.Arguments) == 0 && c.GetValue() == "": // A bundle may say what.
	case len(c.Arguments) == 0:
		spec.Args = []string{c.GetValue()}
	default:
		spec.Path, spec.Args = c.GetValue(), c.Arguments
	}
}

// Process is a task's workload that runs. Its methods may be called from
// several goroutines at once.
type Process struct {
	launcher *workload.Launcher
	spec     workload.Spec
	process  *workload.Process
	warnings []string
	secrets  []string // that its output must not tell

	diskLimit uint64                 // of its directory, in bytes; 0 for none
	disk      atomic.Pointer[uint64] // what that took; nil for not known

	mu    sync.Mutex // guards turns
	turns map[core.CheckKind]chan struct{}
}

// turn returns the channel that has room for one command of a kind: one that was
// told to end and has not yet comes before the next. Most tasks never have any.
func (p *Process) turn(of core.CheckKind) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.turns == nil {
		p.turns = make(map[core.CheckKind]chan struct{})
	}
	turn := p.turns[of]
	if turn == nil {
		turn = make(chan struct{}, 1)
		p.turns[of] = turn
	}
	return turn
}

// Warnings lists the limits that are not enforced, one line each.
func (p *Process) Warnings() []string { return p.warnings }

// OnExit has f called, once and from another goroutine, when the workload has ended
// and nothing of it is left.
func (p *Process) OnExit(f func(core.Exit)) {
	p.process.OnExit(func(e workload.Exit) { f(exitOf(e)) })
}

// Signal sends a signal to the main process. That it has ended is no error.
func (p *Process) Signal(signal unix.Signal) error {
	err := p.process.Signal(signal)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Kill ends every process of the workload. It returns at once.
func (p *Process) Kill() { p.process.Kill() }

// Check performs one check, and returns when that is over, or at the latest
// soon after ctx ends or the check's time is up.
func (p *Process) Check(ctx context.Context, k core.Check) core.CheckResult {
	if k.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, k.Timeout, fmt.Errorf("no answer within %s", k.Timeout))
		defer cancel()
	}
	switch {
	case k.Spec.HTTP != nil:
		return check.HTTP(ctx, *k.Spec.HTTP)
	case k.Spec.TCP != nil:
		return check.TCP(ctx, *k.Spec.TCP)
	default:
		return p.run(ctx, k)
	}
}

// run runs the command of a check or hook as a workload of its own: in the task's
// environment, directory and namespaces, confined as the task is, and as its user
// unless the command names another. Its cgroup is beside the task's, so that it can
// be ended with all that it has started, and its memory is not held against the task.
func (p *Process) run(ctx context.Context, k core.Check) core.CheckResult {
	environment, err := WithCommand(p.spec.Env, k.Spec.Command)
	if err != nil {
		return core.CheckResult{Err: err.Error()}
	}
	spec := workload.Spec{
		ID:   fmt.Sprintf("%s %s", p.spec.ID, k.Kind),
		Env:  environment,
		Dir:  p.spec.Dir,
		User: p.spec.User, Numbers: p.spec.Numbers,
		Policy: cgroup.Prefer,

		Umask: p.spec.Umask, Groups: p.spec.Groups, Capabilities: p.spec.Capabilities,
		NoNewPrivileges: p.spec.NoNewPrivileges, View: p.spec.View, With: p.process,
	}
	if user := k.Spec.Command.GetUser(); user != "" {
		spec.User, spec.Numbers = user, nil
	}
	setCommand(&spec, k.Spec.Command)
	turn := p.turn(k.Kind)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return core.CheckResult{Err: context.Cause(ctx).Error()}
	}
	output, err := hear(slices.Concat(p.secrets, secretsOf(k.Spec.Command)))
	if err != nil {
		return core.CheckResult{Err: err.Error()}
	}
	spec.Output = output.in
	process, err := p.launcher.Start(ctx, spec)
	if err != nil {
		output.end()
		return core.CheckResult{Err: err.Error()}
	}
	stop := context.AfterFunc(ctx, process.Kill)
	exit := <-process.Exit()
	said := output.end()
	switch {
	case !stop():
		return core.CheckResult{Err: context.Cause(ctx).Error(), Said: said}
	case exit.Status.Signal != 0:
		return core.CheckResult{Err: "command terminated with " + exit.Status.String(), Said: said}
	case exit.Status.Code != 0:
		return core.CheckResult{ExitCode: exit.Status.Code, Said: said}
	default:
		return core.CheckResult{}
	}
}

func exitOf(e workload.Exit) core.Exit {
	exit := core.Exit{
		Code:       e.Status.Code,
		Signal:     int(e.Status.Signal),
		CoreDumped: e.Status.CoreDumped,
		Usage:      usageOf(e.Usage),
	}
	exit.Usage.OomKills = e.OOMKills
	for _, lost := range e.LostOutput {
		exit.Warnings = append(exit.Warnings, lost.Error())
	}
	switch {
	case e.Err == nil:
	case e.Status.Code < 0:
		exit.Err = e.Err.Error()
	default:
		exit.Trouble = e.Err.Error()
	}
	return exit
}

func usageOf(u workload.Usage) *tandemv1.Usage {
	usage := &tandemv1.Usage{WallTime: durationpb.New(u.WallTime.Round(time.Microsecond)), Source: string(u.Source)}
	if u.CPU != nil {
		usage.CpuTime = durationpb.New(u.CPU.Total)
		usage.ThrottledTime = durationpb.New(u.CPU.Throttled)
	}
	if m := u.Memory; m != nil {
		if m.Peak > 0 {
			usage.MemoryPeakBytes = proto.Uint64(m.Peak)
		}
		if m.Limit != math.MaxUint64 {
			usage.MemoryLimitBytes = proto.Uint64(m.Limit)
		}
	}
	if n := u.Pids; n != nil && n.Refused > 0 {
		usage.ForksRefused, usage.PidsLimit = n.Refused, proto.Uint64(n.Limit)
	}
	return usage
}
