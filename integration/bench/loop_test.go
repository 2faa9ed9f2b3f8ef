package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/spawn"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// asLoop makes this test's binary be the bare loop, whose settings it holds.
const asLoop = "TANDEM_BENCH_AS_LOOP"

// order is what the bare loop is told, one a line.
type order struct {
	// Do is start, end, exit or churn.
	Do      string
	N       int
	Program string
}

// loopSettings say where the bare loop works.
type loopSettings struct {
	Sandbox string
	Dirs    []cgroup.Dir
}

// bareLoop makes, for each task, the system calls that running it takes, and speaks no
// protocol: its directory and output files, its cgroups and their limits, the watch on
// its memory, the process, which is born and enters its cgroups in the executor's own
// way; then the kill, the wait, the accounts of its cgroups, and the removals. It is as
// wide as the machine, and each of its goroutines sees a task through by itself.
func bareLoop() int {
	var at loopSettings
	if err := json.Unmarshal([]byte(os.Getenv(asLoop)), &at); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := spawn.Calm(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l := &bare{loopSettings: at, answers: json.NewEncoder(os.Stdout)}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var o order
		err := json.Unmarshal(lines.Bytes(), &o)
		if err == nil {
			err = l.obey(o)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

type bare struct {
	loopSettings
	answers *json.Encoder
	made    int
	running []*bareTask
}

type bareTask struct {
	name  string
	child *spawn.Child
	watch int // of its memory
	took  time.Duration
}

func (l *bare) obey(o order) error {
	start := time.Now()
	var took []time.Duration
	var err error
	switch o.Do {
	case "start":
		tasks := l.tasks(o.N)
		err = l.inParallel(tasks, func(t *bareTask) error { return l.start(t, o.Program, start) })
		for _, t := range tasks {
			took = append(took, t.took)
		}
		l.running = append(l.running, tasks...)
	case "end":
		err = l.inParallel(l.running, l.kill)
		took = []time.Duration{time.Since(start)}
		l.running = nil
	case "exit": // of one of those that run
		t := l.running[len(l.running)-1]
		l.running = l.running[:len(l.running)-1]
		err = l.kill(t)
		took = []time.Duration{time.Since(start)}
	case "churn":
		err = l.inParallel(l.tasks(o.N), func(t *bareTask) error {
			if err := l.start(t, o.Program, start); err != nil {
				return err
			}
			return l.end(t)
		})
		took = []time.Duration{time.Since(start)}
	}
	if err != nil {
		return err
	}
	return l.answers.Encode(took)
}

func (l *bare) tasks(n int) []*bareTask {
	tasks := make([]*bareTask, n)
	for i := range tasks {
		l.made++
		tasks[i] = &bareTask{name: "task-" + strconv.Itoa(l.made)}
	}
	return tasks
}

// bareLimits are the executor's for the same tasks, and bareAccounts what it reads for
// their reports and before it removes their cgroups.
var (
	bareLimits = []struct{ controller, file, value string }{
		{"cpu", "cpu.shares", "10"}, {"memory", "memory.limit_in_bytes", "33554432"},
		{"memory", "memory.memsw.limit_in_bytes", "33554432"}, {"pids", "pids.max", "64"},
	}
	bareAccounts = []struct{ controller, file string }{
		{"cpu", "cpu.stat"}, {"memory", "memory.max_usage_in_bytes"}, {"memory", "memory.limit_in_bytes"},
		{"memory", "memory.oom_control"}, {"pids", "pids.events"}, {"cpu", "cpu.cfs_quota_us"},
	}
)

func (l *bare) start(t *bareTask, program string, since time.Time) error {
	dir := filepath.Join(l.Sandbox, t.name)
	if err := os.Mkdir(dir, 0o750); err != nil {
		return err
	}
	groups := make(map[string]string)
	var entrances []string
	for _, d := range l.Dirs {
		group := filepath.Join(d.Path, t.name)
		if err := os.Mkdir(group, 0o755); err != nil {
			return err
		}
		groups[d.Controllers[0]] = group
		entrances = append(entrances, filepath.Join(group, "tasks"))
	}
	for _, limit := range bareLimits {
		err := put(filepath.Join(groups[limit.controller], limit.file), limit.value)
		if err != nil && !(errors.Is(err, syscall.ENOENT) && strings.Contains(limit.file, "memsw")) { // where swap is not counted
			return err
		}
	}
	var err error
	if t.watch, err = watchMemory(groups["memory"]); err != nil {
		return err
	}
	var files [3]*os.File
	for i, name := range []string{os.DevNull, filepath.Join(dir, "stdout"), filepath.Join(dir, "stderr")} {
		fd, err := syscall.Open(name, syscall.O_RDWR|syscall.O_CREAT|syscall.O_APPEND|syscall.O_CLOEXEC, 0o644)
		if err != nil {
			return err
		}
		files[i] = os.NewFile(uintptr(fd), name)
		defer files[i].Close()
	}
	t.child = &spawn.Child{
		Program: spawn.Program{Paths: []string{program}, Args: []string{program}, Dir: dir, Files: files, Umask: 0o022},
		Options: spawn.Options{Enter: entrances},
	}
	if err := t.child.Start(context.Background()); err != nil {
		return err
	}
	t.took = time.Since(since)
	return nil
}

// watchMemory has an eventfd told when a cgroup is out of memory.
func watchMemory(group string) (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, err
	}
	control, err := syscall.Open(filepath.Join(group, "memory.oom_control"), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer syscall.Close(control)
	return fd, put(filepath.Join(group, "cgroup.event_control"), fmt.Sprint(fd, " ", control))
}

func (l *bare) kill(t *bareTask) error {
	if err := syscall.Kill(t.child.Pid(), syscall.SIGKILL); err != nil {
		return err
	}
	return l.end(t)
}

// end waits for the end of a task's process, and leaves nothing of the task.
func (l *bare) end(t *bareTask) error {
	for {
		_, err := syscall.Wait4(t.child.Pid(), nil, 0, nil)
		if err == nil {
			break
		}
		if err != syscall.EINTR {
			return err
		}
	}
	_ = syscall.Close(t.child.Pidfd)
	_ = syscall.Close(t.watch)
	buffer := make([]byte, 2<<10)
	for _, d := range l.Dirs {
		for _, account := range bareAccounts {
			if account.controller == d.Controllers[0] {
				if err := get(filepath.Join(d.Path, t.name, account.file), buffer); err != nil {
					return err
				}
			}
		}
	}
	for _, d := range l.Dirs {
		if err := syscall.Rmdir(filepath.Join(d.Path, t.name)); err != nil {
			return err
		}
	}
	return nil
}

// put and get do without the standard library's files, which have the poller wait for each.
func put(file, content string) error {
	return with(file, syscall.O_WRONLY, func(fd int) (int, error) { return syscall.Write(fd, []byte(content)) })
}

func get(file string, buffer []byte) error {
	return with(file, syscall.O_RDONLY, func(fd int) (int, error) { return syscall.Read(fd, buffer) })
}

// with opens a file for one call. The end of another child interrupts calls.
func with(file string, how int, do func(fd int) (int, error)) error {
	fd, err := syscall.Open(file, how|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", file, err)
	}
	defer syscall.Close(fd)
	for {
		switch _, err := do(fd); err {
		case nil:
			return nil
		case syscall.EINTR:
		default:
			return fmt.Errorf("cannot use %s: %w", file, err)
		}
	}
}

func (l *bare) inParallel(tasks []*bareTask, do func(*bareTask) error) error {
	var next atomic.Int32
	errs := make(chan error, runtime.GOMAXPROCS(0))
	for range cap(errs) {
		go func() {
			var err error
			for i := next.Add(1); int(i) <= len(tasks) && err == nil; i = next.Add(1) {
				err = do(tasks[i-1])
			}
			errs <- err
		}()
	}
	var err error
	for range cap(errs) {
		err = errors.Join(err, <-errs)
	}
	return err
}

// loopSide is the bare loop seen from the benchmark.
type loopSide struct {
	b       *testing.B
	pid     int
	orders  *json.Encoder
	answers *json.Decoder
}

func loop(b *testing.B) *loopSide {
	b.Helper()
	sides++
	g := newContainer(b, fmt.Sprintf("tandem-bench-%d-loop-%d", os.Getpid(), sides))
	sandbox := b.TempDir()
	settings, err := json.Marshal(loopSettings{Sandbox: sandbox, Dirs: g.Dirs()})
	if err != nil {
		b.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	process := exec.Command("/bin/sh", "-c", enter(g)+`exec "$0"`, self)
	process.Env = []string{asLoop + "=" + string(settings)}
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := process.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := process.Wait(); err != nil {
			b.Errorf("the bare loop: %v", err)
		}
	})
	return &loopSide{b, process.Process.Pid, json.NewEncoder(in), json.NewDecoder(out)}
}

// do has the loop obey, and returns how long it took for each task.
func (l *loopSide) do(o order) []time.Duration {
	l.b.Helper()
	var took []time.Duration
	err := l.orders.Encode(o)
	if err == nil {
		err = l.answers.Decode(&took)
	}
	if err != nil {
		l.b.Fatalf("the bare loop: %v", err)
	}
	return took
}
