package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

// crashed writes one job for each entry, ends as if killed, and returns the path
// of the journal.
func crashed(t *testing.T, entries int) (dir, journal string) {
	t.Helper()
	dir = t.TempDir()
	s, err := store.OpenBolt(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		write(t, s, state.PutJob(job(fmt.Sprintf("/job-%d", i), 1)))
	}
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	left := journalsIn(t, dir)
	if len(left) != 1 {
		t.Fatalf("there are the journals %v, want one", left)
	}
	return dir, left[0]
}

func journalsIn(t *testing.T, dir string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "journal-*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// jobsIn opens the store, and returns how many jobs it has.
func jobsIn(dir string) (int, error) {
	s, err := store.OpenBolt(dir)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	all, err := s.Load()
	return len(all.Jobs), err
}

// TestCrashesForgetNothing: whatever is written, and whenever the process is
// killed, what was answered is there at the next start.
func TestCrashesForgetNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			r.Fatal(err)
		}
		size := rapid.SampledFrom([]int64{1, 200, 5000}).Draw(r, "journal size")
		model := map[string]*tandemv1.JobRecord{}
		open := func() *store.Bolt {
			s, err := store.OpenSmall(dir, size)
			if err != nil {
				r.Fatal(err)
			}
			return s
		}
		s := open()
		defer func() { s.Close() }()
		for range rapid.IntRange(1, 20).Draw(r, "steps") {
			switch rapid.IntRange(0, 5).Draw(r, "step") {
			case 0:
				if err := s.Crash(); err != nil {
					r.Fatal(err)
				}
				s = open()
			case 1:
				if err := s.Close(); err != nil {
					r.Fatal(err)
				}
				if left := journalsIn(t, dir); len(left) > 0 {
					r.Fatalf("an orderly end leaves %v", left)
				}
				s = open()
			case 2:
				checkJobs(r, s, model)
			default:
				var changes []state.Change
				for range rapid.IntRange(1, 5).Draw(r, "changes") {
					id := rapid.SampledFrom([]string{"/a", "/b", "/c", "/d"}).Draw(r, "job")
					record := job(id, rapid.Uint64Range(1, 9).Draw(r, "version"))
					if rapid.Bool().Draw(r, "remove") {
						changes = append(changes, state.PutJob(record).Removal())
						delete(model, id)
						continue
					}
					changes = append(changes, state.PutJob(record))
					model[id] = record
				}
				if err := s.Write(changes); err != nil {
					r.Fatal(err)
				}
			}
		}
		if err := s.Crash(); err != nil {
			r.Fatal(err)
		}
		s = open()
		checkJobs(r, s, model)
	})
}

func checkJobs(r *rapid.T, s store.Store, model map[string]*tandemv1.JobRecord) {
	got, err := s.Load()
	if err != nil {
		r.Fatal(err)
	}
	var want []string
	for _, id := range slices.Sorted(maps.Keys(model)) {
		want = append(want, fmt.Sprint(id, model[id].GetVersion()))
	}
	var have []string
	for _, j := range got.Jobs {
		have = append(have, fmt.Sprint(j.GetSpec().GetId(), j.GetVersion()))
	}
	if !slices.Equal(want, have) {
		r.Fatalf("there is %v, want %v", have, want)
	}
}

// TestAJournalThatWasCutOff: an entry that is not whole was never answered, and
// all before it are there.
func TestAJournalThatWasCutOff(t *testing.T) {
	dir, path := crashed(t, 3)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entry := (len(whole) - len("tandemj1")) / 3
	for length := range whole {
		replace(t, path, whole[:length])
		os.Remove(filepath.Join(dir, store.BoltFile)) // it is as at the beginning
		want := max(0, length-len("tandemj1")) / entry
		if got, err := jobsIn(dir); err != nil || got != want {
			t.Fatalf("cut to %d of %d bytes there are %d jobs, %v; want %d", length, len(whole), got, err, want)
		}
	}
}

