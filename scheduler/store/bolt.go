package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/durable"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// BoltFile is the name of the file within the state directory.
const BoltFile = "tandem.db"

// The versions of the format below, which this package reads and writes. A
// change that an older scheduler would misread counts them up.
//
// The database is a bbolt file with these buckets:
//
//	meta        format → the version in decimal
//	            applied → the number of the last entry of journals whose
//	            changes it has, in decimal; absent for 0
//	framework   self → FrameworkRecord
//	job         each kind of record of package state under its name,
//	instance    with that package's keys
//	attempt
//	…
//
// A value is the record in protobuf and four bytes, little-endian, of the
// CRC-32C of key and protobuf: bbolt itself does not notice a page that a disk
// or a file system has spoiled.
//
// What was written last stands in journals beside it; see type journal. A
// database that was closed in order holds everything, and its format is
// boltClosed, which says so: it is what a scheduler without journals reads.
const (
	boltClosed = "1"
	boltFormat = "2"
)

// The meta bucket.
var (
	metaBucket = []byte("meta")
	formatKey  = []byte("format")
	appliedKey = []byte("applied")
)

// journalSize is how large a journal grows, in bytes, before its changes go into
// the database. A start reads what is in journals again, and memory holds it.
const journalSize = 8 << 20

const (
	// maxBehind is how many times as large a journal may become while the database
	// has not taken in the one before: then writes wait for it.
	maxBehind = 8
	// roomPerChange is what most changes need in an entry, in bytes.
	roomPerChange = 320
)

// lockTimeout is how long a scheduler that is just ending may take to give the
// file up.
const lockTimeout = 2 * time.Second

// Bolt keeps records in a directory of one machine. Only one process can have it
// open. A write costs one sync of a journal, and from time to time a goroutine
// brings what is in it to the database.
type Bolt struct {
	dir, path string
	db        *bolt.DB
	// journalSize is the constant, but for tests.
	journalSize int64

	// journal is being written; nil until there is something to write.
	journal *journal
	// last is the number of the last entry.
	last uint64
	// pending are the changes of the entries in the journal, in their order. What
	// becomes of several under one key is for the goroutine below to find out:
	// somebody waits for a write.
	pending [][]byte
	// applying gets the outcome of the goroutine that brings the changes of an
	// earlier journal to the database; nil while there is none.
	applying chan applied
	// spare is the path of a journal whose changes the database has, to be written
	// over; empty when there is none.
	spare string
	// failed is set by the first error of a write. What is durable is decided
	// when the directory is opened again.
	failed bool
}

// OpenBolt opens the store in the directory, which it makes, for its owner only,
// when it is not there. The error is one line that says what to do.
func OpenBolt(dir string) (*Bolt, error) {
	b := &Bolt{dir: dir, path: filepath.Join(dir, BoltFile), journalSize: journalSize}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the state directory: %w", err)
	}
	info, err := os.Stat(b.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := b.create(); err != nil {
			return nil, fmt.Errorf("cannot make the state file: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("cannot open the state file: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("cannot open the state file: %s is no file", b.path)
	case info.Size() == 0:
		// bbolt would take an empty file for a new one, but ours never is empty.
		return nil, b.damaged(errors.New("the file is empty"))
	}
	// What is damaged must be found by reading, for bbolt looks for free pages in
	// a goroutine of its own when it opens a file for writing, and ends the
	// process when it finds damage there.
	if b.db, err = open(b.path, true); err != nil {
		return nil, b.explain(err)
	}
	if err := errors.Join(b.guard(b.check), b.db.Close()); err != nil {
		return nil, err
	}
	if b.db, err = open(b.path, false); err != nil {
		return nil, b.explain(err)
	}
	if err := b.replay(); err != nil {
		return nil, errors.Join(err, b.db.Close())
	}
	return b, nil
}

// replay brings to the database what journals have and it has not.
func (b *Bolt) replay() error {
	paths, err := journals(b.dir)
	if err != nil {
		return fmt.Errorf("cannot open the state directory: %w", err)
	}
	var applied uint64
	err = b.db.View(func(tx *bolt.Tx) error {
		text := tx.Bucket(metaBucket).Get(appliedKey)
		if text == nil {
			return nil
		}
		applied, err = strconv.ParseUint(string(text), 10, 64)
		return err
	})
	if err != nil {
		return b.damaged(fmt.Errorf("the number of its last entry: %w", err))
	}
	b.last, err = readJournals(paths, applied, b.keep)
	var bad *spoiled
	switch {
	case errors.As(err, &bad):
		return fmt.Errorf("cannot read the journal %s, which is damaged: %w. Put a copy of the whole state directory back; "+
			"or move the journal away, and what was saved in it and after it is forgotten", bad.path, bad.why)
	case err != nil:
		return fmt.Errorf("cannot read a journal: %w", err)
	case len(paths) == 0:
		return nil
	}
	return b.flush(boltFormat)
}

// keep holds an entry's changes for the database.
func (b *Bolt) keep(changes []byte) { b.pending = append(b.pending, changes) }

func open(path string, readOnly bool) (db *bolt.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", bolterrors.ErrInvalid, p)
		}
	}()
	return bolt.Open(path, 0o600, &bolt.Options{
		ReadOnly: readOnly,
		Timeout:  lockTimeout,
		// The list of free pages is made anew at every start, for less to write.
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
	})
}

