package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

type runFlags struct {
	scheduler connection
	out       output
	wait      bool
	version   uint64
	versioned bool
	force     bool
}

func newRun(sys *System) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Submit a job, or a new version of one",
		Long: `Submits the job of a file: a new job, a new version of one, or, when nothing differs, no
change. Files that the job names beside its own are uploaded first. "-" reads the standard
input.

With --wait it shows what changes until a batch has ended, a cron job is scheduled, or all
instances of a service run and are healthy, and an update is through; its exit status is
then 0 when that has come, and 1 when the job has failed, or has gone back to an earlier
version. Interrupting it leaves the job running.`,
		Example: `  tandem run --wait examples/hello.yaml
  tandem run --if-version 3 api.yaml   # only over version 3
  tandem run --if-version 0 api.yaml   # only if there is no such job yet`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.versioned = cmd.Flags().Changed("if-version")
			return run(cmd.Context(), sys, &f, args[0])
		},
	}
	schedulerFlag(cmd, &f.scheduler)
	f.out.flag(cmd)
	cmd.Flags().BoolVarP(&f.wait, "wait", "w", false, "show what changes until the job has ended or runs")
	cmd.Flags().BoolVar(&f.force, "force", false, forceHelp)
	cmd.Flags().Uint64Var(&f.version, "if-version", 0, "refuse the job unless this `version` is there; 0: unless there is none")
	return cmd
}

func run(ctx context.Context, sys *System, f *runFlags, name string) error {
	file, err := readJob(sys, name)
	if err != nil {
		return err
	}
	c, err := newClient(f.scheduler)
	if err != nil {
		return err
	}
	var expected *uint64
	if f.versioned {
		expected = &f.version
	}
	res, err := c.submit(ctx, file, expected, f.force)
	if err != nil {
		return err
	}
	id := file.job.GetId()
	if f.out == asText {
		if res.GetChanged() {
			fmt.Fprintf(sys.Stdout, "job %s: version %d submitted\n", id, res.GetVersion())
		} else {
			fmt.Fprintf(sys.Stdout, "job %s: no change, version %d\n", id, res.GetVersion())
		}
	}
	if !f.wait {
		if f.out != asText {
			return printRun(sys, f.out, id, res, nil)
		}
		return nil
	}
	board, err := c.await(ctx, sys, f.out, id, res.GetVersion())
	if err != nil {
		return err
	}
	if f.out != asText {
		if err := printRun(sys, f.out, id, res, board); err != nil {
			return err
		}
	} else {
		board.report(sys)
	}
	return board.verdict(sys, f.out, map[string]uint64{id: res.GetVersion()})
}

// submit uploads what the job needs, and submits it.
func (c *client) submit(ctx context.Context, file *jobFile, expected *uint64, force bool) (*tandemv1.SubmitJobResponse, error) {
	if err := c.upload(ctx, file); err != nil {
		return nil, err
	}
	res, err := c.SubmitJob(ctx, &tandemv1.SubmitJobRequest{Job: file.job, ExpectedVersion: expected, Force: force})
	if err != nil {
		return nil, c.explain(err)
	}
	return res, nil
}

// verdict says what has become of the jobs, and fails for those that have not
// ended well.
func (b *board) verdict(sys *System, out output, versions map[string]uint64) error {
	bad := &failure{status: exitFailed}
	for _, id := range slices.Sorted(maps.Keys(versions)) {
		version := versions[id]
		switch o := b.outcome(id, version); {
		case !o.done:
		case !o.well:
			bad.lines = append(bad.lines, fmt.Sprintf("job %s %s", id, o.text))
		case out == asText:
			fmt.Fprintf(sys.Stdout, "job %s %s\n", id, o.text)
		}
	}
	if len(bad.lines) > 0 {
		return bad
	}
	return nil
}

// printRun prints what run did, with what has become of the job when it
// was waited for.
func printRun(sys *System, out output, id string, res *tandemv1.SubmitJobResponse, b *board) error {
	answer := struct {
		ID      string          `json:"id"`
		Version uint64          `json:"version"`
		Changed bool            `json:"changed"`
		Job     json.RawMessage `json:"job,omitempty"`
	}{ID: id, Version: res.GetVersion(), Changed: res.GetChanged()}
	if b != nil {
		text, err := jsonOf(b.view(id))
		if err != nil {
			return err
		}
		answer.Job = text
	}
	return out.printValue(sys.Stdout, answer)
}
