package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
	"github.com/tandem-mesos/tandem/scheduler/sandbox"
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
the sandboxes: of ended tasks too. Of a task that never ran, for its executor did not come
up, it shows what the agent and the executor have said.

With --follow it goes on with what is written later, through restarts and on other agents,
until the job has ended; and where the scheduler is away for up to a minute, without a line
lost or shown twice.`,
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

// logs shows what a call reads. One that follows goes on through a restart of the
// scheduler, and a change of the leader.
func logs(ctx context.Context, sys *System, scheduler connection, req *tandemv1.ReadLogRequest) error {
	c, err := newClient(scheduler)
	if err != nil {
		return err
	}
	w := &logWriter{out: sys.Stdout, notes: sys.Stderr, named: req.GetJobId() != "", rest: map[string][]byte{}, at: map[string]*tandemv1.LogPosition{}}
	away := absence{client: c, say: func(text string) { fmt.Fprint(sys.Stderr, text) }}
	for begun := false; ; {
		heard, err := w.read(ctx, c, req)
		if heard {
			begun, away.tries = true, 0
		}
		switch {
		case ctx.Err() != nil && req.GetFollow():
			// That is how following ends.
			err = &failure{status: exitInterrupted}
		case err != nil && req.GetFollow() && begun && away.again(ctx, err):
			req.Resume = w.positions()
			continue
		case err != nil:
			err = c.explain(err)
		}
		return cmp.Or(err, w.flush())
	}
}

// read shows what one call reads, and reports whether it was answered.
func (w *logWriter) read(ctx context.Context, c *client, req *tandemv1.ReadLogRequest) (heard bool, err error) {
	stream, err := c.ReadLog(ctx, req)
	if err != nil {
		return false, err
	}
	defer stream.Close()
	for stream.Receive() {
		heard = true
		if err := w.write(stream.Msg()); err != nil {
			return heard, fmt.Errorf("cannot write: %w", err)
		}
		w.place(stream.Msg())
	}
	return heard, stream.Err()
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
	// at is where each task's file has been read to: of each workload of each instance
	// the newest task alone.
	at map[string]*tandemv1.LogPosition
}

// place notes where a task's file has been read to.
func (w *logWriter) place(r *tandemv1.ReadLogResponse) {
	if r.GetNote() != "" {
		return
	}
	name, ok := state.ParseTaskName(r.GetTaskId())
	if !ok {
		return
	}
	name.Attempt = 0
	at := w.at[name.String()]
	if at == nil || at.TaskId != r.GetTaskId() {
		at = &tandemv1.LogPosition{TaskId: r.GetTaskId()}
		w.at[name.String()] = at
	}
	if r.GetOffset() != at.Offset {
		at.Before = nil // another file
	}
	before := slices.Concat(at.Before, r.GetBefore(), r.GetData())
	at.Offset, at.Before = r.GetOffset()+int64(len(r.GetData())), before[max(0, len(before)-sandbox.Mark):]
}

// positions are where a call is to go on.
func (w *logWriter) positions() []*tandemv1.LogPosition {
	return slices.SortedFunc(maps.Values(w.at), func(a, b *tandemv1.LogPosition) int { return cmp.Compare(a.TaskId, b.TaskId) })
}

func (w *logWriter) write(r *tandemv1.ReadLogResponse) error {
	task := r.GetTaskId()
	if task == "" && r.GetNote() == "" {
		return nil // the call was heard
	}
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
