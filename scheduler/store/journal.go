package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/durable"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// A journal is a file beside the database that writes go to first, since one
// sync makes them durable there and bbolt needs two. Its name is "journal-" and
// the number of its first entry, in 16 hexadecimal digits.
//
//	8 bytes   "tandemj1"
//	entries, each of
//	  4 bytes   the mark
//	  4 bytes   the length of the changes
//	  8 bytes   the entry's number; they count up from journal to journal
//	  4 bytes   CRC-32C of the number and the changes
//	  …         the changes, as they stand beside type raw
//
// Numbers are little-endian. Each entry is one write. The last may be incomplete:
// then it was never answered, and counts nothing. After it there may be what is left
// of an earlier journal in the same file: whatever whole entries that has, their
// numbers are lower, and the database has them.
const (
	journalPrefix = "journal-"
	journalHead   = "tandemj1"
	entryMark     = 0x9d7a6e31
	entryHead     = 4 + 4 + 8 + 4
)

// journal is one that is being written.
type journal struct {
	f    *os.File
	size int64
}

// newJournal makes the journal whose first entry has the number.
func newJournal(dir string, first uint64) (*journal, error) {
	f, err := os.OpenFile(journalPath(dir, first), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteString(journalHead); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), durable.SyncDir(dir)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &journal{f: f, size: int64(len(journalHead))}, nil
}

// reuseJournal makes the journal of one whose entries the database has. They stay
// where they are until they are written over.
func reuseJournal(old, dir string, first uint64) (*journal, error) {
	path := journalPath(dir, first)
	if err := os.Rename(old, path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(int64(len(journalHead)), io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := durable.SyncDir(dir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &journal{f: f, size: int64(len(journalHead))}, nil
}

func journalPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%s%016x", journalPrefix, first))
}

// newEntry returns the changes as an entry, whose head is for append to fill in. Room
// is how many bytes it is likely to need.
func newEntry(changes []state.Change, room int) (entry []byte, err error) {
	entry = make([]byte, entryHead, entryHead+room)
	for _, c := range changes {
		if entry, err = appendChange(entry, c); err != nil {
			return nil, err
		}
	}
	if n := len(entry) - entryHead; n > math.MaxInt32 {
		return nil, fmt.Errorf("%d bytes are too many for one write", n)
	}
	return entry, nil
}

// append writes the entry and syncs it. After an error nobody can say whether
// it is there.
func (j *journal) append(number uint64, entry []byte) error {
	binary.LittleEndian.PutUint32(entry, entryMark)
	binary.LittleEndian.PutUint32(entry[4:], uint32(len(entry)-entryHead))
	binary.LittleEndian.PutUint64(entry[8:], number)
	binary.LittleEndian.PutUint32(entry[16:], checksum(entry[8:16], entry[entryHead:]))
	if _, err := j.f.Write(entry); err != nil {
		return err
	}
	for {
		err := unix.Fdatasync(int(j.f.Fd()))
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return fmt.Errorf("sync %s: %w", j.f.Name(), err)
		}
	}
	j.size += int64(len(entry))
	return nil
}

// journals returns the paths of the journals in the directory, the oldest first.
func journals(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		number, isOne := strings.CutPrefix(e.Name(), journalPrefix)
		if _, err := strconv.ParseUint(number, 16, 64); isOne && err == nil && len(number) == 16 {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(found) // the numbers have all their digits
	return found, nil
}

// readJournals calls each for the changes of every entry after the one with the
// number, in order, and returns the number of the last. The changes can be parsed.
// The error is a *spoiled when a journal does not hold what was written.
func readJournals(paths []string, after uint64, each func(changes []byte)) (last uint64, err error) {
	last = after
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		if last, err = readJournal(path, b, last, each); err != nil {
			return 0, err
		}
	}
	return last, nil
}

// spoiled is why a journal cannot be read.
type spoiled struct {
	path string
	why  error
}

func (d *spoiled) Error() string { return fmt.Sprintf("%s: %s", d.path, d.why) }

func (d *spoiled) Unwrap() error { return d.why }

func readJournal(path string, b []byte, last uint64, each func(changes []byte)) (uint64, error) {
	if len(b) < len(journalHead) && strings.HasPrefix(journalHead, string(b)) {
		return last, nil // it was being made
	}
	b, ok := bytes.CutPrefix(b, []byte(journalHead))
	if !ok {
		return 0, &spoiled{path, errors.New("it does not begin as a journal does")}
	}
	for len(b) > 0 {
		number, changes, rest, ok := cutEntry(b)
		if !ok {
			// What is here was being written when the scheduler ended, or it is
			// damaged: then there are entries after it.
			for i := 1; i+entryHead <= len(b); i++ {
				if n, _, _, ok := cutEntry(b[i:]); ok && n > last {
					return 0, &spoiled{path, fmt.Errorf("entry %d: %w", last+1, errChecksum)}
				}
			}
			return last, nil
		}
		b = rest
		if number <= last {
			continue // the database has it already
		}
		if number != last+1 {
			return 0, &spoiled{path, fmt.Errorf("entry %d is missing", last+1)}
		}
		for _, err := range parseChanges(changes) {
			if err != nil {
				return 0, &spoiled{path, fmt.Errorf("entry %d: %w", number, err)}
			}
		}
		each(changes)
		last = number
	}
	return last, nil
}

// cutEntry returns the entry that b begins with, if there is a whole one.
func cutEntry(b []byte) (number uint64, changes, rest []byte, ok bool) {
	if len(b) < entryHead || binary.LittleEndian.Uint32(b) != entryMark {
		return 0, nil, nil, false
	}
	end := entryHead + int64(binary.LittleEndian.Uint32(b[4:]))
	if end > int64(len(b)) || binary.LittleEndian.Uint32(b[16:]) != checksum(b[8:16], b[entryHead:end]) {
		return 0, nil, nil, false
	}
	return binary.LittleEndian.Uint64(b[8:]), b[entryHead:end], b[end:], true
}

// removeJournals removes the files durably. What is not there is no error.
func removeJournals(dir string, paths ...string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.SyncDir(dir)
}
