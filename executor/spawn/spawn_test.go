package spawn_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/tandem-mesos/tandem/executor/spawn"
)

// program runs a shell command whose output goes to the file that is returned.
func program(t testing.TB, command string) (spawn.Program, *os.File) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		null.Close()
		out.Close()
	})
	return spawn.Program{
		Paths: []string{"/bin/sh"}, Args: []string{"sh", "-c", command}, Env: []string{"GREETING=hello"},
		Dir: "/", Files: [3]*os.File{null, out, out}, Umask: 0o027,
	}, out
}

// start starts a program, or says what became of it.
func start(t testing.TB, p spawn.Program, o spawn.Options) (*spawn.Child, error) {
	t.Helper()
	c := &spawn.Child{Program: p, Options: o}
	err := c.Start(t.Context())
	if err == nil && c.Pidfd >= 0 {
		t.Cleanup(func() { syscall.Close(c.Pidfd) })
	}
	if err != nil && c.Pid() != 0 {
		t.Errorf("after %v there is process %d", err, c.Pid())
	}
	return c, err
}

// run runs a program to its end.
func run(t testing.TB, p spawn.Program, o spawn.Options) syscall.WaitStatus {
	t.Helper()
	c, err := start(t, p, o)
	if err != nil {
		t.Fatal(err)
	}
	return wait(t, c)
}

