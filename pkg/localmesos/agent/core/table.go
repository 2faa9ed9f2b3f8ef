package core

import (
	"iter"
	"slices"
)

// table is a map that remembers the order of insertion, so that an agent does
// the same for the same events. But for visiting it, it costs what a map costs.
type table[K comparable, V any] struct {
	values map[K]entry[V]
	// order may hold places of removed keys; a place counts when its number is
	// that of the key's value.
	order []place[K]
	next  uint64
}

type entry[V any] struct {
	number uint64
	value  V
}

type place[K comparable] struct {
	number uint64
	key    K
}

func newTable[K comparable, V any]() table[K, V] {
	return table[K, V]{values: map[K]entry[V]{}}
}

func (t *table[K, V]) get(k K) (V, bool) {
	e, ok := t.values[k]
	return e.value, ok
}

func (t *table[K, V]) has(k K) bool {
	_, ok := t.values[k]
	return ok
}

func (t *table[K, V]) put(k K, v V) {
	if e, ok := t.values[k]; ok {
		t.values[k] = entry[V]{e.number, v}
		return
	}
	t.next++
	t.values[k] = entry[V]{t.next, v}
	t.order = append(t.order, place[K]{t.next, k})
}

func (t *table[K, V]) remove(k K) {
	delete(t.values, k)
	if len(t.order) < 2*len(t.values)+16 {
		return
	}
	kept := t.order[:0]
	for _, p := range t.order {
		if t.values[p.key].number == p.number {
			kept = append(kept, p)
		}
	}
	clear(t.order[len(kept):])
	t.order = kept
}

func (t *table[K, V]) len() int { return len(t.values) }

// each visits the values in order; the table must not change meanwhile.
func (t *table[K, V]) each() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, p := range t.order {
			if e, ok := t.values[p.key]; ok && e.number == p.number && !yield(e.value) {
				return
			}
		}
	}
}

// all returns the values in order; the table may change while they are visited.
func (t *table[K, V]) all() []V {
	return slices.AppendSeq(make([]V, 0, len(t.values)), t.each())
}
