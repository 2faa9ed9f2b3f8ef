package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/scheduler/convert"
)

func newConvert(sys *System) *cobra.Command {
	var dir string
	var force bool
	cmd := &cobra.Command{
		Use:   "convert FILE",
		Short: "Make job files of Marathon's apps, pods and groups, and of compose files",
		Long: `Makes job files of Marathon's apps, pods and groups, as its API gives them in JSON, and of
files of mesos-compose. "-" reads the standard input. One job is printed; several need a
directory, which gets a file for each, named by the job's ID. No file is written over
unless --force is given.

Whatever was left out or means something else here is said in comments at the head of the
job file, and on the standard error.

Exit status: 0 when all was carried over, 1 when something is to be looked at, 2 when
nothing could be read or written.`,
		Example: `  curl -s http://marathon:8080/v2/apps//payments/api | tandem convert - > api.yaml
  curl -s http://marathon:8080/v2/groups | tandem convert - --dir jobs`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return convertFile(sys, args[0], dir, force)
		},
	}
	cmd.Flags().StringVarP(&dir, "dir", "d", "", "write a file for each job to this directory, which is made where it is not there")
	cmd.Flags().BoolVar(&force, "force", false, "write over files that are there")
	return cmd
}

func convertFile(sys *System, name, dir string, force bool) error {
	src, shown, err := readSource(sys, name)
	if err != nil {
		return err
	}
	jobs, err := convert.Convert(src)
	switch {
	case err != nil:
		return failed(exitUsage, "cannot convert %s: %s", shown, err)
	case len(jobs) == 0:
		return failed(exitUsage, "there is no app, pod or service in %s", shown)
	case len(jobs) > 1 && dir == "":
		return failed(exitUsage, "%s has %d jobs: name a directory for their files with --dir", shown, len(jobs))
	}
	files := make([]bytes.Buffer, len(jobs))
	for i, c := range jobs {
		if err := writeConverted(&files[i], c); err != nil {
			return err
		}
	}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return failed(exitUsage, "cannot make directory %s: %s", dir, causeOf(err))
		}
	}
	look := &failure{status: exitFailed, places: true}
	for i, c := range jobs {
		if dir == "" {
			if _, err := files[i].WriteTo(sys.Stdout); err != nil {
				return fmt.Errorf("cannot print: %w", err)
			}
		} else {
			target := filepath.Join(dir, strings.ReplaceAll(strings.Trim(c.Job.GetId(), "/"), "/", "-")+".yaml")
			if err := writeNew(target, files[i].Bytes(), force); errors.Is(err, errThere) {
				return failed(exitUsage, "there is a file %s already; --force writes over it", target)
			} else if err != nil {
				return err
			}
			fmt.Fprintf(sys.Stdout, "%s: job %s\n", target, c.Job.GetId())
		}
		for _, r := range c.Remarks {
			look.lines = append(look.lines, fmt.Sprintf("%s: %s: %s", shown, c.Job.GetId(), r))
		}
	}
	if len(look.lines) > 0 {
		return look
	}
	return nil
}

// writeConverted writes a job file with its remarks in comments.
func writeConverted(b *bytes.Buffer, c convert.Converted) error {
	if len(c.Remarks) > 0 {
		b.WriteString("# To be looked at:\n")
		for _, r := range c.Remarks {
			fmt.Fprintf(b, "# - %s\n", r)
		}
	}
	text, err := jobspec.Marshal(c.Job)
	if err != nil {
		return err
	}
	return printYAML(b, json.RawMessage(text))
}

// errThere is that a file is there already.
var errThere = errors.New("the file is there already")

// writeNew writes a file that is not there yet, or else fails with errThere; or any
// with force.
func writeNew(name string, content []byte, force bool) error {
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(name, how, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return errThere
	case err != nil:
		return failed(exitUsage, "cannot write %s: %s", name, causeOf(err))
	}
	if _, err := f.Write(content); err != nil {
		f.Close()
		return failed(exitUsage, "cannot write %s: %s", name, causeOf(err))
	}
	if err := f.Close(); err != nil {
		return failed(exitUsage, "cannot write %s: %s", name, causeOf(err))
	}
	return nil
}
