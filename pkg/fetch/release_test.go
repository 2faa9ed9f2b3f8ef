package fetch

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// TestProgramsRunAtOnce holds that a program can be run as soon as it is fetched,
// however many children this process is starting.
func TestProgramsRunAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("#!/bin/sh\nexit 0\n"))
	}))
	defer server.Close()
	const fetchers, rounds = 8, 15
	var group sync.WaitGroup
	for range fetchers {
		dir := t.TempDir()
		group.Go(func() {
			for range rounds {
				if err := Fetch(context.Background(), Request{URI: server.URL + "/run", Dir: dir, Executable: true}); err != nil {
					t.Error(err)
				}
				if out, err := exec.Command(filepath.Join(dir, "run")).CombinedOutput(); err != nil {
					t.Errorf("cannot run it: %v: %s", err, out)
				}
			}
		})
	}
	group.Wait()
}
