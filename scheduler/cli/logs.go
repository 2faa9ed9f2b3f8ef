package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

type logsFlags struct {
	scheduler      connection
	follow, stderr bool
	lines          int32
	file           string
}

func newLogs(sys *System) *cobra.Command {
	var f logsFlags
	cmd := &cobra.Command{
		Use:   "logs TASK|JOB",
		Short: "Show what a task, or every task of a job, has written",
		Long: `Shows what a task has written to its standard output, or what all tasks of a job have, each
line with its task before it. The scheduler reads it from the agents, as long as they keep
the sandboxes: of ended tasks too.

With --follow it goes on with what is written later, through restarts and on other agents,
until the job has ended.`,
		Example: `  tandem logs hello.0.1.greet
  tandem logs --stderr -n 50 payments_api.2.7.web
  tandem logs -f /payments/api
  tandem logs --file access.log payments_api.2.7.web`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &tandemv1.ReadLogRequest{Path: f.file, Follow: f.follow}
			if cmd.Flags().Changed("lines") {
				req.TailLines = &f.lines
			}
			if f.stderr {
				if cmd.Flags().Changed("file") {
					return failed(exitUsage, "--stderr and --file exclude each other")
				}
				req.Path = "stderr"
			}
			if _, ok := state.ParseTaskName(args[0]); ok {
				req.TaskId = args[0]
			} else {
				req.JobId = jobID(args[0])
			}
			return logs(cmd.Context(), sys, f.scheduler, req)
		},
	}
	schedulerFlag(cmd, &f.scheduler)
	flags := cmd.Flags()
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what is written later")
	flags.BoolVar(&f.stderr, "stderr", false, "show the standard error")
	flags.StringVar(&f.file, "file", "stdout", "show another `file` of the sandbox")
	flags.Int32VarP(&f.lines, "lines", "n", 0, "only so many lines at the end of what is there")
	return cmd
}

func logs(ctx context.Context, sys *System, scheduler connection, req *tandemv1.ReadLogRequest) error {
	c, err := newClient(scheduler)
	if err != nil {
		return err
	}
	stream, err := c.ReadLog(ctx, req)
	if err != nil {
		return c.explain(err)
	}
	w := &logWriter{out: sys.Stdout, notes: sys.Stderr, named: req.GetJobId() != "", rest: map[string][]byte{}}
	for stream.Receive() {
		if err := w.write(stream.Msg()); err != nil {
			return fmt.Errorf("cannot write: %w", err)
		}
	}
	if err := w.flush(); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	if req.GetFollow() && ctx.Err() != nil {
		// That is how following ends.
		return &failure{status: exitInterrupted}
	}
	if err := stream.Err(); err != nil {
		return c.explain(err)
	}
	return nil
}

// logWriter writes pieces of logs: of one task as they are, of several as whole
// lines with the task's ID before them.
type logWriter struct {
	out, notes io.Writer
	named      bool
	// rest holds the beginnings of lines that have not ended, by task.
	rest map[string][]byte
	// last is the task that was written of last.
	last string
}

func (w *logWriter) write(r *tandemv1.ReadLogResponse) error {
	task := r.GetTaskId()
	if r.GetNote() != "" && task == "" {
		fmt.Fprintf(w.notes, "tandem: %s\n", present.OneLine(r.GetNote()))
		return nil
	}
	if r.GetNote() != "" {
		fmt.Fprintf(w.notes, "tandem: %s: %s\n", task, present.OneLine(r.GetNote()))
		return nil
	}
	if !w.named {
		if w.last != "" && w.last != task {
			fmt.Fprintf(w.notes, "tandem: now task %s\n", task)
		}
		w.last = task
		_, err := w.out.Write(r.GetData())
		return err
	}
	text := append(w.rest[task], r.GetData()...)
	end := bytes.LastIndexByte(text, '\n') + 1
	w.rest[task] = bytes.Clone(text[end:])
	for line := range bytes.Lines(text[:end]) {
		if _, err := fmt.Fprintf(w.out, "%s  %s", task, line); err != nil {
			return err
		}
	}
	return nil
}

// flush writes lines that never ended.
func (w *logWriter) flush() error {
	for task, text := range w.rest {
		if len(text) > 0 {
			if _, err := fmt.Fprintf(w.out, "%s  %s\n", task, text); err != nil {
				return err
			}
		}
	}
	return nil
}

func newLs(sys *System) *cobra.Command {
	var scheduler connection
	var out output
	cmd := &cobra.Command{
		Use:   "ls TASK [PATH]",
		Short: "List the files in a task's sandbox",
		Example: `  tandem ls hello.0.1.greet
  tandem ls payments_api.2.7.web logs`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(scheduler)
			if err != nil {
				return err
			}
			req := &tandemv1.ListFilesRequest{TaskId: args[0]}
			if len(args) == 2 {
				req.Path = args[1]
			}
			res, err := c.ListFiles(cmd.Context(), req)
			if err != nil {
				return c.explain(err)
			}
			if out != asText {
				return out.print(sys.Stdout, res)
			}
			printFiles(sys, res.GetFiles())
			return nil
		},
	}
	schedulerFlag(cmd, &scheduler)
	out.flag(cmd)
	return cmd
}

func printFiles(sys *System, files []*tandemv1.FileInfo) {
	t := &table{}
	t.add("MODE", "USER", "SIZE", "MODIFIED (UTC)", "NAME")
	for _, f := range files {
		name := present.OneLine(f.GetName())
		if f.GetDirectory() {
			name += "/"
		}
		t.add(f.GetMode(), f.GetUser(), strconv.FormatInt(f.GetSize(), 10), f.GetModified().AsTime().UTC().Format(time.DateTime), name)
	}
	t.write(sys)
}
