package workload_test

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/confine"
)

// confined is a view with everything of its own.
var confined = workload.View{
	Namespaces:   []specs.LinuxNamespaceType{specs.PIDNamespace, specs.MountNamespace, specs.IPCNamespace, specs.UTSNamespace},
	ReadonlyRoot: true,
	Mounts:       []confine.Mount{{Destination: "/mnt", Type: "tmpfs", Options: []string{"nosuid", "size=1m"}}},
}

// TestCommandsShareTheNamespacesOfAWorkload, beside it in its cgroup or in one of
// their own.
func TestCommandsShareTheNamespacesOfAWorkload(t *testing.T) {
	needRoot(t)
	each(t, func(t *testing.T, e *env) {
		s := e.shell(`hostname of-the-host; echo kept >/mnt/file; touch ready; while [ ! -e /mnt/done ]; do sleep 0.01; done; exit 4`)
		s.View = confined
		host := e.start(s)
		e.until("the host", func() bool { return e.exists("ready") })

		const look = `hostname; cat /mnt/file; [ $$ != 1 ] && echo "not the first"; tr '\\0' ' ' </proc/1/cmdline | grep -c hostname; touch /etc/x 2>&1 | grep -o Read-only; echo mine >own`
		const want = "of-the-host\nkept\nnot the first\n1\nRead-only\n"
		guestSpec := e.shell(look)
		guestSpec.View = confined
		ours, theirs, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		guest, err := host.Join(t.Context(), workload.Guest{Spec: guestSpec, Files: [3]*os.File{theirs, theirs, theirs}})
		theirs.Close()
		if err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 4096)
		if exit := e.wait(guest); !exit.Status.Success() {
			t.Errorf("the guest ended with %s", exit.Status)
		}
		if n, _ := ours.Read(said); string(said[:n]) != want {
			t.Errorf("the guest says %q, want %q", said[:n], want)
		}

		beside := e.shell(look + "; (setsid sleep 1000 &); touch /mnt/done")
		beside.View, beside.With = confined, host
		if exit := e.run(beside); !exit.Status.Success() && exit.Status.Signal != syscall.SIGKILL { // The host may have ended with all that is in its namespace.
			t.Errorf("the command ended with %s: %s", exit.Status, e.output("stderr"))
		}
		if got := e.output("stdout"); !strings.HasSuffix(got, want) {
			t.Errorf("the command says %q, want %q", got, want)
		}
		if exit := e.wait(host); exit.Status != (workload.Status{Code: 4}) {
			t.Errorf("the host ended with %s", exit.Status)
		}
		if _, err := e.launcher.Start(context.Background(), beside); err == nil || !strings.Contains(err.Error(), "it has ended") {
			t.Errorf("a command with what has ended: %v", err)
		}
		if now, _ := os.Readlink("/proc/thread-self/ns/pid_for_children"); now == "" || now != link(t, "/proc/self/ns/pid") {
			t.Errorf("this thread's children would be in %s", now)
		}
	})
}

func link(t *testing.T, name string) string {
	t.Helper()
	to, err := os.Readlink(name)
	if err != nil {
		t.Fatal(err)
	}
	return to
}
