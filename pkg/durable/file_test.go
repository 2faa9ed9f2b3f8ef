package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAFileIsReplacedAsAWhole(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	for _, content := range []string{"a long content", "short"} {
		if err := WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != content {
			t.Errorf("the file holds %q (%v), not %q", got, err, content)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(name)); err != nil || len(left) != 1 {
		t.Errorf("beside the file there are %v (%v)", left, err)
	}
}

func TestAFileThatCannotBeWrittenIsAnError(t *testing.T) {
	if err := WriteFile(filepath.Join(t.TempDir(), "missing", "file"), nil, 0o600); err == nil {
		t.Error("no error")
	}
}
