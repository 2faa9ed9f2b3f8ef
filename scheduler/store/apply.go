package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// applied is what has become of the changes of a journal: an error, or the file,
// which may be written over.
type applied struct {
	spare string
	err   error
}

// awaitApplied takes in what has become of the changes of an earlier journal, and
// waits for that or does not.
func (b *Bolt) awaitApplied(wait bool) error {
	if b.applying == nil {
		return nil
	}
	var done applied
	if wait {
		done = <-b.applying
	} else {
		select {
		case done = <-b.applying:
		default:
			return nil
		}
	}
	b.applying, b.spare = nil, done.spare
	return done.err
}

// begin makes the first journal, after it has told schedulers that know of none
// to keep off.
func (b *Bolt) begin() error {
	if err := b.apply(nil, b.last, boltFormat); err != nil {
		return err
	}
	var err error
	b.journal, err = newJournal(b.dir, b.last+1)
	return err
}

// rotate begins another journal, and has the changes of the last one brought to
// the database meanwhile.
func (b *Bolt) rotate() error {
	next, err := b.nextJournal()
	if err != nil {
		return err
	}
	full, pending, last, done := b.journal, b.pending, b.last, make(chan applied, 1)
	b.journal, b.pending, b.applying = next, nil, done
	go func() {
		err := full.f.Close()
		if err == nil {
			err = b.apply(pending, last, boltFormat)
		}
		spare := full.f.Name()
		if err == nil && full.size > 2*b.journalSize {
			err, spare = removeJournals(b.dir, spare), ""
		}
		done <- applied{spare, err}
	}()
	return nil
}

// nextJournal makes a journal, of the spare one where there is one: to write over
// what is there is durable sooner than to make a file longer.
func (b *Bolt) nextJournal() (*journal, error) {
	spare := b.spare
	if spare == "" {
		return newJournal(b.dir, b.last+1)
	}
	b.spare = ""
	return reuseJournal(spare, b.dir, b.last+1)
}

// latest returns the last change under each key, in the order of the database's
// pages.
func latest(entries [][]byte) ([]raw, error) {
	var all []raw
	for _, changes := range entries {
		for r, err := range parseChanges(changes) {
			if err != nil {
				return nil, err
			}
			all = append(all, r)
		}
	}
	// Sorted are their places, which are small to move.
	order := make([]int32, len(all))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int {
		a, b := &all[i], &all[j]
		if a.kind != b.kind {
			return strings.Compare(string(a.kind), string(b.kind))
		}
		return cmp.Or(strings.Compare(a.key, b.key), int(i-j))
	})
	last := make([]raw, 0, len(all))
	for n, i := range order {
		if n+1 < len(order) {
			if next := &all[order[n+1]]; next.kind == all[i].kind && next.key == all[i].key {
				continue
			}
		}
		last = append(last, all[i])
	}
	return last, nil
}

// apply makes the changes of the entries, up to that with the number, in the
// database.
func (b *Bolt) apply(entries [][]byte, last uint64, format string) error {
	changes, err := latest(entries)
	if err != nil {
		return err
	}
	return b.db.Update(func(tx *bolt.Tx) error {
		for _, r := range changes {
			bucket, err := tx.CreateBucketIfNotExists([]byte(r.kind))
			if err != nil {
				return err
			}
			if r.record == nil {
				err = bucket.Delete([]byte(r.key))
			} else {
				err = bucket.Put([]byte(r.key), sealed(r))
			}
			if err != nil {
				return fmt.Errorf("%s %q: %w", r.kind, r.key, err)
			}
		}
		meta := tx.Bucket(metaBucket)
		return errors.Join(meta.Put(appliedKey, strconv.AppendUint(nil, last, 10)), meta.Put(formatKey, []byte(format)))
	})
}

// flush brings everything to the database, and leaves no journal.
func (b *Bolt) flush(format string) error {
	return b.try(func() error { return b.flushed(format) })
}

func (b *Bolt) flushed(format string) error {
	if err := b.awaitApplied(true); err != nil {
		return err
	}
	if b.journal != nil {
		if err := b.journal.f.Close(); err != nil {
			return err
		}
		b.journal = nil
	}
	paths, err := journals(b.dir)
	if err != nil {
		return err
	}
	if len(paths) == 0 && len(b.pending) == 0 && (format == boltFormat || b.format() == format) {
		return nil
	}
	if err := b.apply(b.pending, b.last, format); err != nil {
		return err
	}
	b.pending, b.spare = nil, ""
	return removeJournals(b.dir, paths...)
}
