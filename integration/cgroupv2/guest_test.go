package cgroupv2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/integration/uml"
)

const module = "github.com/tandem-mesos/tandem"

// built is where the programs that guests run are compiled to, without race
// detector: its memory map does not fit a guest.
var built string

func TestMain(m *testing.M) {
	var err error
	built, err = os.MkdirTemp("", "tandem-v2-")
	if err == nil {
		err = os.Chmod(built, 0o755) // for guests' other users
	}
	if err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(status)
}

var buildGuest = sync.OnceValues(func() (string, error) {
	guest := filepath.Join(built, "guest")
	return guest, uml.BuildGuest(guest)
})

// moduleRoot is the directory of the module's source.
func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// compile runs the go command for a guest's program; the last argument is the
// package.
func compile(t *testing.T, args ...string) {
	t.Helper()
	dependOnSource(t)
	cmd := exec.Command("go", args...)
	cmd.Dir = moduleRoot(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot compile %s: %v\n%s", args[len(args)-1], err, out)
	}
}

// dependOnSource looks at every directory of the source, so that the go command
// does not take an old result of these tests for a new one: it sees what a test
// opens, and not what a compiler that the test starts reads.
func dependOnSource(t *testing.T) {
	t.Helper()
	root := moduleRoot(t)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin") {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// machine is the kind of machine that a guest is.
type machine struct {
	name        string
	localEvents bool
	systemd     bool
}

var machines = []machine{
	// Debian and Ubuntu as installed.
	{name: "as systemd boots it", systemd: true},
	// A v2 on which a task's out-of-memory kill stays its own.
	{name: "bare, with memory_localevents", localEvents: true},
}

// run runs a command in a guest, with what it writes in the test's log, and
// checks that nothing of it has stayed. It skips where guests cannot be had.
func (m machine) run(t *testing.T, dir string, command ...string) (uml.End, string) {
	t.Helper()
	if err := uml.Available(); err != nil {
		t.Skip(err)
	}
	guest, err := buildGuest()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Minute, errors.New("it took longer than 5 minutes"))
	defer cancel()
	var out bytes.Buffer
	end, err := uml.Run(ctx, guest, uml.Job{
		Command: command, Dir: dir, Scratch: t.TempDir(),
		Env:         []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp"},
		Visible:     []string{moduleRoot(t), built},
		LocalEvents: m.localEvents, Systemd: m.systemd,
	}, io.MultiWriter(&out, t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	if len(end.Processes) > 0 {
		t.Errorf("still running in the end:\n%s", strings.Join(end.Processes, "\n"))
	}
	if len(end.Cgroups) > 0 {
		t.Errorf("cgroups still there in the end:\n%s", strings.Join(end.Cgroups, "\n"))
	}
	after := strings.Fields(end.EnabledAfter)
	for _, c := range strings.Fields(end.EnabledBefore) {
		if !slices.Contains(after, c) {
			t.Errorf("the controllers enabled for the machine were %q and are %q", end.EnabledBefore, end.EnabledAfter)
		}
	}
	return end, out.String()
}
