package cgroup

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// A v1 freezer can stay in FREEZING for as long as the kernel keeps one of its processes.
// That cannot be had on demand; a file that never says FROZEN is as bad.
func TestFreezerThatIsStuckIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(os.DevNull, filepath.Join(dir, "freezer.state")); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		freeze(t.Context(), []string{dir})
		if took := time.Since(begun); took != freezeTime {
			t.Errorf("it was waited for %s", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begun = time.Now()
		freeze(ctx, []string{dir})
		if took := time.Since(begun); took != 0 {
			t.Errorf("it was waited for %s with nobody to wait", took)
		}
	})
}

// What stays frozen would not die, and its agent's own freezer would wait for it.
func TestEverythingBelowIsThawed(t *testing.T) {
	dir := t.TempDir()
	below := filepath.Join(dir, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, below} {
		if err := os.WriteFile(filepath.Join(d, "freezer.state"), []byte("FROZEN"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := &Group{version: V1, dirs: []Dir{{Path: dir, Controllers: []string{"freezer"}}}}
	thaw(g.freezers())
	for _, d := range []string{dir, below} {
		if state, err := os.ReadFile(filepath.Join(d, "freezer.state")); err != nil || string(state) != "THAWED" {
			t.Errorf("%s is %s, %v", d, state, err)
		}
	}
}
