package app

import (
	"fmt"
	"os"

	"github.com/tandem-mesos/tandem/scheduler/store"
)

// OpenState opens the state of a scheduler that is stopped, as its option
// StateDir names it. What is not there is made only when create says so. The
// error is one line.
func OpenState(where string, create bool) (store.Store, error) {
	if _, err := os.Stat(where); err != nil && !create {
		return nil, fmt.Errorf("cannot open the state: %w", err)
	}
	return store.OpenBolt(where)
}
