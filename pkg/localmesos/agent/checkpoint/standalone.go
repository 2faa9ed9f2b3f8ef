package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"
)

// Standalone is a container that runs and belongs to no executor.
type Standalone struct {
	Launch mesosagent.Call_LaunchContainer
	PID    int
}

// Started keeps a standalone container that has just been started. A container ID
// is a name that a directory can have.
func (d Dir) Started(s Standalone) error {
	encoded, err := s.Launch.Marshal()
	if err == nil {
		dir := d.standalone(s.Launch.ContainerID.Value)
		err = errors.Join(put(filepath.Join(dir, launchFile), frame(encoded)), put(filepath.Join(dir, forkedFile), strconv.AppendInt(nil, int64(s.PID), 10)))
	}
	if err != nil {
		return fmt.Errorf("cannot checkpoint a standalone container: %w", err)
	}
	return nil
}

// Ended forgets a standalone container.
func (d Dir) Ended(id string) error { return os.RemoveAll(d.standalone(id)) }

// standalones reads the standalone containers of this start of the machine, and
// forgets the others.
func (r *reader) standalones() error {
	ids, err := directories(r.dir.standalones())
	if err != nil {
		return err
	}
	for _, id := range ids {
		var s Standalone
		dir := r.dir.standalone(id)
		found, err := r.message(filepath.Join(dir, launchFile), s.Launch.Unmarshal)
		if err != nil {
			return err
		}
		if s.PID, err = r.pid(filepath.Join(dir, forkedFile)); err != nil {
			return err
		}
		if !found || s.PID == 0 {
			if err := r.dir.Ended(id); err != nil {
				return err
			}
			continue
		}
		r.state.Standalone = append(r.state.Standalone, s)
	}
	return nil
}