// TestAJournalInTheFileOfAnEarlierOne: however much of an entry has taken the place
// of what was there before, it counts when it is whole, and what was there counts
// never.
func TestAJournalInTheFileOfAnEarlierOne(t *testing.T) {
	dir, path := crashed(t, 5)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.OpenBolt(dir)
	if err != nil {
		t.Fatal(err)
	}
	// The old entries would bring this one back.
	write(t, s, state.PutJob(job("/job-4", 1)).Removal())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	database, err := os.ReadFile(filepath.Join(dir, store.BoltFile))
	if err != nil {
		t.Fatal(err)
	}
	if s, err = store.OpenBolt(dir); err != nil {
		t.Fatal(err)
	}
	write(t, s, state.PutJob(job("/new", 1)), state.PutJob(job("/newer", 1)))
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	path = journalsIn(t, dir)[0]
	entry, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(entry) >= len(old) {
		t.Fatalf("the new entry has %d bytes, and the old ones have %d", len(entry), len(old))
	}
	for length := range len(entry) + 1 {
		replace(t, filepath.Join(dir, store.BoltFile), database)
		replace(t, path, slices.Concat(entry[:length], old[length:]))
		want := 4
		if length == len(entry) || bytes.Equal(entry[length:], old[length:len(entry)]) {
			want = 6
		}
		if got, err := jobsIn(dir); err != nil || got != want {
			t.Fatalf("with %d of %d bytes there are %d jobs, %v; want %d", length, len(entry), got, err, want)
		}
	}
}

// TestFilesOfJournalsAreUsedAgain, and nothing is lost by that.
func TestFilesOfJournalsAreUsedAgain(t *testing.T) {
	dir := t.TempDir()
	s, err := store.OpenSmall(dir, 20_000)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, jobChange(0)...)
	// It is held open, so that no other file can be taken for it.
	first, err := os.Open(journalsIn(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	info, err := first.Stat()
	if err != nil {
		t.Fatal(err)
	}
	again := func() bool {
		return slices.ContainsFunc(journalsIn(t, dir), func(path string) bool {
			other, err := os.Stat(path)
			return err == nil && path != first.Name() && os.SameFile(info, other)
		})
	}
	n := 1
	for ; !again(); n++ {
		if n == 20_000 {
			t.Fatal("no journal is in the file of the first")
		}
		write(t, s, jobChange(n%50)...)
	}
	write(t, s, state.PutJob(job("/last", 1)))
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	if got, err := jobsIn(dir); err != nil || got != min(n, 50)+1 {
		t.Errorf("there are %d jobs, %v; want %d", got, err, min(n, 50)+1)
	}
}

// TestAJournalThatIsDamaged: whichever byte is wrong, either the last entry alone
// is taken for one that was cut off, or the start is refused in one line.
func TestAJournalThatIsDamaged(t *testing.T) {
	dir, path := crashed(t, 3)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := len(whole) - (len(whole)-len("tandemj1"))/3
	for i := range whole {
		spoiled := slices.Clone(whole)
		spoiled[i] ^= 0x40
		replace(t, path, spoiled)
		os.Remove(filepath.Join(dir, store.BoltFile))
		got, err := jobsIn(dir)
		switch {
		case i >= last:
			if err != nil || got != 2 {
				t.Fatalf("with byte %d wrong there are %d jobs, %v; want 2", i, got, err)
			}
		case err == nil || !strings.Contains(err.Error(), "cannot read the journal "+path+", which is damaged: ") || strings.Contains(err.Error(), "\n"):
			t.Fatalf("with byte %d wrong there are %d jobs, and the error is %v", i, got, err)
		}
	}
}

// TestAJournalThatTheDatabaseHasAlready: a process that is killed after it has
// brought a journal to the database, and before it has removed it, repeats
// nothing that was undone later.
func TestAJournalThatTheDatabaseHasAlready(t *testing.T) {
	dir, path := crashed(t, 3)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.OpenBolt(dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, state.PutJob(job("/job-0", 1)).Removal())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	replace(t, path, old)
	if got, err := jobsIn(dir); err != nil || got != 2 {
		t.Errorf("there are %d jobs, %v; want 2", got, err)
	}
}

func TestAJournalThatIsMissing(t *testing.T) {
	dir, path := crashed(t, 3)
	if err := os.Rename(path, filepath.Join(dir, "journal-0000000000000005")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, store.BoltFile)); err != nil {
		t.Fatal(err)
	}
	// Its first entry is 1, so nothing is missing: names are for the order only.
	if got, err := jobsIn(dir); err != nil || got != 3 {
		t.Errorf("there are %d jobs, %v; want 3", got, err)
	}

	s, err := store.OpenSmall(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, state.PutJob(job("/later", 1)))
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	update(t, filepath.Join(dir, store.BoltFile), func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("applied"), []byte("2")) })
	if _, err := jobsIn(dir); err == nil || !strings.Contains(err.Error(), "entry 3 is missing") {
		t.Errorf("got %v, want one that says what is missing", err)
	}
}

