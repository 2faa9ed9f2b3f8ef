package conform_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/localmesos/conform"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// replaying is off by default: the recordings' times are part of the contract,
// and tests beside it, or the race detector, would change them.
var replaying = flag.Bool("replay", false, "replay the recordings; make conform does so")

var summary = flag.String("summary", "", "write what was counted to this file")

func TestMain(m *testing.M) {
	conform.Steered()
	flag.Parse()
	os.Exit(m.Run())
}

// TestScenarios replays every recording. A difference must be listed, and what
// is listed must differ, but for what is so by chance.
func TestScenarios(t *testing.T) {
	if !*replaying {
		t.Skip("replays recorded times, and wants the machine for itself: make conform")
	}
	files := os.DirFS("testdata")
	names, err := conform.Scenarios(files)
	if err != nil || len(names) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	listed, err := conform.ListedDifferences(files, "differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := wire.NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	program, remove, err := conform.Program()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remove(); err != nil {
			t.Error(err)
		}
	})
	r := replay{listed: listed, used: make([]bool, len(listed)), ran: map[string]bool{}}
	t.Run("all", func(t *testing.T) {
		for i, name := range names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				stage, err := conform.NewStage(i+1, program, schema)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := stage.Close(); err != nil {
						t.Error(err)
					}
				})
				result, err := conform.Play(t.Context(), files, name, stage)
				r.judge(t, name, result, err)
			})
		}
	})
	r.finish(t)
}

// replay counts what the scenarios showed.
type replay struct {
	mu        sync.Mutex
	listed    []conform.Listed
	used      []bool
	ran       map[string]bool
	exchanges int
	differing int
	unplayed  int
}

func (r *replay) judge(t *testing.T, name string, result *conform.Result, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ran[name] = true
	var unsupported *conform.UnsupportedError
	if errors.As(err, &unsupported) {
		r.unplayed++
		if !r.isListed(conform.Difference{Scenario: name, Line: &conform.Line{}, What: err.Error()}) {
			t.Error(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	r.exchanges += result.Exchanges
	for _, d := range result.Differences {
		if !r.isListed(d) {
			t.Error(d)
		}
	}
}

func (r *replay) isListed(d conform.Difference) bool {
	found, counts := false, false
	for i, l := range r.listed {
		if l.Covers(d) {
			r.used[i], found = true, true
			counts = counts || !l.Chance
		}
	}
	if counts {
		r.differing++
	}
	return found
}

func (r *replay) finish(t *testing.T) {
	for i, l := range r.listed {
		if r.ran[l.Scenario] && !r.used[i] && !l.Chance {
			t.Errorf("%s, line %d: listed, but it does not differ (any more): %s", l.Scenario, l.First, l.Reason)
		}
	}
	chance := 0
	for _, l := range r.listed {
		if l.Chance {
			chance++
		}
	}
	text := fmt.Sprintf("%d scenarios (%d of them not played), %d exchanges, %d differences listed in %d entries, and %d left to chance\n",
		len(r.ran), r.unplayed, r.exchanges, r.differing, len(r.listed)-chance, chance)
	t.Log(text)
	if *summary == "" {
		return
	}
	if err := os.WriteFile(*summary, []byte(text), 0o644); err != nil {
		t.Error(err)
	}
}
