package uml_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/integration/uml"
)

var guestDir string

func TestMain(m *testing.M) {
	var err error
	if guestDir, err = os.MkdirTemp("", "guest"); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(guestDir)
	os.Exit(status)
}

// buildGuest builds the guest's first process once.
var buildGuest = sync.OnceValues(func() (string, error) {
	guest := filepath.Join(guestDir, "guest")
	return guest, uml.BuildGuest(guest)
})

// sh is a job that runs a script.
func sh(t *testing.T, script string) uml.Job {
	return uml.Job{
		Command: []string{"/bin/sh", "-c", script}, Dir: "/", Scratch: t.TempDir(),
		Env: []string{"PATH=" + os.Getenv("PATH")},
	}
}

func run(t *testing.T, ctx context.Context, job uml.Job) (uml.End, string, error) {
	t.Helper()
	if err := uml.Available(); err != nil {
		t.Skip(err)
	}
	guest, err := buildGuest()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var output bytes.Buffer
	end, err := uml.Run(ctx, guest, job, &output)
	return end, output.String(), err
}

func TestOutputAndStatusComeBack(t *testing.T) {
	t.Parallel()
	end, output, err := run(t, t.Context(), sh(t, `
		set -e
		cat /proc/self/cgroup; id -u
		cat /sys/fs/cgroup/cgroup.controllers
		exit 42`))
	if err != nil {
		t.Fatal(err)
	}
	if end.Status != 42 {
		t.Errorf("status = %d", end.Status)
	}
	if want := "0::/\n0\ncpu io memory pids\n"; output != want {
		t.Errorf("output = %q, want %q", output, want)
	}
}

func TestManyBytesComeBackWhole(t *testing.T) {
	t.Parallel()
	end, output, err := run(t, t.Context(), sh(t, "seq 1 300000"))
	if err != nil || end.Status != 0 {
		t.Fatal(end, err)
	}
	var want bytes.Buffer
	for i := range 300000 {
		fmt.Fprintln(&want, i+1)
	}
	if sha256.Sum256([]byte(output)) != sha256.Sum256(want.Bytes()) {
		t.Errorf("%d bytes came, they are not the %d that were sent", len(output), want.Len())
	}
}

func TestOnlyTheScratchDirectoryChanges(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	job := sh(t, "")
	job.Visible = []string{outside}
	job.Command[2] = fmt.Sprintf("echo a >%s/a; echo b >%s/b; echo c >/etc/tandem-guest; echo d >/tmp/d && ls %s", job.Scratch, outside, outside)
	end, output, err := run(t, t.Context(), job)
	if err != nil || end.Status != 0 {
		t.Fatal(end, err, output)
	}
	if data, err := os.ReadFile(filepath.Join(job.Scratch, "a")); string(data) != "a\n" {
		t.Errorf("the guest's file has %q, %v", data, err)
	}
	for _, file := range []string{filepath.Join(outside, "b"), "/etc/tandem-guest", "/tmp/d"} {
		if _, err := os.Stat(file); err == nil {
			t.Errorf("the guest has written %s", file)
		}
	}
}

func TestLeftoversAreListed(t *testing.T) {
	t.Parallel()
	job := sh(t, "mkdir /sys/fs/cgroup/left && sleep 1000 & sleep 0.2; kill -9 $$")
	job.Systemd = true
	end, output, err := run(t, t.Context(), job)
	if err != nil {
		t.Fatal(err, output)
	}
	if end.Status != 128+9 || len(end.Cgroups) != 1 || end.Cgroups[0] != "/left" {
		t.Errorf("end = %+v", end)
	}
	if len(end.Processes) != 1 || !strings.HasSuffix(end.Processes[0], " sleep 1000") {
		t.Errorf("processes = %q", end.Processes)
	}
	if end.EnabledBefore != "cpu io memory pids" || end.EnabledAfter != end.EnabledBefore {
		t.Errorf("enabled at the root: %q, then %q", end.EnabledBefore, end.EnabledAfter)
	}
}

func TestMountOptions(t *testing.T) {
	t.Parallel()
	for _, local := range []bool{false, true} {
		job := sh(t, "grep cgroup /proc/mounts; hostname; : >/dev/fd/1")
		job.LocalEvents = local
		end, output, err := run(t, t.Context(), job)
		if err != nil || end.Status != 0 {
			t.Fatal(end, err, output)
		}
		if strings.Contains(output, "memory_localevents") != local || strings.Count(output, "cgroup2") == 0 {
			t.Errorf("local events %v: %s", local, output)
		}
	}
}

func TestPanicIsTold(t *testing.T) {
	t.Parallel()
	_, _, err := run(t, t.Context(), sh(t, "echo c >/proc/sysrq-trigger; sleep 100"))
	var panicked *uml.PanicError
	if !errors.As(err, &panicked) || !strings.Contains(err.Error(), "panic") {
		t.Errorf("err = %v", err)
	}
}

func TestMissingProgramIsTold(t *testing.T) {
	t.Parallel()
	job := sh(t, "")
	job.Command = []string{"/nowhere/at/all"}
	if _, _, err := run(t, t.Context(), job); err == nil || !strings.Contains(err.Error(), "/nowhere/at/all in a guest: cannot start: no such file") {
		t.Errorf("err = %v", err)
	}
}

func TestHangingGuestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	job := sh(t, "")
	job.Command[2] = fmt.Sprintf(": >%s/up; exec sleep 1000", job.Scratch)
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(job.Scratch, "up")); err == nil {
				cancel(errors.New("long enough"))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	_, _, err := run(t, ctx, job)
	if err == nil || !strings.Contains(err.Error(), "long enough") {
		t.Errorf("err = %v", err)
	}
}
