package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

// written makes a store with some records, closes it, and returns the path of
// its file.
func written(t *testing.T) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	s, err := store.OpenBolt(dir)
	if err != nil {
		t.Fatal(err)
	}
	var changes []state.Change
	for slot := range int32(200) {
		changes = append(changes, state.PutInstance(instance("/payments/api", slot)), state.PutAttempt(attempt("/payments/api", slot, 1)))
	}
	write(t, s, append(changes, state.PutFramework(framework("77a7fa47-0002")), state.PutJob(job("/payments/api", 1)))...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, store.BoltFile)
}

// openAndLoad does what a scheduler does at its start.
func openAndLoad(dir string) error {
	s, err := store.OpenBolt(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Load()
	return err
}

func TestOneSchedulerAtATime(t *testing.T) {
	dir := t.TempDir()
	s, err := store.OpenBolt(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := "another scheduler is using " + filepath.Join(dir, store.BoltFile)
	if _, err := store.OpenBolt(dir); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
}

func TestOnlyItsOwnerReadsTheState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, err := store.OpenBolt(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, path := range []string{dir, filepath.Join(dir, store.BoltFile)} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("more than one file is left: %v", left)
	}
}

// TestFilesThatCannotBeRead: whatever is in the file's place, the answer is one
// line, and nothing is written over it.
func TestFilesThatCannotBeRead(t *testing.T) {
	random := make([]byte, 100<<10)
	rand.NewChaCha8([32]byte{}).Read(random)
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		want  string
	}{
		{"an empty file", func(t *testing.T, path string) { truncate(t, path, 0) }, "damaged or not a scheduler's: the file is empty"},
		{"a file of another program", func(t *testing.T, path string) { replace(t, path, []byte("#!/bin/sh\n")) }, "damaged or not a scheduler's"},
		{"random bytes", func(t *testing.T, path string) { replace(t, path, random) }, "damaged or not a scheduler's"},
		{"a file cut to one page", func(t *testing.T, path string) { truncate(t, path, 4096) }, "damaged or not a scheduler's"},
		{"a file cut in half", func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			truncate(t, path, info.Size()/2)
		}, "damaged or not a scheduler's"},
		{"another program's database", func(t *testing.T, path string) {
			os.Remove(path)
			update(t, path, func(tx *bolt.Tx) error {
				_, err := tx.CreateBucket([]byte("users"))
				return err
			})
		}, "it has no format version"},
		{"a later format", func(t *testing.T, path string) {
			update(t, path, func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("7")) })
		}, `it has format "7", and this scheduler reads formats 1 and 2; use the scheduler that has written it, or a newer one`},
		{"a kind of a later scheduler", func(t *testing.T, path string) {
			update(t, path, func(tx *bolt.Tx) error {
				b, err := tx.CreateBucket([]byte("claim"))
				if err != nil {
					return err
				}
				return b.Put([]byte("a"), []byte("b"))
			})
		}, `it has records of kind "claim", which this scheduler does not know; use the scheduler that has written it, or a newer one`},
		{"a spoiled record", func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			replace(t, path, []byte(strings.ReplaceAll(string(b), "payments_api.7.1.web", "payments_api.8.1.web")))
		}, `attempt "/payments/api#0000000007#00000000000000000001": its checksum is wrong`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, path := written(t)
			c.spoil(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			err = openAndLoad(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v\nwant one line with %q and the file's path", err, c.want)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestADirectoryInTheFilesPlace(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, store.BoltFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := openAndLoad(dir); err == nil || !strings.HasSuffix(err.Error(), store.BoltFile+" is no file") {
		t.Errorf("got %v", err)
	}
}

func TestAStateDirectoryThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	replace(t, file, nil)
	if err := openAndLoad(filepath.Join(file, "state")); err == nil || !strings.HasPrefix(err.Error(), "cannot make the state directory: ") {
		t.Errorf("got %v", err)
	}
}

// TestAFullDisk: a write that finds no room fails as a whole, and what was
// written before is there afterwards.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tandem-test", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s, err := store.OpenBolt(dir)
	if err != nil {
		t.Fatal(err)
	}
	var want state.Snapshot
	for slot := int32(0); ; slot += 10 {
		var changes []state.Change
		var batch []*tandemv1.AttemptRecord
		for i := range int32(10) {
			a := attempt("/payments/api", slot+i, 1)
			batch, changes = append(batch, a), append(changes, state.PutAttempt(a))
		}
		if err = s.Write(changes); err != nil {
			break
		}
		want.Attempts = append(want.Attempts, batch...)
	}
	if !errors.Is(err, unix.ENOSPC) || !strings.HasPrefix(err.Error(), "cannot write the state in "+dir) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Room is made.
	if err := unix.Mount("tandem-test", dir, "tmpfs", unix.MS_REMOUNT, "size=2m"); err != nil {
		t.Fatal(err)
	}
	if s, err = store.OpenBolt(dir); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wantSnapshot(t, s, want)
	write(t, s, state.PutJob(job("/payments/api", 1)))
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func update(t *testing.T, path string, change func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(change); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkWrite is how many records a second become durable, in batches that
// share a write, beside a bare loop that appends as many bytes to a file and
// syncs it. The two take turns.
func BenchmarkWrite(b *testing.B) {
	for _, batch := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			dir := b.TempDir()
			s, err := store.OpenBolt(dir)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			file, err := os.Create(filepath.Join(dir, "bare"))
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			n := 0
			var stored, bare time.Duration
			for b.Loop() {
				changes := make([]state.Change, batch)
				size := 0
				for i := range changes {
					r := attempt("/payments/api", int32(n%100000), 1)
					changes[i] = state.PutAttempt(r)
					size += proto.Size(r) + len(changes[i].Key.String())
					n++
				}
				began := time.Now()
				if err := s.Write(changes); err != nil {
					b.Fatal(err)
				}
				stored += time.Since(began)
				bytes := make([]byte, size)
				began = time.Now()
				if _, err := file.Write(bytes); err != nil {
					b.Fatal(err)
				}
				if err := unix.Fdatasync(int(file.Fd())); err != nil {
					b.Fatal(err)
				}
				bare += time.Since(began)
			}
			b.ReportMetric(float64(n)/stored.Seconds(), "records/s")
			b.ReportMetric(bare.Seconds()/stored.Seconds(), "of-bare")
		})
	}
}

// BenchmarkOpen is what a restart waits for: the store of 100,000 instances, each
// with one attempt, checked and loaded.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s, err := store.OpenBolt(dir)
	if err != nil {
		b.Fatal(err)
	}
	for from := int32(0); from < 100000; from += 10000 {
		var changes []state.Change
		for slot := from; slot < from+10000; slot++ {
			changes = append(changes, state.PutInstance(instance("/payments/api", slot)), state.PutAttempt(attempt("/payments/api", slot, 1)))
		}
		if err := s.Write(changes); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, store.BoltFile))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := openAndLoad(dir); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(info.Size())/100000, "disk-B/task")
}
