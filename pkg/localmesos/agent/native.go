package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/container"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/native"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
)

// nativeHost is the world of an executor that is played within the agent. Its
// container has a process that stands for the executor's, and waits to be told
// how to exit; the tasks' processes are real. Its methods are the loop's unless
// they say otherwise.
type nativeHost struct {
	conversation
	worker *worker
	// What follows never changes once the container is there.
	container      *container.Container
	dir            string
	env            []string
	owner          sandbox.Owner
	stdout, stderr *os.File
	stdin, exit    *os.File // both ends of the pipe that the status goes through

	mu     sync.Mutex
	closed bool           // guarded by mu: no process is started any more
	busy   sync.WaitGroup // added to while not closed
}

// newNativeHost makes the executor, and has the container run what stands for
// its process.
func (w *worker) newNativeHost(spec *container.Spec, owner sandbox.Owner) (*nativeHost, error) {
	l, o := w.launch, w.agent.options
	h := &nativeHost{
		conversation: conversation{agent: w.agent}, worker: w, dir: spec.Dir, env: spec.Env, owner: owner, stdout: spec.Stdout, stderr: spec.Stderr,
	}
	var err error
	if h.stdin, h.exit, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("cannot make a pipe for an executor: %w", err)
	}
	settings := native.Settings{
		Framework: *l.Framework.ID, Executor: l.Executor.ExecutorID, Checkpoint: l.Checkpoint,
		Recovery: o.RecoveryTimeout, ShutdownGrace: o.ExecutorShutdownGracePeriod, IP: w.agent.ip,
		Version: o.Version, API: "http://" + w.agent.Address() + "/slave(1)/api/v1",
	}
	if p := l.Executor.ShutdownGracePeriod; p != nil {
		settings.ShutdownGrace = time.Duration(p.Nanoseconds)
	}
	name := "mesos-executor"
	if l.Kind == core.DefaultExecutor {
		name = "mesos-default-executor"
		h.executor = native.NewGroup(settings, h)
	} else {
		h.executor = native.NewCommand(settings, h)
	}
	// The end of this process is the end of the pipe, and so of that one.
	spec.TTY = false
	spec.Path, spec.Args, spec.Stdin = "/bin/sh", []string{name, "-c", "read status; exit ${status:-1}"}, h.stdin
	w.report(func(time.Time) { w.native = h })
	return h, nil
}

// close waits until nothing uses the sandbox any more. It is the worker's, and
// comes when the container is gone.
func (h *nativeHost) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.busy.Wait()
	_ = h.stdin.Close()
	_ = h.exit.Close()
}

// work does something beside the loop, unless the container is gone.
func (h *nativeHost) work(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.busy.Go(f)
	}
}

// begin is called when the container is there.
func (h *nativeHost) begin(c *container.Container) {
	h.container = c
	if !h.agent.down {
		h.executor.Connected()
	}
}

// What follows makes it a native.World.

func (h *nativeHost) Exit(status int) {
	// The process takes the line even before it reads it; if it is gone, it has
	// exited already.
	_, _ = fmt.Fprintln(h.exit, status)
}

// Log writes a line as glog does.
func (h *nativeHost) Log(severity byte, place, text string) {
	at := h.Now().Format("20060102 15:04:05.000000")
	_, _ = fmt.Fprintf(h.stderr, "%c%s %5d %s] %s\n", severity, at, os.Getpid(), place, text)
}

// nativeProcess is a task's process, from the moment that it is asked for.
type nativeProcess struct {
	host *nativeHost
	spec container.Spec
	// whole says that it is a nested container.
	whole bool
	// What follows is set by the loop once it runs.
	process *container.Process
	pending []func(*container.Process)
}

// Signal implements native.Running; what comes too early waits.
func (r *nativeProcess) Signal(s syscall.Signal, tree bool) {
	send := func(process *container.Process) { process.Signal(s, tree) }
	if r.process == nil {
		r.pending = append(r.pending, send)
		return
	}
	send(r.process)
}

func (h *nativeHost) Run(p native.Process) native.Running {
	r := &nativeProcess{host: h, whole: p.Container != ""}
	h.work(func() { r.run(p) })
	return r
}

