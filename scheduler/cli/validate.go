package cli

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
)

func newValidate(sys *System) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check job files, and say all that is wrong with them",
		Long: `Checks job files without a scheduler, and says all that is wrong with them at once, one
line for each mistake. "-" reads the standard input.

Exit status: 0 when all are right, 2 otherwise.`,
		Example: `  tandem validate examples/hello.yaml`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			return validate(sys, out, files)
		},
	}
	out.flag(cmd)
	return cmd
}

// verdict is what validate -o json says of one file.
type verdict struct {
	File     string    `json:"file"`
	Valid    bool      `json:"valid"`
	Problems []problem `json:"problems,omitempty"`
}

type problem struct {
	Line       int    `json:"line,omitempty"`
	Column     int    `json:"column,omitempty"`
	Field      string `json:"field,omitempty"`
	Reason     string `json:"reason"`
	Suggestion string `json:"suggestion,omitempty"`
}

func validate(sys *System, out output, files []string) error {
	wrong := &failure{status: exitUsage, places: true}
	verdicts := []verdict{}
	for _, name := range files {
		src, shown, err := readSource(sys, name)
		if err != nil {
			return err
		}
		v := verdict{File: shown, Valid: true}
		job, err := jobspec.Parse(shown, src)
		var problems jobspec.Problems
		errors.As(err, &problems)
		if err == nil {
			problems = missingFiles(shown, filepath.Dir(name), job)
		}
		for _, p := range problems {
			v.Valid = false
			v.Problems = append(v.Problems, problem{p.Line, p.Column, p.Field, p.Reason, p.Suggestion})
			wrong.lines = append(wrong.lines, p.String())
		}
		verdicts = append(verdicts, v)
		if v.Valid && out == asText {
			fmt.Fprintf(sys.Stdout, "%s: %s is right\n", shown, job.GetId())
		}
	}
	if out != asText {
		if err := out.printValue(sys.Stdout, verdicts); err != nil {
			return err
		}
		// What is wrong has been said.
		for _, v := range verdicts {
			if !v.Valid {
				return &failure{status: exitUsage}
			}
		}
		return nil
	}
	if len(wrong.lines) > 0 {
		return wrong
	}
	return nil
}
