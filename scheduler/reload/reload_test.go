package reload_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"github.com/tandem-mesos/tandem/scheduler/reload"
)

// TestFilesAreReadAnew: when they change, when another takes their place, and
// when somebody asks; and one that is wrong is told once.
func TestFilesAreReadAnew(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link")
	write("one", "1")
	write("two", "2")
	if err := os.Symlink(filepath.Join(dir, "one"), link); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var read []string
		var fail error
		load := func(name string, err *error) func() error {
			return func() error {
				mu.Lock()
				defer mu.Unlock()
				read = append(read, name)
				return *err
			}
		}
		var well error
		log, hook := logtest.NewNullLogger()
		now := make(chan struct{})
		w := reload.New(reload.Options{Now: now, Log: log, Sources: []reload.Source{
			{Name: "one", Paths: []string{filepath.Join(dir, "one")}, Load: load("one", &fail)},
			{Name: "link", Paths: []string{link}, Load: load("link", &well)},
			{Name: "neither", Load: load("neither", &well)},
		}})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.Run(ctx)
		expect := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if d := cmp.Diff(want, read); d != "" {
				t.Errorf("%s (-want +read):\n%s", what, d)
			}
			read = nil
		}
		time.Sleep(time.Minute)
		expect("nothing has changed")
		write("two", "22")
		time.Sleep(10 * time.Second)
		expect("nothing leads to what has changed")
		if err := errors.Join(os.Remove(link), os.Symlink(filepath.Join(dir, "two"), link)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		expect("another file is in the place of one", "link")
		mu.Lock()
		fail = errors.New("line 1: nonsense\nline 2: nonsense")
		mu.Unlock()
		write("one", "11")
		time.Sleep(time.Minute)
		expect("a wrong file", "one")
		if n := len(hook.AllEntries()); n != 3 {
			t.Errorf("%d lines were logged", n)
		}
		now <- struct{}{}
		expect("asked for", "one", "link", "neither")
	})
}
