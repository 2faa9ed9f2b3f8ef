package task

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// It is what du(1) says, by which Mesos's isolator disk/du judges as well, and a person
// who looks.
func TestUsedCountsWhatIsTaken(t *testing.T) {
	dir := t.TempDir()
	deleted, err := os.Create(filepath.Join(dir, "deleted"))
	if err != nil {
		t.Fatal(err)
	}
	defer deleted.Close()
	if _, err := deleted.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(deleted.Name()); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "large")
	for _, err := range []error{
		os.WriteFile(outside, make([]byte, 8<<20), 0o644),
		os.MkdirAll(filepath.Join(dir, "a/b"), 0o755),
		os.WriteFile(filepath.Join(dir, "a/b/file"), make([]byte, 1<<20), 0o644),
		os.Link(filepath.Join(dir, "a/b/file"), filepath.Join(dir, "again")),
		os.Symlink(filepath.Dir(outside), filepath.Join(dir, "volume")),
		os.WriteFile(filepath.Join(dir, "holes"), nil, 0o644),
		os.Truncate(filepath.Join(dir, "holes"), 64<<20),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := used(t.Context(), dir)
	if err != nil || got < 1<<20 || got > 2<<20 {
		t.Errorf("%d bytes, %v; want a bit more than one MiB", got, err)
	}
	if got, err := used(t.Context(), filepath.Join(dir, "not there")); got != 0 || err != nil {
		t.Errorf("a directory that is not there takes %d bytes, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := used(ctx, dir); err == nil {
		t.Error("it does not end with its context")
	}
}
