package spawn_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

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

func start(t testing.TB, p spawn.Program, o spawn.Options) *spawn.Child {
	t.Helper()
	c, err := spawn.Start(p, o)
	if err != nil {
		t.Fatal(err)
	}
	if c.Pidfd >= 0 {
		defer syscall.Close(c.Pidfd)
	}
	t.Cleanup(c.Close)
	return c
}

func wait(t testing.TB, c *spawn.Child) syscall.WaitStatus {
	t.Helper()
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(c.Pid, &status, 0, nil)
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
		c := start(t, p, o)
		if err := c.Become(t.Context()); err != nil {
			t.Fatal(err)
		}
		if status := wait(t, c); status.ExitStatus() != 3 {
			t.Errorf("status = %v", status)
		}
		text, err := os.ReadFile(out.Name())
		if want := "hello\n0027\n300\n400\n/usr\n0\n1\n2\n10\nNoNewPrivs:\t1\n"; err != nil || strings.Replace(string(text), "10\n", "", 1) != strings.Replace(want, "10\n", "", 1) {
			t.Errorf("got %q, want %q", text, want)
		}
	})
}

// What a program is given arrives byte by byte, whatever it is.
func TestBytesAreKept(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		words := rapid.SliceOf(rapid.Custom(func(r *rapid.T) string { return string(rapid.SliceOf(rapid.ByteRange(1, 255)).Draw(r, "bytes")) }))
		args, env := words.Draw(r, "args"), words.Draw(r, "env")
		p, out := program(t, "cat /proc/$$/cmdline /proc/$$/environ")
		p.Args = append(p.Args, args...)
		p.Env = append([]string{"PATH=/bin"}, env...)
		c := start(t, p, spawn.Options{})
		if err := c.Become(t.Context()); err != nil {
			r.Fatal(err)
		}
		wait(t, c)
		got, err := os.ReadFile(out.Name())
		want := strings.Join(append(slices.Clone(p.Args), p.Env...), "\x00") + "\x00"
		if err != nil || string(got) != want {
			r.Fatalf("got %q, want %q (%v)", got, want, err)
		}
	})
}

// It waits until it is told, and ends when nobody will tell it.
func TestChildWaits(t *testing.T) {
	both(t, func(t *testing.T, o spawn.Options) {
		p, _ := program(t, "exit 0")
		c := start(t, p, o)
		if pid, _ := syscall.Wait4(c.Pid, nil, syscall.WNOHANG, nil); pid != 0 {
			t.Fatal("it did not wait")
		}
		c.Close()
		if status := wait(t, c); status.ExitStatus() != 127 {
			t.Errorf("status = %v", status)
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
			child := start(t, p, o)
			err := child.Become(t.Context())
			var failure *spawn.Failure
			if !errors.As(err, &failure) || *failure != c.want {
				t.Errorf("%s: %v, want %v", c.name, err, &c.want)
			}
			if status := wait(t, child); status.ExitStatus() != 127 {
				t.Errorf("%s: status = %v", c.name, status)
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
		c := start(t, p, o)
		if err := c.Become(t.Context()); err != nil {
			t.Fatal(err)
		}
		wait(t, c)
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

// It is told to become its program before it fails, or after.
func TestChildThatCannotMoveSaysSo(t *testing.T) {
	both(t, func(t *testing.T, o spawn.Options) {
		p, out := program(t, "true")
		o.Enter = []string{out.Name(), "/no/such/tasks"}
		for range 50 {
			c := start(t, p, o)
			err := c.Become(t.Context())
			var failure *spawn.Failure
			if want := (spawn.Failure{Step: spawn.StepCgroup, Which: 1, Errno: syscall.ENOENT}); !errors.As(err, &failure) || *failure != want {
				t.Fatalf("%v, want %v", err, &want)
			}
			if status := wait(t, c); status.ExitStatus() != 127 {
				t.Errorf("status = %v", status)
			}
		}
	})
}

func TestChildThatIsKilledHasNotBecome(t *testing.T) {
	both(t, func(t *testing.T, o spawn.Options) {
		p, _ := program(t, "true")
		c := start(t, p, o)
		if err := syscall.Kill(c.Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if status := wait(t, c); status.Signal() != syscall.SIGKILL {
			t.Errorf("status = %v", status)
		}
		if err := c.Become(t.Context()); err == nil || !strings.Contains(err.Error(), "ended early") {
			t.Errorf("err = %v", err)
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
				c, err := spawn.Start(p, spawn.Options{Apart: i%10 == 0})
				if err != nil {
					t.Error(err)
					return
				}
				if err := c.Become(t.Context()); err != nil {
					t.Error(err)
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
				c, err := spawn.Start(p, o)
				if err != nil {
					b.Fatal(err)
				}
				if err := c.Become(b.Context()); err != nil {
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
