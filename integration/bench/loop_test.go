package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
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
// directory and output files, its cgroups and their limits, the process, its
// moves into the cgroups; then the kill, the wait and the removals. It is as
// wide as the machine.
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
		err = inParallel(tasks, func(t *bareTask) error { return l.start(t, o.Program, start) })
		for _, t := range tasks {
			took = append(took, t.took)
		}
		l.running = append(l.running, tasks...)
	case "end":
		err = inParallel(l.running, l.end)
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
		err = inParallel(l.tasks(o.N), func(t *bareTask) error {
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
	var err error
	t.pid, err = syscall.ForkExec(program, []string{program}, &syscall.ProcAttr{
		Dir: dir, Files: files, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	for _, d := range l.Dirs {
		err := put(filepath.Join(d.Path, t.name, "cgroup.procs"), strconv.Itoa(t.pid))
		if err != nil && !strings.Contains(err.Error(), "no such process") { // which a short one may be by then
			return err
		}
	}
	t.took = time.Since(since)
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

func put(file, content string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(content)
	return err
}

func inParallel(tasks []*bareTask, do func(*bareTask) error) error {
	next := make(chan *bareTask)
	errs := make(chan error, len(tasks)+1)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for t := range next {
				errs <- do(t)
			}
		})
	}
	for _, t := range tasks {
		next <- t
	}
	close(next)
	workers.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
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
