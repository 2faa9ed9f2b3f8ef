package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// change is what the verbs have in common that change a job and then are done.
type change struct {
	scheduler connection
	out       output
	version   uint64
	versioned bool
	force     bool
}

// flags adds --scheduler, -o and --if-version.
func (f *change) flags(cmd *cobra.Command) {
	schedulerFlag(cmd, &f.scheduler)
	f.out.flag(cmd)
	cmd.Flags().Uint64Var(&f.version, "if-version", 0, "refuse unless the job is at this `version`")
	cmd.PreRun = func(cmd *cobra.Command, _ []string) { f.versioned = cmd.Flags().Changed("if-version") }
}

// forceFlag adds --force, for changes that may ask for fewer instances.
func (f *change) forceFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.force, "force", false, forceHelp)
}

const forceHelp = "end more than half of the instances that run, where fewer are asked for"

// expected is the version that the job must be at, or nil.
func (f *change) expected() *uint64 {
	if f.versioned {
		return &f.version
	}
	return nil
}

// do makes the change, which returns the job's version after it, and says what
// was done.
func (f *change) do(ctx context.Context, sys *System, id, done string, make func(context.Context, *client) (uint64, error)) error {
	c, err := newClient(f.scheduler)
	if err != nil {
		return err
	}
	version, err := make(ctx, c)
	if err != nil {
		return c.explain(err)
	}
	if f.out != asText {
		return f.out.printValue(sys.Stdout, map[string]any{"id": id, "version": version})
	}
	fmt.Fprintf(sys.Stdout, "job %s: %s, version %d\n", id, done, version)
	return nil
}