// create makes the file, complete or not at all, and leaves one alone that has
// come into being meanwhile.
func (b *Bolt) create() error {
	f, err := os.CreateTemp(filepath.Dir(b.path), BoltFile+".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	f.Close()
	db, err := open(f.Name(), false)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		for _, k := range state.Kinds {
			if _, err := tx.CreateBucket([]byte(k)); err != nil {
				return err
			}
		}
		return meta.Put(formatKey, []byte(boltClosed))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), b.path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return durable.SyncDir(filepath.Dir(b.path))
}

// explain makes what bbolt says a line for a person.
func (b *Bolt) explain(err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("cannot open the state file: another scheduler is using %s; stop it, or give this one a state directory of its own", b.path)
	case errors.As(err, new(syscall.Errno)):
		return fmt.Errorf("cannot open the state file: %w", err)
	}
	return b.damaged(err)
}

func (b *Bolt) damaged(err error) error {
	return fmt.Errorf("cannot read the state file %s, which is damaged or not a scheduler's: %w. "+
		"Put a copy of it back; or move it away to begin anew, and every task of this framework will be ended", b.path, err)
}

// guard turns what bbolt does about damaged files into errors: it panics, and
// reads from a file that is too short fault.
func (b *Bolt) guard(read func(*bolt.Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = b.damaged(fmt.Errorf("%v", p))
		}
	}()
	return b.db.View(read)
}

// check reads the whole file, and finds a format that is not ours, and kinds of
// records that came later: who passed over them would do as if there were none.
func (b *Bolt) check(tx *bolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return b.damaged(errors.New("it has no format version"))
	}
	if f := string(meta.Get(formatKey)); f != boltFormat && f != boltClosed {
		return fmt.Errorf("cannot read the state file %s: it has format %q, and this scheduler reads formats %s and %s; "+
			"use the scheduler that has written it, or a newer one", b.path, f, boltClosed, boltFormat)
	}
	return tx.ForEach(func(name []byte, bucket *bolt.Bucket) error {
		ours := string(name) == string(metaBucket) || known(state.Kind(name)) == nil
		return bucket.ForEach(func(_, value []byte) error {
			if !ours {
				return fmt.Errorf("cannot read the state file %s: it has records of kind %q, which this scheduler does not know; "+
					"use the scheduler that has written it, or a newer one", b.path, name)
			}
			_ = crc32.Checksum(value, castagnoli)
			return nil
		})
	})
}

// Load implements Store.
func (b *Bolt) Load() (state.Snapshot, error) {
	var s state.Snapshot
	if err := b.flush(boltFormat); err != nil {
		return s, err
	}
	err := b.guard(func(tx *bolt.Tx) error {
		for _, kind := range state.Kinds {
			bucket := tx.Bucket([]byte(kind))
			if bucket == nil {
				// A kind that came later than the file.
				continue
			}
			err := bucket.ForEach(func(key, value []byte) error {
				r, err := kind.New()
				if err != nil {
					return err
				}
				if err := decode(key, value, r); err != nil {
					return b.damaged(fmt.Errorf("%s %q: %w", kind, key, err))
				}
				s.Add(r)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return state.Snapshot{}, err
	}
	return s, nil
}

// Write implements Store.
func (b *Bolt) Write(changes []state.Change) error {
	entry, err := newEntry(changes, roomPerChange*len(changes))
	if err != nil {
		return fmt.Errorf("cannot write the state in %s: %w", b.dir, err)
	}
	return b.try(func() error { return b.write(entry) })
}

// try does something after which, when it fails, nobody can say what is durable
// until the directory is opened again.
func (b *Bolt) try(do func() error) error {
	err := errors.New("an earlier write has failed")
	switch {
	case b.db == nil:
		err = errors.New("it is closed")
	case !b.failed:
		err = do()
		b.failed = err != nil
	}
	if err != nil {
		return fmt.Errorf("cannot write the state in %s: %w", b.dir, err)
	}
	return nil
}

func (b *Bolt) write(entry []byte) error {
	if err := b.awaitApplied(b.journal != nil && b.journal.size >= maxBehind*b.journalSize); err != nil {
		return err
	}
	if b.journal == nil {
		if err := b.begin(); err != nil {
			return err
		}
	}
	if b.journal.size >= b.journalSize && len(b.pending) > 0 && b.applying == nil {
		if err := b.rotate(); err != nil {
			return err
		}
	}
	if err := b.journal.append(b.last+1, entry); err != nil {
		return err
	}
	b.last++
	b.keep(entry[entryHead:])
	return nil
}

func (b *Bolt) format() (f string) {
	_ = b.db.View(func(tx *bolt.Tx) error {
		f = string(tx.Bucket(metaBucket).Get(formatKey))
		return nil
	})
	return f
}

// Close implements Store. What a failed write has left stays in its journal.
func (b *Bolt) Close() error {
	if b.db == nil {
		return nil
	}
	var err error
	if b.failed {
		if b.applying != nil {
			<-b.applying // it uses the database
		}
	} else {
		err = b.flush(boltClosed)
	}
	if b.journal != nil {
		b.journal.f.Close()
	}
	err = errors.Join(err, b.db.Close())
	b.db = nil
	if err != nil {
		return fmt.Errorf("cannot close the state: %w", err)
	}
	return nil
}

// sealed returns a record as a value of the database.
func sealed(r raw) []byte {
	value := append(make([]byte, 0, len(r.record)+4), r.record...)
	return binary.LittleEndian.AppendUint32(value, checksum([]byte(r.key), r.record))
}

func decode(key, value []byte, r proto.Message) error {
	if len(value) < 4 {
		return errChecksum
	}
	record, sum := value[:len(value)-4], value[len(value)-4:]
	if binary.LittleEndian.Uint32(sum) != checksum(key, record) {
		return errChecksum
	}
	return proto.Unmarshal(record, r)
}
