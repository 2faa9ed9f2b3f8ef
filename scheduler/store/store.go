// Package store keeps a scheduler's records: on one machine in a file (Bolt), for
// several machines in ZooKeeper (ZooKeeper), and in memory for tests (Memory).
// One conformance test holds all of them.
//
// A store must never answer a write before it is durable, never write a part of
// one, and never open what it is not certain to understand: state that is there
// but cannot be read is an error for a person, not a new beginning.
package store

import (
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// Store is what every store does. Its methods are not safe for concurrent use,
// but the goroutine may change.
type Store interface {
	// Load returns everything that is saved. Nothing saved is an empty snapshot.
	Load() (state.Snapshot, error)
	// Write saves all changes or none, in one transaction that is durable when
	// it returns. Of several changes under one key the last one counts; removing
	// what is not there is no error. After an error nobody can say what was
	// saved, and the store must not be written again.
	Write(changes []state.Change) error
	// Close gives the store up to others. Closing twice is harmless.
	Close() error
}
