package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

// Memory keeps records for as long as the process lives. It encodes them, as
// other stores do, so that a record that is changed later does not change here.
type Memory struct {
	records map[state.Kind]map[string][]byte
	closed  bool
}

var errStoreClosed = errors.New("the store is closed")

// NewMemory returns an empty store.
func NewMemory() *Memory {
	m := &Memory{records: map[state.Kind]map[string][]byte{}}
	for _, k := range state.Kinds {
		m.records[k] = map[string][]byte{}
	}
	return m
}

// Load implements Store.
func (m *Memory) Load() (state.Snapshot, error) {
	var s state.Snapshot
	if m.closed {
		return s, errStoreClosed
	}
	for _, kind := range state.Kinds {
		for _, key := range slices.Sorted(maps.Keys(m.records[kind])) {
			r, err := kind.New()
			if err != nil {
				return s, err
			}
			if err := proto.Unmarshal(m.records[kind][key], r); err != nil {
				return s, fmt.Errorf("cannot decode %s %q: %w", kind, key, err)
			}
			s.Add(r)
		}
	}
	return s, nil
}

// Write implements Store.
func (m *Memory) Write(changes []state.Change) error {
	if m.closed {
		return errStoreClosed
	}
	encoded := make([][]byte, len(changes))
	for i, c := range changes {
		if _, ok := m.records[c.Kind]; !ok {
			return fmt.Errorf("cannot save %q: no store keeps records of kind %q", c.Key, c.Kind)
		}
		if c.Record == nil {
			continue
		}
		b, err := proto.Marshal(c.Record)
		if err != nil {
			return fmt.Errorf("cannot encode %s %q: %w", c.Kind, c.Key, err)
		}
		encoded[i] = b
	}
	for i, c := range changes {
		if c.Record == nil {
			delete(m.records[c.Kind], c.Key.String())
		} else {
			m.records[c.Kind][c.Key.String()] = encoded[i]
		}
	}
	return nil
}

// Close implements Store. What was saved stays: Reopen.
func (m *Memory) Close() error {
	m.closed = true
	return nil
}

// Reopen gives a store with the same records, as after a restart.
func (m *Memory) Reopen() *Memory {
	return &Memory{records: m.records}
}
