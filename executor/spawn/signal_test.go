package spawn_test

import (
	"syscall"
	"testing"

	"github.com/tandem-mesos/tandem/executor/spawn"
)

// What is sent to a child that waits reaches its program, which is not there yet
// or does what it does by default; never a handler of the parent's, which would
// run in the parent's memory.
func TestSignalsWaitForTheProgram(t *testing.T) {
	both(t, func(t *testing.T, o spawn.Options) {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGSEGV, syscall.SIGURG, syscall.SIGCHLD, syscall.SIGUSR1} {
			p, _ := program(t, "exit 5")
			c, release, done := held(t, t.Context(), p, o)
			if err := syscall.Kill(c.Pid(), signal); err != nil {
				t.Fatal(err)
			}
			release()
			if err := <-done; err != nil {
				t.Fatalf("%s: %v", signal, err)
			}
			status := wait(t, c)
			switch signal {
			case syscall.SIGURG, syscall.SIGCHLD: // ignored by default
				if status.ExitStatus() != 5 {
					t.Errorf("%s: status = %v", signal, status)
				}
			default:
				if status.Signal() != signal {
					t.Errorf("%s: status = %x", signal, status)
				}
			}
		}
	})
}
