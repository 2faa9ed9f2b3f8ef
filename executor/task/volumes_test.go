package task

import (
	"os"
	"path/filepath"
	"testing"
)

func TestVolumesAreInTheTasksDirectory(t *testing.T) {
	sandbox, dir, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	// An agent mounts a volume into the sandbox, or links it.
	if err := os.Mkdir(filepath.Join(sandbox, "volume-mounted"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(sandbox, "volume-linked")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // again, as for a restart in place
		if err := linkVolumes(sandbox, dir, []string{"mounted", "linked"}, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"mounted", "linked"} {
		if err := os.WriteFile(filepath.Join(dir, name, "file"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(sandbox, "volume-"+name, "file")); err != nil || string(got) != name {
			t.Errorf("volume %s holds %q, %v", name, got, err)
		}
	}
}

func TestAVolumeThatIsNotThereIsAnError(t *testing.T) {
	sandbox, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"missing", "", "..", "a/b"} {
		if err := linkVolumes(sandbox, dir, []string{name}, nil, false); err == nil {
			t.Errorf("volume %q is linked", name)
		}
	}
}