func wait(t testing.TB, c *spawn.Child) syscall.WaitStatus {
	t.Helper()
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(c.Pid(), &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
}

// both runs a test with children that share the memory and with those that do
// not.
func both(t *testing.T, test func(t *testing.T, o spawn.Options)) {
	t.Run("sharing", func(t *testing.T) { test(t, spawn.Options{}) })
	t.Run("apart", func(t *testing.T) { test(t, spawn.Options{Apart: true}) })
}

func TestChildBecomesItsProgram(t *testing.T) {
	both(t, func(t *testing.T, o spawn.Options) {
		p, out := program(t, `echo $GREETING; umask; ulimit -n; ulimit -Hn; pwd; ls /proc/$$/fd; grep NoNewPrivs /proc/$$/status; exit 3`)
		p.Rlimits = []spawn.Rlimit{{Resource: syscall.RLIMIT_NOFILE, Soft: 300, Hard: 400}}
		p.Dir, p.NoNewPrivileges = "/usr", true
		if status := run(t, p, o); status.ExitStatus() != 3 {
			t.Errorf("status = %v", status)
		}
		text, err := os.ReadFile(out.Name())
		if want := "hello\n0027\n300\n400\n/usr\n0\n1\n2\n10\nNoNewPrivs:\t1\n"; err != nil || strings.Replace(string(text), "10\n", "", 1) != strings.Replace(want, "10\n", "", 1) {
			t.Errorf("got %q, want %q", text, want)
		}
	})
}

// A thread that the runtime's monitor has made is as patient as that, and no program is.
func TestProgramHasTheTimerSlackThatThisOneWasGiven(t *testing.T) {
	slack := func() string {
		p, out := program(t, "cat /proc/self/timerslack_ns")
		run(t, p, spawn.Options{})
		text, err := os.ReadFile(out.Name())
		if err != nil || len(text) == 0 {
			t.Fatalf("%q, %v", text, err)
		}
		return string(text)
	}
	given := slack()
	if err := spawn.Calm(); err != nil {
		t.Skipf("the monitor cannot be changed here: %v", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 7_000_000, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if now := slack(); now != given {
		t.Errorf("a program has a timer slack of %s ns, want %s", now, given)
	}
}

// What a program is given arrives byte by byte, whatever it is.
func TestBytesAreKept(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		words := rapid.SliceOf(rapid.Custom(func(r *rapid.T) string { return string(rapid.SliceOf(rapid.ByteRange(1, 255)).Draw(r, "bytes")) }))
		args, env := words.Draw(r, "args"), words.Draw(r, "env")
		p, out := program(t, "cat /proc/$$/cmdline /proc/$$/environ")
		p.Args = append(p.Args, args...)
		p.Env = append([]string{"PATH=/bin"}, env...)
		run(t, p, spawn.Options{})
		got, err := os.ReadFile(out.Name())
		want := strings.Join(append(slices.Clone(p.Args), p.Env...), "\x00") + "\x00"
		if err != nil || string(got) != want {
			r.Fatalf("got %q, want %q (%v)", got, want, err)
		}
	})
}

func TestChildSaysWhatFails(t *testing.T) {
	both(t, func(t *testing.T, o spawn.Options) {
		for _, c := range []struct {
			name   string
			change func(*spawn.Program)
			want   spawn.Failure
		}{
			{"no program", func(p *spawn.Program) { p.Paths = []string{"/no/such", "/etc/passwd", "/no/more"} },
				spawn.Failure{Step: spawn.StepExec, Which: 1, Errno: syscall.EACCES}},
			{"none at all", func(p *spawn.Program) { p.Paths = []string{"/no/such"} },
				spawn.Failure{Step: spawn.StepExec, Errno: syscall.ENOENT}},
			{"no directory", func(p *spawn.Program) { p.Dir = "/no/such" },
				spawn.Failure{Step: spawn.StepDir, Errno: syscall.ENOENT}},
			{"a limit that is none", func(p *spawn.Program) {
				p.Rlimits = []spawn.Rlimit{{Resource: syscall.RLIMIT_CORE}, {Resource: 999}}
			}, spawn.Failure{Step: spawn.StepRlimit, Which: 1, Errno: syscall.EINVAL}},
		} {
			p, _ := program(t, "true")
			c.change(&p)
			_, err := start(t, p, o)
			var failure *spawn.Failure
			if !errors.As(err, &failure) || *failure != c.want {
				t.Errorf("%s: %v, want %v", c.name, err, &c.want)
			}
		}
	})
}

func TestChildMovesItself(t *testing.T) {
	both(t, func(t *testing.T, o spawn.Options) {
		here := func(name string) string {
			file := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return file
		}
		p, out := program(t, "ls /proc/$$/fd")
		o.Enter = []string{here("one"), here("two")}
		run(t, p, o)
		for _, file := range o.Enter {
			if text, err := os.ReadFile(file); err != nil || string(text) != "0" {
				t.Errorf("%s has %q (%v)", file, text, err)
			}
		}
		if text, err := os.ReadFile(out.Name()); err != nil || strings.Replace(string(text), "10\n", "", 1) != "0\n1\n2\n" {
			t.Errorf("its program has the descriptors %q (%v)", text, err)
		}

	})
}

func TestChildThatCannotMoveSaysSo(t *testing.T) {
	both(t, func(t *testing.T, o spawn.Options) {
		p, out := program(t, "true")
		o.Enter = []string{out.Name(), "/no/such/tasks"}
		_, err := start(t, p, o)
		var failure *spawn.Failure
		if want := (spawn.Failure{Step: spawn.StepCgroup, Which: 1, Errno: syscall.ENOENT}); !errors.As(err, &failure) || *failure != want {
			t.Fatalf("%v, want %v", err, &want)
		}
	})
}

// held is a program whose process waits until it is released.
func held(t *testing.T, ctx context.Context, p spawn.Program, o spawn.Options) (c *spawn.Child, release func(), done chan error) {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	o.Enter = []string{fifo} // which nobody reads
	c, done = &spawn.Child{Program: p, Options: o}, make(chan error, 1)
	go func() { done <- c.Start(ctx) }()
	for c.Pid() == 0 {
		runtime.Gosched()
	}
	return c, func() {
		t.Helper()
		r, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
	}, done
}

// One that is held up is given up with the context, and holds up nobody else.
func TestChildThatHangs(t *testing.T) {
	both(t, func(t *testing.T, o spawn.Options) {
		p, _ := program(t, "exit 5")
		ctx, cancel := context.WithCancelCause(t.Context())
		stuck, _, done := held(t, ctx, p, o)
		runtime.GC() // It stops all goroutines for a moment.
		if status := run(t, p, o); status.ExitStatus() != 5 {
			t.Errorf("status = %v", status)
		}
		enough := errors.New("enough")
		cancel(enough)
		if err := <-done; !errors.Is(err, enough) || stuck.Pid() != 0 {
			t.Errorf("err = %v, with process %d", err, stuck.Pid())
		}
	})
}

func TestChildThatIsKilledHasNotBecome(t *testing.T) {
	both(t, func(t *testing.T, o spawn.Options) {
		p, _ := program(t, "true")
		c, _, done := held(t, t.Context(), p, o)
		if err := syscall.Kill(c.Pid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err == nil || !strings.Contains(err.Error(), "ended early") {
			t.Errorf("err = %v", err)
		}
	})
}

// What the caller has open stays open, whatever a child does to its own.
func TestCallerKeepsItsFiles(t *testing.T) {
	both(t, func(t *testing.T, o spawn.Options) {
		p, _ := program(t, "exit 0")
		var ends []*os.File
		for range 50 {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			ends = append(ends, w)
		}
		run(t, p, o)
		for _, w := range ends {
			if _, err := w.WriteString("x"); err != nil {
				t.Error(err)
			}
			w.Close()
		}
	})
}

func TestOOMScoreIsTheProgramsOwn(t *testing.T) {
	score := func() string {
		t.Helper()
		text, err := os.ReadFile("/proc/self/oom_score_adj")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	own := score()
	both(t, func(t *testing.T, o spawn.Options) {
		p, out := program(t, "cat /proc/$$/oom_score_adj")
		p.OOMScore = &spawn.OOMScore{Adjust: 777, Must: true}
		run(t, p, o)
		if text, err := os.ReadFile(out.Name()); string(text) != "777\n" {
			t.Errorf("the program has %q (%v)", text, err)
		}
		if now := score(); now != own {
			t.Errorf("this process has %q, and had %q", now, own)
		}
	})
}

// A script without an interpreter is run by a shell, whichever directory it is in.
func TestScriptWithoutInterpreter(t *testing.T) {
	both(t, func(t *testing.T, o spawn.Options) {
		file := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(file, []byte("exit $1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		p, _ := program(t, "")
		p.Paths, p.Args = []string{"/no/such/script", "/etc/passwd/script", "/etc/passwd", file}, []string{"script", "9"}
		if status := run(t, p, o); status.ExitStatus() != 9 {
			t.Errorf("status = %v", status)
		}
	})
}

// Children of many goroutines at once, beside garbage that is collected, do not
// get into each other's way or the collector's.
func TestManyAtOnce(t *testing.T) {
	const workers, each = 8, 50
	done := make(chan int)
	for range workers {
		go func() {
			ok := 0
			defer func() { done <- ok }()
			for i := range each {
				p, _ := program(t, "exit 7")
				c := &spawn.Child{Program: p, Options: spawn.Options{Apart: i%10 == 0}}
				if err := c.Start(t.Context()); err != nil {
					t.Error(err)
					return
				}
				if status := wait(t, c); status.ExitStatus() == 7 {
					ok++
				}
				syscall.Close(c.Pidfd)
				garbage.Store(&[1 << 20]byte{})
			}
		}()
	}
	total := 0
	for range workers {
		total += <-done
	}
	if total != workers*each {
		t.Errorf("%d of %d ended as they should", total, workers*each)
	}
}

var garbage atomic.Pointer[[1 << 20]byte]

// Beside them the standard library's own way, which cannot wait.
func BenchmarkStart(b *testing.B) {
	p, _ := program(b, "")
	p.Paths, p.Args = []string{"/bin/true"}, []string{"true"}
	for _, o := range []spawn.Options{{}, {Apart: true}} {
		name := "sharing"
		if o.Apart {
			name = "apart"
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c := &spawn.Child{Program: p, Options: o}
				if err := c.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
				wait(b, c)
				syscall.Close(c.Pidfd)
			}
		})
	}
	b.Run("standard library", func(b *testing.B) {
		for b.Loop() {
			pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{Files: []uintptr{p.Files[0].Fd(), p.Files[1].Fd(), p.Files[2].Fd()}})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