// TestTheDiskIsFullAtAnyWrite: whichever write of whichever file finds no room,
// what was answered is there when there is room again.
func TestTheDiskIsFullAtAnyWrite(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tandem-test", dir, "tmpfs", 0, "size=40k"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	resize := func(kib int) {
		if err := unix.Mount("tandem-test", dir, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%dk", kib)); err != nil {
			t.Fatal(err)
		}
	}
	where := map[string]bool{}
	for n := range 90 {
		size := 40 + 4*n
		// Large journals are full themselves, small ones make the database full.
		journal := []int64{1 << 20, 3000}[n%2]
		state := filepath.Join(dir, "state")
		if err := os.RemoveAll(state); err != nil {
			t.Fatal(err)
		}
		resize(size)
		answered := 0
		if s, err := store.OpenSmall(state, journal); err == nil {
			for answered < 400 {
				if err = s.Write(jobChange(answered)); err != nil {
					break
				}
				answered++
			}
			// It is full also for what an orderly end would write.
			err = errors.Join(err, s.Close())
			if err != nil && !errors.Is(err, unix.ENOSPC) && !strings.Contains(err.Error(), "no space left") {
				t.Fatalf("with %d KiB: %v", size, err)
			}
			if err != nil {
				where[regexp.MustCompile(`[^/]*: no space`).FindString(err.Error())] = true
			}
		}
		resize(4000)
		got, err := jobsIn(state)
		if err != nil || got < answered || got > answered+1 {
			t.Fatalf("with %d KiB %d writes were answered, and %d are there: %v", size, answered, got, err)
		}
	}
	if len(where) < 2 {
		t.Errorf("the disk was never full but at %v", where)
	}
}

func jobChange(n int) []state.Change {
	r := job(fmt.Sprintf("/job-%d", n), 1)
	r.PhaseReason = strings.Repeat("x", 2000)
	return []state.Change{state.PutJob(r)}
}

// TestFormats: what is closed in order is of the format that a scheduler without
// journals reads, and what it has written is read; while there may be journals
// it refuses.
func TestFormats(t *testing.T) {
	dir := t.TempDir()
	content, err := os.ReadFile("testdata/format-1.db")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, store.BoltFile)
	replace(t, path, content)
	format := func() (f string) {
		db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		_ = db.View(func(tx *bolt.Tx) error {
			f = string(tx.Bucket([]byte("meta")).Get([]byte("format")))
			return nil
		})
		return f
	}
	s, err := store.OpenBolt(dir)
	if err != nil {
		t.Fatal(err)
	}
	wantSnapshot(t, s, state.Snapshot{Jobs: []*tandemv1.JobRecord{job("/kept", 4)}})
	write(t, s, state.PutJob(job("/new", 1)))
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	if got := format(); got != "2" {
		t.Errorf("with a journal the format is %q, want 2", got)
	}
	if s, err = store.OpenBolt(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := format(); got != "1" {
		t.Errorf("after an orderly end the format is %q, want 1", got)
	}
	if got, err := jobsIn(dir); err != nil || got != 2 {
		t.Errorf("there are %d jobs, %v; want 2", got, err)
	}
}

// FuzzJournal: no content makes reading it panic.
func FuzzJournal(f *testing.F) {
	f.Add([]byte("tandemj1"))
	f.Add([]byte("tandemj1\x31\x6e\x7a\x9d\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(_ *testing.T, content []byte) { _ = store.ReadJournal(content) })
}
