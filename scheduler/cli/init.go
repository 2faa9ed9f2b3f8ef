package cli

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

// startingFile is a job file that speaks of every field.
//
//go:embed init.yaml
var startingFile string

func newInit(sys *System) *cobra.Command {
	return &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a job file to start from, with comments for every field",
		Long: `Writes a job file to start from, with comments for every field. It does not write over a
file; "-" prints it.`,
		Example: `  tandem init            # writes job.yaml
  tandem init - | less`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := "job.yaml"
			if len(args) == 1 {
				name = args[0]
			}
			if name == "-" {
				_, err := fmt.Fprint(sys.Stdout, startingFile)
				return err
			}
			f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			switch {
			case errors.Is(err, fs.ErrExist):
				return failed(exitUsage, "there is a file %s already; name another one", name)
			case err != nil:
				return failed(exitUsage, "cannot write %s: %s", name, causeOf(err))
			}
			if _, err := f.WriteString(startingFile); err != nil {
				f.Close()
				return fmt.Errorf("cannot write %s: %w", name, err)
			}
			if err := f.Close(); err != nil {
				return fmt.Errorf("cannot write %s: %w", name, err)
			}
			fmt.Fprintf(sys.Stdout, "%s is there; change it, and then: tandem run %s\n", name, name)
			return nil
		},
	}
}
