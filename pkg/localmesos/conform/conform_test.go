package conform_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/localmesos/conform"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

func TestMain(m *testing.M) {
	conform.Steered()
	flag.Parse()
	os.Exit(m.Run())
}

// TestScenarios replays every recording.
func TestScenarios(t *testing.T) {
	files := os.DirFS("testdata")
	names, err := conform.Scenarios(files)
	if err != nil || len(names) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	schema, err := wire.NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program, err := conform.Program(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stage := conform.Stage{
				IP:      fmt.Sprintf("127.%d.%d.%d", 64+os.Getpid()>>8&127, os.Getpid()&255, i+1),
				Dir:     t.TempDir(),
				Program: program,
				Schema:  schema,
			}
			result, err := conform.Play(t.Context(), files, name, stage)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d exchanges", result.Exchanges)
			for _, d := range result.Differences {
				t.Error(d)
			}
		})
	}
}
