package store

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// zkReader reads the state's znodes. It never writes.
type zkReader struct {
	conn *zk.Conn
	// path is where the state is kept: that of the URL.
	path   string
	sealer *sealer
	// lost ends every wait for a ZooKeeper that is away.
	lost <-chan struct{}
}

func newZKReader(conn *zk.Conn, path string, lost <-chan struct{}) (zkReader, error) {
	s, err := newSealer()
	return zkReader{conn: conn, path: path, sealer: s, lost: lost}, err
}

// readHead reads the head as the ensemble has it now, not as a server that lags
// behind has it.
func (z *zkReader) readHead() (h head, version int32, err error) {
	var data []byte
	var stat *zk.Stat
	err = z.patiently(func() error {
		if _, err := z.conn.Sync(z.statePath()); err != nil {
			return err
		}
		d, s, err := z.conn.Get(z.statePath())
		if err == nil {
			data, stat = d, s
		}
		return err
	})
	if err != nil {
		return head{}, 0, err
	}
	h, err = parseHead(data)
	if err != nil {
		return head{}, 0, err
	}
	return h, stat.Version, nil
}

// read returns the data of the nodes of the numbers, many read at once.
func (z *zkReader) read(first, last uint64) ([][]byte, error) {
	data := make([][]byte, last+1-first)
	errs := make([]error, len(data))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(zkReads, len(data)) {
		wg.Go(func() {
			for i := range next {
				errs[i] = z.patiently(func() error {
					d, _, err := z.conn.Get(z.nodePath(first + uint64(i)))
					if err == nil {
						data[i] = d
					}
					return err
				})
			}
		})
	}
	for i := range data {
		next <- i
	}
	close(next)
	wg.Wait()
	for i, err := range errs {
		if errors.Is(err, zk.ErrNoNode) {
			return nil, damage("the node %s is missing", z.nodePath(first+uint64(i)))
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// unseal returns the entry that begins with the node of the number, and its
// changes. The node and those after it are given.
func (z *zkReader) unseal(number uint64, nodes [][]byte) (entry, []byte, error) {
	var joined []byte
	for i, data := range nodes {
		p, more, err := part(number+uint64(i), data)
		if err != nil {
			return entry{}, nil, damage("the node %s: %v", z.nodePath(number+uint64(i)), err)
		}
		if joined == nil && !more {
			joined = p
		} else {
			joined = append(joined, p...)
		}
		if more {
			continue
		}
		changes, err := z.sealer.open(joined)
		if err != nil {
			return entry{}, nil, damage("the entry %s: %v", z.nodePath(number), err)
		}
		return entry{first: number, nodes: i + 1}, changes, nil
	}
	return entry{}, nil, damage("the entry %s has no end", z.nodePath(number))
}

// unsealed is an entry with its changes.
type unsealed struct {
	entry
	changes []raw
}

// unsealAll yields the entries of nodes, the first of which has the number.
func (z *zkReader) unsealAll(number uint64, nodes [][]byte) iter.Seq2[unsealed, error] {
	return func(yield func(unsealed, error) bool) {
		for len(nodes) > 0 {
			e, data, err := z.unseal(number, nodes)
			u := unsealed{entry: e}
			if err == nil {
				for r, bad := range parseChanges(data) {
					if bad != nil {
						err = damage("the entry %s: %v", z.nodePath(number), bad)
						break
					}
					u.changes = append(u.changes, r)
				}
			}
			if !yield(u, err) || err != nil {
				return
			}
			number, nodes = number+uint64(e.nodes), nodes[e.nodes:]
		}
	}
}

// records is what counts, by kind and key.
type records map[state.Kind]map[string][]byte

func newRecords() records {
	all := records{}
	for _, k := range state.Kinds {
		all[k] = map[string][]byte{}
	}
	return all
}

// know returns an error when a change is of a kind that is not known.
func (all records) know(changes []raw) error {
	for _, r := range changes {
		if _, ok := all[r.kind]; !ok {
			return fmt.Errorf("it has records of kind %q, which this scheduler does not know; use the scheduler that has written it, or a newer one", r.kind)
		}
	}
	return nil
}

// apply puts changes in place, whose kinds must be known.
func (all records) apply(changes []raw) {
	for _, r := range changes {
		if r.record == nil {
			delete(all[r.kind], r.key)
		} else {
			all[r.kind][r.key] = r.record
		}
	}
}

// parse makes a snapshot of the records.
func (z *zkReader) parse(records records) (state.Snapshot, error) {
	var s state.Snapshot
	for _, kind := range state.Kinds {
		of := records[kind]
		keys := make([]string, 0, len(of))
		for key := range of {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			r, err := kind.New()
			if err == nil {
				err = proto.Unmarshal(of[key], r)
			}
			if err != nil {
				return state.Snapshot{}, z.explain("read", damage("%s %q: %v", kind, key, err))
			}
			s.Add(r)
		}
	}
	return s, nil
}

func (z *zkReader) statePath() string { return z.path + "/state" }

func (z *zkReader) nodePath(number uint64) string {
	return fmt.Sprintf("%s/%010d", z.statePath(), number)
}

// patiently makes a request until there is an answer, or leadership is lost.
func (z *zkReader) patiently(request func() error) error {
	for {
		err := z.once(request)
		if !zookeeper.Uncertain(err) {
			return err
		}
		select {
		case <-time.After(zkRetry):
		case <-z.lost:
			return ErrDeposed
		}
	}
}

// once makes a request, and does not wait for its answer once leadership is
// lost.
func (z *zkReader) once(request func() error) error {
	answer := make(chan error, 1)
	go func() { answer <- request() }()
	select {
	case err := <-answer:
		return err
	case <-z.lost:
		return ErrDeposed
	}
}

type damageError struct{ what string }

func (e *damageError) Error() string { return e.what }

func damage(format string, args ...any) error { return &damageError{fmt.Sprintf(format, args...)} }

// explain makes an error a line for a person.
func (z *zkReader) explain(doing string, err error) error {
	switch {
	case errors.Is(err, ErrDeposed), errors.Is(err, zk.ErrSessionExpired):
		err = ErrDeposed
	case errors.As(err, new(*damageError)):
		err = fmt.Errorf("it is damaged: %w. Put a copy of it back; or start with another path to begin anew, and every task of this framework will be ended", err)
	case errors.Is(err, zk.ErrNoAuth):
		err = errors.New("ZooKeeper does not let this scheduler read and write there; give the credentials that it was made with: zk://user:password@host:port/path")
	}
	return fmt.Errorf("cannot %s the state at %s in ZooKeeper: %w", doing, z.path, err)
}
