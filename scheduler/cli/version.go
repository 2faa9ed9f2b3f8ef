package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/tandem-mesos/tandem/pkg/version"
)

func newVersion(sys *System) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Say which build this is",
		Example: `  tandem version -o json`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if out != asText {
				return out.printValue(sys.Stdout, map[string]string{
					"version": version.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
				})
			}
			fmt.Fprintf(sys.Stdout, "tandem %s (%s, %s/%s)\n", version.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
	out.flag(cmd)
	return cmd
}
