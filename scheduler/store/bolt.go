package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
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

// boltFormat is the version of the format below, which this package reads and
// writes. A change that an older scheduler would misread counts it up.
//
// The file is a bbolt database with these buckets:
//
//	meta        format → the version in decimal, such as "1"
//	framework   self → FrameworkRecord
//	job         each kind of record of package state under its name,
//	instance    with that package's keys
//	attempt
//	…
//
// A value is the record in protobuf and four bytes, little-endian, of the
// CRC-32C of key and protobuf: bbolt itself does not notice a page that a disk
// or a file system has spoiled.
const boltFormat = "1"

// The meta bucket.
var (
	metaBucket = []byte("meta")
	formatKey  = []byte("format")
)

// lockTimeout is how long a scheduler that is just ending may take to give the
// file up.
const lockTimeout = 2 * time.Second

// Bolt keeps records in one file of a machine. Only one process can have it
// open. A write costs two syncs of the file.
type Bolt struct {
	path string
	db   *bolt.DB
}

// OpenBolt opens the store in the directory, which it makes, for its owner only,
// when it is not there. The error is one line that says what to do.
func OpenBolt(dir string) (*Bolt, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the state directory: %w", err)
	}
	b := &Bolt{path: filepath.Join(dir, BoltFile)}
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
	return b, nil
}

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
		return meta.Put(formatKey, []byte(boltFormat))
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

// check reads the whole file, and finds a format that is not ours.
func (b *Bolt) check(tx *bolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return b.damaged(errors.New("it has no format version"))
	}
	if f := string(meta.Get(formatKey)); f != boltFormat {
		return fmt.Errorf("cannot read the state file %s: it has format %q, and this scheduler reads format %s; "+
			"use the scheduler that has written it, or a newer one", b.path, f, boltFormat)
	}
	return tx.ForEach(func(_ []byte, bucket *bolt.Bucket) error {
		return bucket.ForEach(func(_, value []byte) error {
			_ = crc32.Checksum(value, castagnoli)
			return nil
		})
	})
}

// Load implements Store.
func (b *Bolt) Load() (state.Snapshot, error) {
	var s state.Snapshot
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
	err := b.db.Update(func(tx *bolt.Tx) error {
		for _, c := range changes {
			if _, err := c.Kind.New(); err != nil {
				return err
			}
			bucket, err := tx.CreateBucketIfNotExists([]byte(c.Kind))
			if err != nil {
				return err
			}
			if c.Record == nil {
				err = bucket.Delete([]byte(c.Key))
			} else {
				var value []byte
				if value, err = encode(c.Key, c.Record); err == nil {
					err = bucket.Put([]byte(c.Key), value)
				}
			}
			if err != nil {
				return fmt.Errorf("%s %q: %w", c.Kind, c.Key, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot write the state file %s: %w", b.path, err)
	}
	return nil
}

// Close implements Store.
func (b *Bolt) Close() error {
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("cannot close the state file: %w", err)
	}
	return nil
}

func encode(key string, r proto.Message) ([]byte, error) {
	value, err := proto.Marshal(r)
	if err != nil {
		return nil, err
	}
	return binary.LittleEndian.AppendUint32(value, checksum([]byte(key), value)), nil
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
