package workload_test

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tandem-mesos/tandem/executor/workload"
)

func TestOutputIsRotated(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		s := e.shell("seq 1 5000; echo done >&2")
		s.Rotation = &workload.Rotation{MaxFiles: 3, MaxFileSize: 8 << 10}
		if exit := e.run(s); !exit.Status.Success() || exit.LostOutput != nil {
			t.Errorf("exit = %+v", exit)
		}
		var all strings.Builder
		for _, name := range []string{"stdout.2", "stdout.1", "stdout"} {
			all.WriteString(e.output(name))
		}
		if kept := all.String(); !strings.HasSuffix(kept, "4999\n5000\n") || len(kept) < 16<<10 {
			t.Errorf("%d bytes are kept", len(kept))
		}
		if e.exists("stdout.3") || e.output("stderr") != "done\n" {
			t.Error("there are other files than were asked for")
		}
	})
}

// TestWhoEscapesHoldsNoEndUp is about a daemon that no cgroup holds and that
// keeps the workload's output open.
func TestWhoEscapesHoldsNoEndUp(t *testing.T) {
	e := newEnv(t, setup{"", none})
	s := e.shell("(setsid sh -c 'echo $$ > daemon; exec sleep 1000' &); while [ ! -s daemon ]; do sleep 0.01; done; echo last words")
	s.Rotation = &workload.Rotation{MaxFiles: 2, MaxFileSize: 8 << 10}
	p := e.start(s)
	daemon := e.pid("daemon")
	defer syscall.Kill(daemon, syscall.SIGKILL)
	if exit := e.wait(p); !exit.Status.Success() {
		t.Errorf("exit = %+v", exit)
	}
	if got := e.output("stdout"); got != "last words\n" {
		t.Errorf("got %q", got)
	}
	if !alive(daemon) {
		t.Skip("the daemon did not escape")
	}
}

// TestRotatedOutputCanBeOpenedByName has a program of another user open
// /dev/stdout, as servers do that have no other way to log there.
func TestRotatedOutputCanBeOpenedByName(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: runs a workload as another user")
	}
	if _, err := user.Lookup("nobody"); err != nil {
		t.Skip("needs a user nobody")
	}
	e := newEnv(t, setup{"", none})
	s := e.shell("echo by name > /dev/stdout")
	s.User, s.Rotation = "nobody", &workload.Rotation{MaxFiles: 2, MaxFileSize: 8 << 10}
	if exit := e.run(s); !exit.Status.Success() {
		t.Errorf("exit = %+v: %s", exit, e.output("stderr"))
	}
	if got := e.output("stdout"); got != "by name\n" {
		t.Errorf("got %q", got)
	}
	info, err := os.Stat(filepath.Join(e.dir, "stdout"))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Errorf("the file is root's (%v)", err)
	}
}
