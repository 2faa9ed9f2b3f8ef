package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

const (
	// followInterval is how far a copy may be behind a leader that writes all the
	// time: what is written meanwhile is read at once.
	followInterval = 100 * time.Millisecond
	// followRetry is the wait after what was read was no good.
	followRetry = 2 * time.Second
)

// Follower keeps a copy of the state that another scheduler writes to ZooKeeper.
// It never writes. Its methods may be called by any goroutine.
type Follower struct {
	// zkReader is Run's alone.
	zkReader

	// mu guards what is below.
	mu sync.Mutex
	// made is the transaction that made the head, another when the state was begun
	// anew.
	made int64
	head head
	// records are nil until they were read for the first time.
	records records
	changed time.Time
	// problem is why there are no records.
	problem error
}

// Copy is the state as a Follower has seen it last.
type Copy struct {
	state.Snapshot
	// Read is when it was read.
	Read time.Time
	// made and last tell it from every other copy.
	made int64
	last uint64
}

// NewFollower returns a follower of the state below the path that has no copy
// until it runs. The session stays the caller's.
func NewFollower(conn *zk.Conn, path string) (*Follower, error) {
	r, err := newZKReader(conn, path, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot follow the state in ZooKeeper: %w", err)
	}
	return &Follower{zkReader: r, problem: errors.New("the state was not read yet")}, nil
}

// Copy returns the state as it was last seen, or an error that says why it never
// was. Its records are the caller's.
func (f *Follower) Copy() (Copy, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.records == nil {
		return Copy{}, f.problem
	}
	s, err := f.parse(f.records)
	return Copy{Snapshot: s, Read: f.changed, made: f.made, last: f.head.Last}, err
}

// Same reports whether Copy would return this copy again.
func (f *Follower) Same(c Copy) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.records != nil && f.made == c.made && f.head.Last == c.last
}

// Changed is when the state was last read, or zero.
func (f *Follower) Changed() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// Run follows the state until ctx ends. While ZooKeeper is away the copy stays as
// it is. It is called once.
func (f *Follower) Run(ctx context.Context) {
	f.lost = ctx.Done()
	for {
		changed, err := f.look()
		wait := followInterval
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			f.mu.Lock()
			f.problem = f.explain("read", err)
			f.mu.Unlock()
			wait = followRetry
		default:
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// look brings the copy up to date, and returns where a change will be told.
func (f *Follower) look() (changed <-chan zk.Event, err error) {
	var data []byte
	var stat *zk.Stat
	err = f.patiently(func() error {
		d, s, c, err := f.conn.GetW(f.statePath())
		if err == nil {
			data, stat, changed = d, s, c
		}
		return err
	})
	if errors.Is(err, zk.ErrNoNode) {
		return nil, errors.New("there is none yet")
	}
	if err != nil {
		return nil, err
	}
	h, err := parseHead(data)
	if err == nil {
		err = h.readable()
	}
	if err == nil {
		err = f.catchUp(stat.Czxid, h)
	}
	return changed, err
}

// catchUp reads what has been written up to the head. A node that the leader has
// taken away meanwhile is an error after which looking again helps.
func (f *Follower) catchUp(made int64, h head) error {
	f.mu.Lock()
	all, from := f.records, f.head.Last+1
	if all == nil || made != f.made || h.First > from || h.Last+1 < from {
		all, from = newRecords(), h.First
	}
	f.mu.Unlock()
	nodes, err := f.read(from, h.Last)
	if err != nil {
		return err
	}
	var news []unsealed
	for e, err := range f.unsealAll(from, nodes) {
		if err == nil {
			err = all.know(e.changes)
		}
		if err != nil {
			return err
		}
		news = append(news, e)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range news {
		all.apply(e.changes)
	}
	f.made, f.head, f.records, f.changed = made, h, all, time.Now()
	return nil
}
