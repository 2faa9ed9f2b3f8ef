package task

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

func TestUsedCountsWhatIsTaken(t *testing.T) {
	dir := t.TempDir()
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
