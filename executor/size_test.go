package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Every agent fetches the program. The limit is for what `make build` makes, by `gzip -9`.
func TestProgramIsSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("links and compresses the program")
	}
	const most = 6_000_000
	file := filepath.Join(t.TempDir(), "tandem-executor")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	gzip, err := exec.LookPath("gzip")
	if err != nil {
		t.Skip(err)
	}
	compress := exec.Command(gzip, "-9", "-c", file)
	out, err := compress.StdoutPipe()
	if err == nil {
		err = compress.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	size, err := io.Copy(io.Discard, out)
	if err == nil {
		err = compress.Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
	if size > most {
		t.Errorf("the executor's program is %d bytes by gzip -9, and %d are the limit: `go list -deps ./executor` tells what came with the last imports", size, most)
	}
}
