package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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

// bareLoop makes, for each task, the system calls that running it takes: its
// directory and output files, its cgroups and their limits, the moves into the
// cgroups, the process; then the kill, the wait and the removals. It is as
// wide as the machine. The threads that make the processes move themselves, which is
// the only move for which the kernel does not stop all forks, and the processes are
// born where these are.
func bareLoop() int {
	var at loopSettings
	if err := json.Unmarshal([]byte(os.Getenv(asLoop)), &at); err != nil {
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
	name string
	pid  int
	took time.Duration
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
		err = l.inParallel(l.running, l.end)
		took = []time.Duration{time.Since(start)}
		l.running = nil
	case "exit": // of one of those that run
		t := l.running[len(l.running)-1]
		l.running = l.running[:len(l.running)-1]
		if err = syscall.Kill(t.pid, syscall.SIGKILL); err == nil {
			err = l.end(t)
		}
		took = []time.Duration{time.Since(start)}
	case "churn":
		err = l.inParallel(l.tasks(o.N), func(t *bareTask) error {
			if err := l.start(t, o.Program, start); err != nil {
				return err
			}
			if err := l.enter(""); err != nil {
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

func (l *bare) start(t *bareTask, program string, since time.Time) error {
	dir := filepath.Join(l.Sandbox, t.name)
	if err := os.Mkdir(dir, 0o750); err != nil {
		return err
	}
	files := []uintptr{0, 0, 0}
	for i, name := range []string{"/dev/null", filepath.Join(dir, "stdout"), filepath.Join(dir, "stderr")} {
		fd, err := syscall.Open(name, syscall.O_RDWR|syscall.O_CREAT|syscall.O_APPEND|syscall.O_CLOEXEC, 0o644)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		files[i] = uintptr(fd)
	}
	limits := map[string][2]string{"cpu": {"cpu.shares", "10"}, "memory": {"memory.limit_in_bytes", "33554432"}, "pids": {"pids.max", "64"}}
	for _, d := range l.Dirs {
		group := filepath.Join(d.Path, t.name)
		if err := os.Mkdir(group, 0o755); err != nil {
			return err
		}
		limit := limits[d.Controllers[0]]
		if err := put(filepath.Join(group, limit[0]), limit[1]); err != nil {
			return err
		}
	}
	err := l.enter(t.name)
	if err != nil {
		return err
	}
	t.pid, err = syscall.ForkExec(program, []string{program}, &syscall.ProcAttr{
		Dir: dir, Files: files, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	t.took = time.Since(since)
	return nil
}

// enter moves the calling thread into a task's cgroups, or back into the container.
func (l *bare) enter(task string) error {
	for _, d := range l.Dirs {
		if err := put(filepath.Join(d.Path, task, "tasks"), "0"); err != nil {
			return err
		}
	}
	return nil
}

func (l *bare) end(t *bareTask) error {
	if err := syscall.Kill(t.pid, syscall.SIGKILL); err != nil {
		return err
	}
	if _, err := syscall.Wait4(t.pid, nil, 0, nil); err != nil {
		return err
	}
	for _, d := range l.Dirs {
		if err := syscall.Rmdir(filepath.Join(d.Path, t.name)); err != nil {
			return err
		}
	}
	return nil
}

// put writes without the standard library's files, which have the poller wait for each.
func put(file, content string) error {
	fd, err := syscall.Open(file, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err == nil {
		_, err = syscall.Write(fd, []byte(content))
		_ = syscall.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("cannot write %q to %s: %w", content, file, err)
	}
	return nil
}

func (l *bare) inParallel(tasks []*bareTask, do func(*bareTask) error) error {
	var next atomic.Int32
	errs := make(chan error, runtime.GOMAXPROCS(0))
	for range cap(errs) {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var err error
			for i := next.Add(1); int(i) <= len(tasks) && err == nil; i = next.Add(1) {
				err = do(tasks[i-1])
			}
			errs <- errors.Join(err, l.enter("")) // Nobody may be left in what is to be removed.
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
