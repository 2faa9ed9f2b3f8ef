package workload_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/executor/workload"
)

func FuzzParseStat(f *testing.F) {
	f.Add("1234 (sh) S 1 1234 1230 0 -1 4194560")
	f.Add("1234 (a) b) (c) Z 1 1234 1230 0 -1 4194560")
	f.Add("1234 (sh")
	f.Fuzz(func(t *testing.T, line string) {
		p, ok := workload.ParseStat(line)
		if !ok && strings.HasPrefix(line, "1 (x) S 2 3 4 ") {
			t.Errorf("%q was not read: %+v", line, p)
		}
	})
}

func TestParseStat(t *testing.T) {
	for line, want := range map[string]any{
		"1234 (sh) S 1 1234 1230 0 -1 4194560":      workload.TableEntry(1234, 1, 1230, false),
		"7 (a) b) (c) Z 3 7 5 0 -1 4194560":         workload.TableEntry(7, 3, 5, true),
		"9 (tmux: server) R 1 9 9 0 -1 4194560 1 2": workload.TableEntry(9, 1, 9, false),
	} {
		if got, ok := workload.ParseStat(line); !ok || any(got) != want {
			t.Errorf("%q = %+v, %v; want %+v", line, got, ok, want)
		}
	}
	for _, line := range []string{"", "1234", "1234 (sh) S 1", "x (sh) S 1 2 3", "1 (sh) S y 2 3"} {
		if got, ok := workload.ParseStat(line); ok {
			t.Errorf("%q was read as %+v", line, got)
		}
	}
}

func TestMembersOfASession(t *testing.T) {
	entry := workload.TableEntry
	table := workload.Table{
		entry(1, 0, 1, false),
		entry(100, 1, 100, false),   // the executor
		entry(205, 204, 204, false), // a grandchild that comes before its parent
		entry(200, 100, 200, true),  // the main process, which has ended
		entry(201, 200, 200, false), // its child
		entry(202, 1, 200, false),   // its orphan
		entry(203, 201, 200, true),  // a zombie
		entry(204, 201, 204, false), // a descendant in a session of its own
		entry(300, 100, 300, false), // another workload
		entry(301, 300, 300, false),
	}
	if got, want := workload.SessionMembers(table, 200), []int{205, 201, 202, 204}; !slices.Equal(got, want) {
		t.Errorf("members = %v, want %v", got, want)
	}
}
