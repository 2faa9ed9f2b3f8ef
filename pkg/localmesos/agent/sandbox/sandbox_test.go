package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
)

func TestCreate(t *testing.T) {
	p := sandbox.Path{WorkDir: t.TempDir(), Agent: "S0", Framework: "fw", Executor: "exec-1", Container: "c1"}
	if _, err := sandbox.Create(p, ""); err != nil {
		t.Fatal(err)
	}
	second := p
	second.Container = "c2"
	owner, err := sandbox.Create(second, "")
	if err != nil {
		t.Fatal(err)
	}
	if owner.Credential != nil || int(owner.UID) != os.Geteuid() {
		t.Errorf("owner %+v", owner)
	}
	want := filepath.Join(p.WorkDir, "slaves/S0/frameworks/fw/executors/exec-1/runs/c2")
	if got, err := os.Readlink(p.Latest()); err != nil || got != want {
		t.Errorf("latest leads to %s (%v), want %s", got, err, want)
	}
	if info, err := os.Stat(want); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("the sandbox is %v (%v)", info.Mode(), err)
	}
	if got := p.Virtual(); got != "/frameworks/fw/executors/exec-1/runs/latest" {
		t.Errorf("virtual path %s", got)
	}
}

func TestUnknownUser(t *testing.T) {
	p := sandbox.Path{WorkDir: t.TempDir(), Agent: "S0", Framework: "fw", Executor: "exec-1", Container: "c1"}
	_, err := sandbox.Create(p, "no-such-user")
	want := "Failed to create executor directory '" + p.Dir() + "': Failed to chown directory to 'no-such-user': No such user 'no-such-user'"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	for _, left := range []string{p.Dir(), p.Latest()} {
		if _, err := os.Lstat(left); err == nil {
			t.Error("there is", left)
		}
	}
}

func TestLogs(t *testing.T) {
	p := sandbox.Path{WorkDir: t.TempDir(), Agent: "S0", Framework: "fw", Executor: "exec-1", Container: "c1"}
	owner, err := sandbox.Create(p, "")
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err := sandbox.Logs(p.Dir(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	defer stderr.Close()
	if !strings.HasSuffix(stdout.Name(), "c1/stdout") || !strings.HasSuffix(stderr.Name(), "c1/stderr") {
		t.Errorf("logs %s and %s", stdout.Name(), stderr.Name())
	}
}
