package state

import "testing"

// TestEveryKindIsInASnapshot: what a snapshot is given it yields again, whatever
// kind it is of.
func TestEveryKindIsInASnapshot(t *testing.T) {
	for _, kind := range Kinds {
		r, err := kind.New()
		if err != nil {
			t.Fatal(err)
		}
		var s Snapshot
		s.Add(r)
		n := 0
		for c := range s.Changes() {
			if n++; c.Kind != kind || c.Record != r {
				t.Errorf("a %s comes back as %s", kind, c.Kind)
			}
		}
		if n != 1 {
			t.Errorf("a snapshot of one %s yields %d", kind, n)
		}
	}
}