// run is the life of a process; it is not the loop's.
func (r *nativeProcess) run(p native.Process) {
	h := r.host
	done, err := r.prepare(p)
	defer done()
	if err != nil {
		h.post(func() { p.Started(0, err) })
		var failed *native.LaunchError
		if errors.As(err, &failed) && failed.Made {
			time.Sleep(destroyPause)
			h.post(func() { p.Ended(syscall.WaitStatus(syscall.SIGKILL), nil) })
		}
		return
	}
	end := func(status syscall.WaitStatus, why *core.Limitation) {
		if r.whole {
			h.agent.core.NestedExited(h.worker.id(), p.Container)
		}
		p.Ended(status, why)
	}
	fail := func(text string, status int) {
		fmt.Fprintln(r.spec.Stderr, text)
		h.post(func() { p.Started(0, nil) })
		time.Sleep(destroyPause)
		h.post(func() { end(syscall.WaitStatus(status), nil) })
	}
	if text := noCommand(&p.Command); text != "" {
		fail(text, 1<<8)
		return
	}
	process, err := r.start(&p)
	var notExecuted *container.NotExecutedError
	if errors.As(err, &notExecuted) {
		status := 1 << 8
		if r.whole {
			status = int(container.StatusNotExecuted) & 0xffff
		}
		fail(fmt.Sprintf("Failed to execute '%s': %s", r.spec.Path, reason(notExecuted)), status)
		return
	}
	if err != nil {
		return // the container is ending, and the executor with it
	}
	if r.whole {
		id := mesos.ContainerID{Value: p.Container, Parent: &mesos.ContainerID{Value: h.worker.id()}}
		h.agent.runsNested(id, r.spec, process)
	}
	h.post(func() {
		if r.whole {
			h.agent.core.NestedLaunched(h.worker.id(), p.Container, process.PID())
		}
		r.process = process
		p.Started(process.PID(), nil)
		for _, do := range r.pending {
			do(process)
		}
		r.pending = nil
	})
	began := time.Now()
	status := process.Wait()
	if !r.whole {
		time.Sleep(reapInterval - time.Since(began)%reapInterval)
	}
	if r.whole || (status.Signaled() && status.Signal() == syscall.SIGKILL) {
		// A nested container is destroyed before its end is told; and an
		// executor dies with its own before it has seen a task's.
		time.Sleep(destroyPause)
	}
	if h.container.Ending() {
		return
	}
	h.post(func() { end(status, process.Limitation()) })
}

// start starts the process in the container that it belongs in.
func (r *nativeProcess) start(p *native.Process) (*container.Process, error) {
	if !r.whole {
		return r.host.container.Exec(r.spec, false)
	}
	return r.host.container.Nest(r.spec, ownCgroups(p.Info))
}

// reapInterval is how often a real command executor looks whether its task's
// process has ended (MIN_REAP_INTERVAL in 3rdparty/libprocess). Without it, the
// update that the task runs would mostly be overtaken by its end, and watchers
// would not be told of that.
const reapInterval = 100 * time.Millisecond

// destroyPause is what it takes a real agent to destroy a container, or a real
// executor to notice that its task was killed.
const destroyPause = 50 * time.Millisecond

// reason words why a program was not executed as the C library does.
func reason(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := errno.Error()
	return string(text[0]-'a'+'A') + text[1:]
}

// prepare makes what the process needs: a nested container has a sandbox, files
// and URIs of its own. The function that it returns is called in any case.
func (r *nativeProcess) prepare(p native.Process) (done func(), err error) {
	h := r.host
	r.spec = container.Spec{ID: p.Container, Dir: h.dir, Credential: h.owner.Credential, Stdout: h.stdout, Stderr: h.stderr}
	setCommand(&r.spec, &p.Command)
	own := map[string]string{"MESOS_ALLOCATION_ROLE": p.Role}
	if p.Container == "" {
		if board := h.worker.board; board != nil {
			r.spec.Stdin, r.spec.TTY = board.Stdin, true
		}
		r.spec.Env = withVariables(h.env, &p.Command, own)
		return func() {}, nil
	}
	if text := unsupported(p.Info); text != "" {
		return func() {}, &native.LaunchError{Text: text}
	}
	r.spec.Limits = core.LimitsOf(p.Resources, p.Limits, h.agent.options.CgroupsEnableCFS)
	dir, owner, err := sandbox.Nested(h.dir, p.Container, p.Task.Value, p.Command.GetUser(), h.owner)
	if err != nil {
		return func() {}, &native.LaunchError{Text: err.Error()}
	}
	if err := linkVolumes(dir, h.dir, p.Info.GetVolumes()); err != nil {
		return func() {}, &native.LaunchError{Text: err.Error()}
	}
	stdout, stderr, err := sandbox.Logs(dir, owner)
	if err != nil {
		return func() {}, &native.LaunchError{Text: err.Error()}
	}
	done = func() {
		_ = stdout.Close()
		_ = stderr.Close()
	}
	r.spec.Dir, r.spec.Credential, r.spec.Stdout, r.spec.Stderr = dir, owner.Credential, stdout, stderr
	own["MESOS_CONTAINER_IP"], own["MESOS_SANDBOX"] = h.agent.ip, dir
	r.spec.Env = withVariables([]string{"PATH=" + defaultPath}, &p.Command, own)
	if err := h.agent.fetchAll(h.worker.ctx, h.worker.id()+"."+p.Container, p.Command.URIs, dir, owner, stderr); err != nil {
		return done, &native.LaunchError{Text: err.Error(), Made: true}
	}
	if p.Info.GetTTYInfo() == nil {
		return done, nil
	}
	id := h.worker.id() + "." + p.Container
	board, err := h.agent.connect(id, p.Info.GetTTYInfo(), &r.spec, false)
	if err != nil {
		return done, &native.LaunchError{Text: err.Error(), Made: true}
	}
	return func() {
		h.agent.disconnect(id, board)
		_ = stdout.Close()
		_ = stderr.Close()
	}, nil
}

