package workload_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/tandem-mesos/tandem/executor/workload"
)

// join runs a shell command beside a workload, with pipes, and returns what it
// writes once nobody holds the pipe any more.
func (e *env) join(p *workload.Process, command string) (guest *workload.Process, output func() string) {
	e.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		e.Fatal(err)
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		e.Fatal(err)
	}
	guest, err = p.Join(context.Background(), workload.Guest{Spec: e.shell(command), Files: [3]*os.File{null, theirs, theirs}})
	null.Close()
	theirs.Close()
	if err != nil {
		ours.Close()
		e.Fatal(err)
	}
	return guest, func() string {
		defer ours.Close()
		data, err := io.ReadAll(ours)
		if err != nil {
			e.Error(err)
		}
		return string(data)
	}
}

func TestGuestRunsWhereItsHostDoes(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		host := e.start(e.shell("cat /proc/self/cgroup; touch ready; exec sleep 1000"))
		e.until("the host", func() bool { return e.exists("ready") })
		guest, output := e.join(host, "cat /proc/self/cgroup; echo $GREETING; exit 3")
		if exit := e.wait(guest); exit.Status != (workload.Status{Code: 3}) {
			t.Errorf("the guest ended with %s", exit.Status)
		}
		if got, want := output(), e.output("stdout")+"hello\n"; got != want {
			t.Errorf("the guest says %q, want %q", got, want)
		}
		host.Kill()
		if exit := e.wait(host); exit.Status.Signal != syscall.SIGKILL || exit.Leftovers != 0 {
			t.Errorf("the host ended with %s and %d leftovers", exit.Status, exit.Leftovers)
		}
		_, err := host.Join(context.Background(), workload.Guest{Spec: e.shell("true"), Files: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}})
		if err == nil || !strings.Contains(err.Error(), "it has ended") {
			t.Errorf("a guest of what has ended: %v", err)
		}
	})
}

func TestGuestEndsWithItsHostAndNotTheOtherWayRound(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		host := e.start(e.shell("trap 'exit 7' TERM; touch ready; while :; do sleep 0.01; done"))
		e.until("the host", func() bool { return e.exists("ready") })
		for range count(30) {
			quick, output := e.join(host, "exit 0")
			e.wait(quick)
			output()
		}
		guest, output := e.join(host, "touch here; trap '' TERM; while :; do sleep 0.01; done")
		e.until("the guest", func() bool { return e.exists("here") })
		if err := host.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if exit := e.wait(host); exit.Status != (workload.Status{Code: 7}) {
			t.Errorf("the host ended with %s", exit.Status)
		}
		if exit := e.wait(guest); exit.Status.Signal != syscall.SIGKILL {
			t.Errorf("the guest ended with %s", exit.Status)
		}
		output()
	})
}

func TestNothingOfAGuestIsLeft(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		host := e.start(e.shell("exec sleep 1000"))
		// One stays in the session, one leaves it and is found by its mark.
		guest, output := e.join(host, "sleep 1000 & setsid sleep 1000 & sleep 0.05; touch begun; exec sleep 1000")
		e.until("the guest", func() bool { return e.exists("begun") })
		guest.Kill()
		if exit := e.wait(guest); exit.Status.Signal != syscall.SIGKILL {
			t.Errorf("the guest ended with %s", exit.Status)
		}
		output() // ends when nobody holds the pipe
		defer func() {
			host.Kill()
			e.wait(host)
		}()
		detached, output := e.join(host, "(setsid sleep 1000 &) ; exit 0")
		e.wait(detached)
		output()
	})
}

// interrupted waits until a guest has said on its terminal that it has one, has the
// terminal interrupt it, and returns all that it has said.
func (e *env) interrupted(guest *workload.Process, ours *os.File) string {
	e.Helper()
	var said strings.Builder
	buffer := make([]byte, 100)
	for !strings.Contains(said.String(), "a terminal") {
		n, err := ours.Read(buffer)
		if err != nil {
			e.Fatalf("after %q: %v", &said, err)
		}
		said.Write(buffer[:n])
	}
	// The terminal itself turns the key into a signal for who is in front.
	if _, err := ours.WriteString("\x03"); err != nil {
		e.Fatal(err)
	}
	if exit := e.wait(guest); exit.Status.Signal != syscall.SIGINT {
		e.Errorf("the guest ended with %s", exit.Status)
	}
	return said.String()
}

func TestGuestOnATerminal(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		host := e.start(e.shell("exec sleep 1000"))
		ours, tty, err := pty.Open()
		if err != nil {
			t.Skipf("needs terminals: %v", err)
		}
		defer ours.Close()
		if err := syscall.SetNonblock(int(tty.Fd()), false); err != nil {
			t.Fatal(err)
		}
		guest, err := host.Join(t.Context(), workload.Guest{
			Spec: e.shell("tty -s && echo a terminal >/dev/tty; exec cat"), Files: [3]*os.File{tty, tty, tty}, Terminal: true,
		})
		tty.Close()
		if err != nil {
			t.Fatal(err)
		}
		e.interrupted(guest, ours)
		host.Kill()
		e.wait(host)
	})
}

func TestSignalAll(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		p := e.start(e.shell("sh -c 'trap \"touch child\" USR1; touch childready; while :; do sleep 0.01; done' & " +
			"trap 'touch main' USR1; touch ready; while :; do sleep 0.01; done"))
		e.until("the traps", func() bool { return e.exists("ready") && e.exists("childready") })
		// A sleep that has not reset its signals yet dies, which its shell survives.
		if err := p.SignalAll(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		e.until("both signals", func() bool { return e.exists("main") && e.exists("child") })
		p.Kill()
		e.wait(p)
		if err := p.SignalAll(syscall.SIGUSR1); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("signalling what has ended: %v", err)
		}
	})
}
