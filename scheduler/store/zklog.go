package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-zookeeper/zk"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// Load implements Store.
func (z *ZooKeeper) Load() (state.Snapshot, error) {
	if z.closed {
		return state.Snapshot{}, errStoreClosed
	}
	records, err := z.replay()
	if err != nil {
		return state.Snapshot{}, z.explain("read", err)
	}
	return z.parse(records)
}

// replay reads the log, notes where each record is, and returns what counts.
func (z *ZooKeeper) replay() (records, error) {
	nodes, err := z.read(z.head.First, z.head.Last)
	if err != nil {
		return nil, err
	}
	all := newRecords()
	z.index, z.entries, z.live, z.total = map[recordKey]place{}, nil, 0, 0
	for e, err := range z.unsealAll(z.head.First, nodes) {
		if err == nil {
			err = all.know(e.changes)
		}
		if err != nil {
			return nil, err
		}
		all.apply(e.changes)
		for _, r := range e.changes {
			z.place(&e.entry, r)
		}
		z.entries = append(z.entries, e.entry)
	}
	return all, nil
}

// place notes that a change stands in the entry.
func (z *ZooKeeper) place(e *entry, r raw) {
	k := recordKey{r.kind, r.key}
	z.live -= z.index[k].size
	if r.record == nil {
		delete(z.index, k)
	} else {
		z.index[k] = place{e.first, r.size()}
		z.live += r.size()
	}
	e.size += r.size()
	z.total += r.size()
}

// Write implements Store. It waits while ZooKeeper is away, for as long as this
// scheduler leads.
func (z *ZooKeeper) Write(changes []state.Change) error {
	if z.closed {
		return errStoreClosed
	}
	if z.index == nil {
		if _, err := z.replay(); err != nil {
			return z.explain("write", err)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	rows := make([]raw, len(changes))
	size := 0
	for i, c := range changes {
		var err error
		if rows[i], err = newRaw(c); err != nil {
			return z.explain("write", err)
		}
		size += rows[i].size()
	}
	dropped, carried, err := z.oldest(size)
	if err != nil {
		return z.explain("write", err)
	}
	rows = append(carried, rows...)

	next := z.head
	var nodes [][]byte
	var entries []entry
	var of [][]raw
	for some := range full(rows) {
		var b []byte
		for _, r := range some {
			b = r.appendTo(b)
		}
		number := z.head.Last + 1 + uint64(len(nodes))
		sealed := z.sealer.seal(number, b)
		nodes = append(nodes, sealed...)
		entries, of = append(entries, entry{first: number, nodes: len(sealed)}), append(of, some)
	}
	next.Last += uint64(len(nodes))
	for _, e := range dropped {
		next.First += uint64(e.nodes)
	}
	if err := z.commit(nodes, next); err != nil {
		return z.explain("write", err)
	}
	for _, e := range dropped {
		z.total -= e.size
	}
	for i := range entries {
		for _, r := range of[i] {
			z.place(&entries[i], r)
		}
	}
	z.entries = append(slices.Delete(z.entries, 0, len(dropped)), entries...)
	return nil
}

// full yields changes that make an entry together.
func full(rows []raw) func(yield func([]raw) bool) {
	return func(yield func([]raw) bool) {
		for len(rows) > 0 {
			n, size := 1, rows[0].size()
			for n < len(rows) && size+rows[n].size() <= entrySize {
				size += rows[n].size()
				n++
			}
			if !yield(rows[:n]) {
				return
			}
			rows = rows[n:]
		}
	}
}

// oldest returns the entries that a write of the size takes away, and what still
// counts of them. Since they are the oldest, nothing before them is left that a
// removal among them still has to outweigh.
func (z *ZooKeeper) oldest(size int) (dropped []entry, carried []raw, err error) {
	budget := 4*size + entrySize
	total, nodes, used := z.total+size, 0, 0
	for _, e := range z.entries {
		tooLong := len(z.entries)-len(dropped) > zkEntries+2*z.live/entrySize
		if !tooLong && total <= 2*z.live+zkSlack || nodes+e.nodes > max(zkDrops, e.nodes) || used+e.size > max(budget, e.size) {
			break
		}
		data, err := z.read(e.first, e.first+uint64(e.nodes)-1)
		if err != nil {
			return nil, nil, err
		}
		for u, err := range z.unsealAll(e.first, data) {
			if err != nil {
				return nil, nil, err
			}
			for _, r := range u.changes {
				if r.record != nil && z.index[recordKey{r.kind, r.key}].entry == e.first {
					carried = append(carried, r)
					total += r.size()
				}
			}
		}
		dropped = append(dropped, e)
		total -= e.size
		nodes += e.nodes
		used += e.size
	}
	return dropped, carried, nil
}

// commit adds the nodes to the log, takes the oldest away up to next.First, and
// makes next the head: all of it or nothing.
func (z *ZooKeeper) commit(nodes [][]byte, next head) error {
	for {
		version, err := z.try(nodes, next)
		if err == nil {
			z.head, z.version = next, version
			return nil
		}
		if !zookeeper.Uncertain(err) {
			return err
		}
		// Whether it has happened shows at the head, which nobody writes but
		// the leader.
		now, version, err := z.readHead()
		switch {
		case err != nil:
			return err
		case now == next:
			z.head, z.version = now, version
			return nil
		case now != z.head || version != z.version:
			return ErrDeposed
		}
		if err := z.clear(); err != nil {
			return err
		}
	}
}

// try makes the multis of a write once. After an error nothing or all has
// happened.
func (z *ZooKeeper) try(nodes [][]byte, next head) (version int32, err error) {
	number := z.head.Last + 1
	ops, size := []any{z.stillLeader()}, 0
	for _, data := range nodes {
		if size+len(data) > zkMulti {
			if _, err := z.multi(append(ops, z.headUnchanged())); err != nil {
				return 0, err
			}
			ops, size = []any{z.stillLeader()}, 0
		}
		ops = append(ops, &zk.CreateRequest{Path: z.nodePath(number), Data: data, Acl: z.acl})
		size += len(data)
		number++
	}
	for n := z.head.First; n < next.First; n++ {
		ops = append(ops, &zk.DeleteRequest{Path: z.nodePath(n), Version: -1})
	}
	answers, err := z.multi(append(ops, &zk.SetDataRequest{Path: z.statePath(), Data: next.encode(), Version: z.version}))
	if err != nil {
		return 0, err
	}
	return answers[len(answers)-1].Stat.Version, nil
}

// multi makes one multi, whose first operation checks the fence and whose last
// checks the head.
func (z *ZooKeeper) multi(ops []any) ([]zk.MultiResponse, error) {
	var answers []zk.MultiResponse
	err := z.once(func() error {
		a, err := z.conn.Multi(ops...)
		if err == nil || len(a) == len(ops) {
			answers = a
		}
		return err
	})
	if err == nil {
		return answers, nil
	}
	if errors.Is(err, ErrDeposed) || len(answers) != len(ops) {
		return nil, err
	}
	at := slices.IndexFunc(answers, func(a zk.MultiResponse) bool { return a.Error != nil })
	if at == 0 || errors.Is(err, zk.ErrBadVersion) {
		return nil, ErrDeposed
	}
	if errors.Is(err, zk.ErrNodeExists) || errors.Is(err, zk.ErrNoNode) {
		// Only who leads makes and removes nodes.
		return nil, fmt.Errorf("something else than a scheduler has changed the nodes below %s: %w", z.statePath(), err)
	}
	return nil, err
}
