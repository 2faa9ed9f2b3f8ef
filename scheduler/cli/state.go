package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/tandem-mesos/tandem/scheduler/app"
	"github.com/tandem-mesos/tandem/scheduler/archive"
	"github.com/tandem-mesos/tandem/scheduler/state"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

func newState(sys *System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Copy, move and check the state of a scheduler that is stopped",
		Long: `Copies, moves and checks what a scheduler keeps: jobs, instances, attempts and the
framework's ID. The scheduler, or all that share the state, must be stopped. Uploaded files
are not part of it; they are in the directory artifacts within the state directory.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	where := "tandem-state"
	cmd.PersistentFlags().StringVar(&where, "state", where, "the `directory` of the state, or its zk:// address, as the scheduler has it")
	cmd.AddCommand(
		&cobra.Command{
			Use:   "export [FILE]",
			Short: "Write all records as lines of JSON",
			Long: `Writes all records as lines of JSON, with a checksum at the end, to a new file or to the
standard output.`,
			Example: `  tandem state export --state /var/lib/tandem/payments payments.jsonl`,
			Args:    cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return withState(cmd.Context(), sys, where, false, func(_ store.Store, all state.Snapshot) error {
					return exportState(sys, all, args)
				})
			},
		},
		&cobra.Command{
			Use:   "import FILE",
			Short: "Read what export has written into a state without records",
			Long: `Reads what export has written, "-" from the standard input, into a state that has no
records yet. All of it is checked first, and it is taken whole or not at all.

Two schedulers with the same framework ID end each other's subscription: do not start the
old one again.`,
			Example: `  tandem state import --state /var/lib/tandem/payments payments.jsonl`,
			Args:    cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return importState(cmd.Context(), sys, where, args[0])
			},
		},
		&cobra.Command{
			Use:   "verify",
			Short: "Read all records, and say what does not belong together",
			Long: `Reads all records, and says what does not belong together. Exit status: 0 when all is
well, 1 otherwise.`,
			Example: `  tandem state verify --state /var/lib/tandem/payments`,
			Args:    cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return withState(cmd.Context(), sys, where, false, func(_ store.Store, all state.Snapshot) error {
					if err := consistent(app.ShowState(where), all); err != nil {
						return err
					}
					fmt.Fprintf(sys.Stdout, "%s: %s, all well\n", app.ShowState(where), contents(all))
					return nil
				})
			},
		},
	)
	return cmd
}

// withState opens the state, or makes it when create says so, for as long as use
// runs.
func withState(ctx context.Context, sys *System, where string, create bool, use func(store.Store, state.Snapshot) error) (err error) {
	log := logrus.New()
	log.SetOutput(sys.Stderr)
	log.SetLevel(logrus.WarnLevel)
	s, err := app.OpenState(ctx, where, create, log)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failed(exitFailed, "there is no state in %s; --state says where the scheduler has it", app.ShowState(where))
	case err != nil:
		return failed(exitFailed, "%s", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	all, err := s.Load()
	if err != nil {
		return failed(exitFailed, "%s", err)
	}
	return use(s, all)
}

func exportState(sys *System, all state.Snapshot, args []string) error {
	if len(args) == 0 || args[0] == "-" {
		if err := archive.Write(sys.Stdout, all); err != nil {
			return fmt.Errorf("cannot export: %w", err)
		}
		return nil
	}
	var text strings.Builder
	if err := archive.Write(&text, all); err != nil {
		return fmt.Errorf("cannot export: %w", err)
	}
	if err := writeNew(args[0], []byte(text.String()), false); errors.Is(err, errThere) {
		return failed(exitUsage, "there is a file %s already; name another one", args[0])
	} else if err != nil {
		return err
	}
	fmt.Fprintf(sys.Stdout, "%s: %s\n", args[0], contents(all))
	return nil
}

func importState(ctx context.Context, sys *System, where, name string) error {
	var in io.Reader = sys.Stdin
	shown := "standard input"
	if name != "-" {
		f, err := openFile(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in, shown = f, name
	}
	all, err := archive.Read(in)
	if err != nil {
		return failed(exitUsage, "cannot import %s: %s", shown, err)
	}
	if err := consistent(shown, all); err != nil {
		return err
	}
	return withState(ctx, sys, where, true, func(s store.Store, there state.Snapshot) error {
		for range there.Changes() {
			return failed(exitUsage, "%s has %s already; import into a state without records", app.ShowState(where), contents(there))
		}
		var changes []state.Change
		for c := range all.Changes() {
			changes = append(changes, c)
		}
		if err := s.Write(changes); err != nil {
			return failed(exitFailed, "%s", err)
		}
		fmt.Fprintf(sys.Stdout, "%s: %s\n", app.ShowState(where), contents(all))
		return nil
	})
}

// consistent fails with a line for everything that does not belong together.
func consistent(where string, all state.Snapshot) error {
	wrong := archive.Check(all)
	if len(wrong) == 0 {
		return nil
	}
	f := &failure{status: exitFailed, places: true}
	for _, line := range wrong {
		f.lines = append(f.lines, where+": "+line)
	}
	return f
}

func contents(all state.Snapshot) string {
	framework := "no framework"
	if id := all.Framework.GetFrameworkId(); id != "" {
		framework = "framework " + id
	}
	return fmt.Sprintf("%s, jobs: %d, instances: %d, attempts: %d", framework, len(all.Jobs), len(all.Instances), len(all.Attempts))
}