// withVariables returns an environment with those of a command, and some more.
func withVariables(env []string, command *mesos.CommandInfo, more map[string]string) []string {
	set := map[string]string{}
	for _, v := range command.GetEnvironment().GetVariables() {
		if v.GetType() == mesos.Environment_Variable_VALUE {
			set[v.Name] = v.GetValue()
		}
	}
	for name, value := range more {
		set[name] = value
	}
	env = slices.DeleteFunc(slices.Clone(env), func(line string) bool {
		for name := range set {
			if len(line) > len(name) && line[len(name)] == '=' && line[:len(name)] == name {
				return true
			}
		}
		return false
	})
	for _, name := range sortedKeys(set) {
		env = append(env, name+"="+set[name])
	}
	slices.Sort(env)
	return env
}

func (h *nativeHost) Check(c native.Check) {
	of, _ := c.Of.(*nativeProcess)
	var within *container.Process // nil means the executor's own container
	if of != nil && of.whole {
		within = of.process
	}
	h.work(func() {
		n, err := h.check(c, of, within)
		h.post(func() { c.Done(n, err) })
	})
}

// check carries out a check; it is not the loop's.
func (h *nativeHost) check(c native.Check, of *nativeProcess, within *container.Process) (int, error) {
	ctx := h.worker.ctx
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	switch {
	case c.Command != nil && of != nil:
		return h.checkCommand(ctx, c, of, within)
	case c.URL != "":
		return checkURL(ctx, c)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Address)
	if ctx.Err() != nil {
		return 0, fmt.Errorf("mesos-tcp-connect timed out after %s", core.FormatDuration(c.Timeout))
	}
	if err != nil {
		return 1, nil
	}
	_ = conn.Close()
	return 0, nil
}

func (h *nativeHost) checkCommand(ctx context.Context, c native.Check, of *nativeProcess, within *container.Process) (int, error) {
	spec := of.spec
	spec.Env = withVariables(spec.Env, c.Command, nil)
	setCommand(&spec, c.Command)
	// A real executor gives its children its own stderr, and a nested
	// container's check a sandbox of its own.
	spec.Stdout = spec.Stderr
	if of.whole {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return 0, err
		}
		defer null.Close()
		spec.Stdout, spec.Stderr = null, null
	}
	process, err := h.checkProcess(spec, within)
	if err != nil {
		return 0, fmt.Errorf("failed to create subprocess: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { process.Signal(syscall.SIGKILL, true) })
	status := process.Wait()
	if !stop() {
		return 0, fmt.Errorf("command timed out after %s", core.FormatDuration(c.Timeout))
	}
	if !status.Exited() {
		return 0, errors.New("command " + native.Explain(status))
	}
	return status.ExitStatus(), nil
}

// checkProcess starts a check's command: of a nested container's task, in one
// within it.
func (h *nativeHost) checkProcess(spec container.Spec, within *container.Process) (*container.Process, error) {
	if within == nil {
		return h.container.Exec(spec, true)
	}
	spec.ID = "check-" + uuid.NewString()
	return within.Nest(spec)
}

// checkURL asks as curl -L -k does.
func checkURL(ctx context.Context, c native.Check) (int, error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return 0, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if ctx.Err() != nil {
		return 0, fmt.Errorf("curl timed out after %s", core.FormatDuration(c.Timeout))
	}
	if err != nil {
		return 0, fmt.Errorf("curl exited with status 7: %w", err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, nil
}
