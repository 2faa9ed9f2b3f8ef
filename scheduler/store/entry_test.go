package store

import (
	"bytes"
	"testing"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

// FuzzEntry: whatever a node holds, reading it ends in changes or an error, and
// changes that are read are written as they were.
func FuzzEntry(f *testing.F) {
	s, err := newSealer()
	if err != nil {
		f.Fatal(err)
	}
	written := raw{state.KindJob, "/a", []byte("record")}.appendTo(raw{state.KindAttempt, "/a#1#1", nil}.appendTo(nil))
	f.Add(s.seal(7, written)[0], written)
	f.Add([]byte{0, 0, 0, 0, 0}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, node, changes []byte) {
		if p, _, err := part(7, node); err == nil {
			_, _ = s.open(p)
		}
		var rows []raw
		for r, err := range parseChanges(changes) {
			if err != nil {
				return
			}
			rows = append(rows, r)
		}
		var again []byte
		for _, r := range rows {
			again = r.appendTo(again)
		}
		var joined []byte
		for i, data := range s.seal(7, again) {
			p, _, err := part(7+uint64(i), data)
			if err != nil {
				t.Fatal(err)
			}
			joined = append(joined, p...)
		}
		opened, err := s.open(joined)
		if err != nil || !bytes.Equal(opened, again) {
			t.Fatalf("sealed %q, opened %q, %v", again, opened, err)
		}
		n := 0
		for r, err := range parseChanges(opened) {
			if err != nil || r.kind != rows[n].kind || r.key != rows[n].key || !bytes.Equal(r.record, rows[n].record) || (r.record == nil) != (rows[n].record == nil) {
				t.Fatalf("wrote %v, read %v, %v", rows[n], r, err)
			}
			n++
		}
		if n != len(rows) {
			t.Fatalf("wrote %d changes, read %d", len(rows), n)
		}
	})
}
