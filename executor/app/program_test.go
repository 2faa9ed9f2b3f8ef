package app

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// copyOf copies a small program of this machine, and returns its SHA-256 as well.
func copyOf(t *testing.T, program string) (file, sum string) {
	t.Helper()
	data, err := os.ReadFile(program)
	if err != nil {
		t.Skipf("needs %s: %v", program, err)
	}
	file = filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(data)
	return file, hex.EncodeToString(digest[:])
}

func TestProgramIsHeldWithoutAName(t *testing.T) {
	for _, secret := range []bool{false, true} {
		file, sum := copyOf(t, "/bin/true")
		dir := filepath.Dir(file)
		p, err := hold(file, dir, strings.ToUpper(sum), secret)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.close)
		// Whatever becomes of the file that it was fetched into.
		if err := os.WriteFile(file, []byte("#!/bin/false"), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(p.path()).CombinedOutput(); err != nil {
			t.Errorf("it cannot be executed: %v %s", err, out)
		}
		var stat unix.Stat_t
		if err := unix.Fstat(int(p.file.Fd()), &stat); err != nil {
			t.Fatal(err)
		}
		if stat.Nlink != 0 || stat.Mode&0o222 != 0 || (stat.Mode&0o444 == 0) != secret || p.sum != sum {
			t.Errorf("secret %v: it has %d names, mode %o and sum %s", secret, stat.Nlink, stat.Mode, p.sum)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("the directory has %v, %v", entries, err)
		}
	}
}

func TestProgramThatHasChangedIsNotHeld(t *testing.T) {
	file, _ := copyOf(t, "/bin/true")
	if _, err := hold(file, filepath.Dir(file), strings.Repeat("ab", 32), false); err == nil || !strings.Contains(err.Error(), "no longer abab") {
		t.Errorf("err = %v", err)
	}
}
