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
	wait      bool
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

// waitFlag adds --wait, for changes that take time.
func (f *change) waitFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.wait, "wait", "w", false, "show what changes until all instances run as they should, and fail when they do not come to that")
}

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
	if f.out == asText {
		fmt.Fprintf(sys.Stdout, "job %s: %s, version %d\n", id, done, version)
	}
	if f.wait {
		board, err := c.await(ctx, sys, f.out, id, version)
		if err == nil {
			err = board.verdict(sys, f.out, map[string]uint64{id: version})
		}
		if err != nil {
			return err
		}
	}
	if f.out != asText {
		return f.out.printValue(sys.Stdout, map[string]any{"id": id, "version": version})
	}
	return nil
}

// await shows what changes until a job, at the version or a later one, has come to
// where waiting ends.
func (c *client) await(ctx context.Context, sys *System, out output, id string, version uint64) (*board, error) {
	d := newDisplay(sys)
	if out != asText {
		d = silent(sys)
	}
	b, err := c.follow(ctx, id, d, func(b *board) bool { return b.outcome(id, version).done })
	d.erase()
	if ctx.Err() != nil {
		return b, failed(exitInterrupted, "interrupted; job %s goes on, and tandem wait waits for it", id)
	}
	return b, err
}
