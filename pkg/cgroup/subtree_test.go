package cgroup_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// delegate makes a subtree, as an operator does.
func delegate(t *testing.T, h cgroup.Host, name string) *cgroup.Group {
	t.Helper()
	of := []string{"hugetlb"}
	if h.Version == cgroup.V1 {
		of = controllers
	}
	s, err := h.Create(name, of...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// An executor that died could not clean up in a delegated subtree. The next does,
// and leaves alone who lives.
func TestDeadExecutorsAreClearedFromASubtree(t *testing.T) {
	onEach(t, clearedFromASubtree)
}

func clearedFromASubtree(t *testing.T, h cgroup.Host) {
	s := delegate(t, h, "/tandem-test-cleared")
	top := s.Dirs()[0].Path
	open := func(id string) *cgroup.Container {
		t.Helper()
		c, err := cgroup.OpenContainer(cgroup.ContainerOptions{Host: h, ID: id, Subtree: s.String()})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	lives := open("lives")
	// It died before it had a directory in the first but one of the hierarchies of v1, and
	// its process is in the last only.
	var left string
	for i, d := range s.Dirs() {
		if i == 1 && i < len(s.Dirs())-1 {
			continue
		}
		left = filepath.Join(d.Path, "dead", "task-hello.0.1.web")
		if err := os.MkdirAll(left, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	stray := exec.Command("sleep", "1000")
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stray.Process.Kill() })
	if err := os.WriteFile(filepath.Join(left, "cgroup.procs"), []byte(strconv.Itoa(stray.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}

	next := open("next")
	if err := stray.Wait(); err == nil {
		t.Error("what the dead executor has left lives on")
	}
	for _, d := range s.Dirs() {
		if _, err := os.Stat(filepath.Join(d.Path, "dead")); err == nil {
			t.Errorf("its cgroup is still there: %s", d.Path)
		}
		if _, err := os.Stat(filepath.Join(d.Path, "next")); err != nil {
			t.Errorf("its follower has none: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(top, "lives")); err != nil {
		t.Errorf("that of one that lives: %v", err)
	}
	if _, err := cgroup.OpenContainer(cgroup.ContainerOptions{Host: h, ID: "lives", Subtree: s.String()}); err == nil {
		t.Error("two executors have one cgroup")
	}
	for _, c := range []*cgroup.Container{lives, next} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}

	// Who waits for the end of an executor need not wait for the next one.
	type cleared struct {
		processes int
		err       error
	}
	await := func(c *cgroup.Container) chan cleared {
		done := make(chan cleared, 1)
		go func() {
			n, err := cgroup.ClearAfter(c.Delegated()...)
			done <- cleared{n, err}
		}()
		return done
	}
	killed := open("killed")
	g, err := killed.Create("hello.0.1.web", nil)
	if err != nil {
		t.Fatal(err)
	}
	stray = exec.Command("sleep", "1000")
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.Dirs()[0].Path, "cgroup.procs"), []byte(strconv.Itoa(stray.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	done := await(killed)
	select {
	case got := <-done:
		t.Fatalf("one that lives was cleared: %+v", got)
	default:
	}
	if err := unix.Close(killed.Held()); err != nil { // as its end does
		t.Fatal(err)
	}
	if got := <-done; got != (cleared{1, nil}) {
		t.Errorf("of one that was killed: %+v, want one process", got)
	}
	if err := stray.Wait(); err == nil {
		t.Error("what it has left lives on")
	}
	ends := open("ends")
	done = await(ends)
	if err := ends.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got != (cleared{}) {
		t.Errorf("of one that has ended in order: %+v, want nothing", got)
	}
}
