package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/app"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

type localFlags struct {
	wait           bool
	listen         string
	allowAnonymous bool
	executor, dir  string
	secrets        string
	mesos          mesosFlags
	log            logFlags
}

func newLocal(sys *System) *cobra.Command {
	var f localFlags
	cmd := &cobra.Command{
		Use:   "local [FILE...]",
		Short: "Run jobs on an embedded Mesos, with nothing to install",
		Long: `Starts a Mesos (a master and agents) and a scheduler in this process, on loopback, submits
the jobs of the files, and shows what changes. The executor, its cgroups and the workloads
are real. Run it as root to have each workload in a cgroup under its limits; other users get
what their machine lets them have, and are told the rest.

It runs until it is interrupted, or with --wait until every batch has ended and all
instances of every service run; then it says what each workload did and used, and ends with
status 0 when all is well and 1 when a job has failed. Nothing is left behind, unless --dir
names a directory to keep. When this process is killed, and started with that --dir again,
it goes on with what was running.

With --no-scheduler there is the Mesos alone, for any framework in any language. It prints
the addresses of its master and agents and runs until it is interrupted; then what still
runs is killed.`,
		Example: `  tandem local --wait examples/hello.yaml
  tandem local examples/web.yaml       # and in another terminal: tandem status /web
  tandem local --no-scheduler --agents 3 --resources 'cpus:4;mem:4096;disk:10000'`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, files []string) error {
			return local(cmd.Context(), sys, &f, files)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.wait, "wait", "w", false, "end when every batch has ended and every service runs")
	flags.StringVar(&f.listen, "listen", "", "the `address` of the API and the page (default: 127.0.0.1:7070 if it is free)")
	flags.BoolVar(&f.allowAnonymous, "allow-anonymous", false, "let anybody who can connect to --listen do everything")
	flags.StringVar(&f.executor, "executor", "", "the executor's `file` (default: tandem-executor beside this program)")
	flags.StringVar(&f.dir, "dir", "", "a `directory` to keep sandboxes and state in, and to go on from (default: a temporary one)")
	secretsFlag(flags, &f.secrets)
	f.mesos.flags(flags)
	f.log.flags(flags)
	flags.Lookup("log-level").DefValue = "error"
	f.log.level = "error"
	return cmd
}

// local is the verb: files first, then Mesos, then the scheduler, and at the end
// all in reverse.
func local(ctx context.Context, sys *System, f *localFlags, names []string) (err error) {
	if f.wait && len(names) == 0 {
		return failed(exitUsage, "--wait needs a job to wait for: tandem local --wait FILE")
	}
	if err := f.mesos.check(f, names); err != nil {
		return err
	}
	files, err := readJobs(sys, names)
	if err != nil {
		return err
	}
	log, err := f.log.logger(sys.Stderr)
	if err != nil {
		return err
	}
	dir, remove, err := makeDir(f.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()

	cluster, err := f.mesos.start(ctx, dir, f.dir != "", log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopMesos(cluster)) }()
	if f.mesos.alone {
		return f.mesos.serve(ctx, sys, cluster)
	}

	s, err := startScheduler(ctx, f, dir, log, cluster)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	fact(sys.Stdout, "mesos", "%s/frameworks", cluster.URL())
	fact(sys.Stdout, "tandem", "%s/", s.address)
	tellLimits(sys, cluster)
	return s.run(ctx, sys, f, files, dir)
}

// readJobs reads all files, so that what is wrong with any of them is known
// before anything is started.
func readJobs(sys *System, names []string) ([]*jobFile, error) {
	var files []*jobFile
	wrong := &failure{status: exitUsage, places: true}
	for _, name := range names {
		file, err := readJob(sys, name)
		var f *failure
		switch {
		case err == nil:
			for _, p := range missingFiles(name, file.dir, file.job) {
				wrong.lines = append(wrong.lines, p.String())
			}
			files = append(files, file)
		case errors.As(err, &f) && f.places:
			wrong.lines = append(wrong.lines, f.lines...)
		default:
			return nil, err
		}
	}
	if len(wrong.lines) > 0 {
		return nil, wrong
	}
	return files, nil
}

// makeDir returns the directory to work in, and how to remove what must not
// stay.
func makeDir(dir string) (string, func() error, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", nil, failed(exitUsage, "--dir: cannot make %s: %s", dir, causeOf(err))
		}
		return dir, func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "tandem-local-")
	if err != nil {
		return "", nil, fmt.Errorf("cannot make a temporary directory: %w", err)
	}
	// Executors and workloads of other users must get through.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", nil, fmt.Errorf("cannot make a temporary directory: %w", err)
	}
	return dir, func() error {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("cannot remove the temporary directory: %w", err)
		}
		return nil
	}, nil
}

// patience bounds how long the parts may take to start and to stop.
const patience = 30 * time.Second

// freeAddress returns the usual address if nobody listens there, and otherwise
// one with any free port.
func freeAddress(usual string) string {
	l, err := net.Listen("tcp", usual)
	if err != nil {
		host, _, _ := net.SplitHostPort(usual)
		return net.JoinHostPort(host, "0")
	}
	l.Close()
	return usual
}

// localScheduler is a scheduler that runs in this process.
type localScheduler struct {
	// address is where it is reached.
	address string
	cancel  context.CancelFunc
	// ended is closed when it has ended, and err says why.
	ended chan struct{}
	err   error
}

func startScheduler(ctx context.Context, f *localFlags, dir string, log logrus.FieldLogger, cluster *localmesos.Cluster) (*localScheduler, error) {
	opt := app.DefaultOptions()
	opt.Master = strings.TrimPrefix(cluster.URL(), "http://")
	opt.StateDir = filepath.Join(dir, "state")
	opt.NewCluster = true         // the embedded Mesos is a new one, unless it is recovered
	opt.Roles = []string{"local"} // Mesos reserves nothing for *, as volumes need it
	opt.Executor = f.executor
	opt.SecretsDir = f.secrets
	opt.Log = log
	opt.Listen, opt.Access.AllowAnonymous = f.listen, f.allowAnonymous
	if opt.Listen == "" {
		opt.Listen = freeAddress(app.DefaultOptions().Listen)
	}
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("cannot tell which user this is: %w", err)
	}
	opt.User = me.Username
	ready := make(chan app.Addresses, 1)
	opt.Ready = func(a app.Addresses) { ready <- a }

	// When ctx ends the scheduler is still needed to show how things stand.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &localScheduler{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.err = app.Run(inner, opt)
	}()
	select {
	case a := <-ready:
		s.address = a.Local
		return s, nil
	case <-s.ended:
		cancel()
		return nil, s.err
	}
}

// stop stops the scheduler and returns why it failed, if it did.
func (s *localScheduler) stop() error {
	s.cancel()
	<-s.ended
	return s.err
}

// unlessEnded returns the error of a call, or nothing when the scheduler has
// ended: then stop says why.
func (s *localScheduler) unlessEnded(err error) error {
	select {
	case <-s.ended:
		return nil
	default:
		return err
	}
}

// run submits the jobs, and shows what changes until it is enough.
func (s *localScheduler) run(ctx context.Context, sys *System, f *localFlags, files []*jobFile, dir string) error {
	c, err := newClient(connection{scheduler: s.address})
	if err != nil {
		return err
	}
	c.inside = true
	follow, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-s.ended
		cancel()
	}()
	versions := map[string]uint64{}
	for _, file := range files {
		res, err := c.submit(follow, file, nil, false)
		if err != nil {
			return s.unlessEnded(err)
		}
		versions[file.job.GetId()] = res.GetVersion()
		fmt.Fprintf(sys.Stdout, "job %s: submitted\n", file.job.GetId())
	}
	d := newDisplay(sys)
	board, err := c.follow(follow, "", d, func(b *board) bool {
		if !f.wait {
			return false
		}
		for id, version := range versions {
			if !b.outcome(id, version).done {
				return false
			}
		}
		return true
	})
	d.erase()
	interrupted := ctx.Err() != nil
	if err != nil && !interrupted {
		return s.unlessEnded(err)
	}
	board.report(sys)
	board.showOutput(sys, dir)
	switch {
	case interrupted && f.wait:
		return failed(exitInterrupted, "interrupted")
	case interrupted:
		return nil
	}
	return board.verdict(sys, asText, versions)
}

// shownLines is how many lines of what a task has written are shown at the end.
const shownLines = 20

// showOutput prints the last lines that each task has written, from the
// sandboxes in the directory: when it is removed nobody can read them any more.
func (b *board) showOutput(sys *System, dir string) {
	for _, key := range b.slots() {
		a := b.attempts[key]
		for _, t := range a.GetTasks() {
			names := []string{"stdout"}
			if present.Troubled(t.GetState()) {
				names = append(names, "stderr")
			}
			for _, name := range names {
				lines := lastLines(taskFile(dir, a, t, name), shownLines)
				if len(lines) == 0 {
					continue
				}
				fmt.Fprintf(sys.Stdout, "%s of %s:\n", name, t.GetTaskId())
				for _, line := range lines {
					fmt.Fprintf(sys.Stdout, "  %s\n", present.Plain(line))
				}
			}
		}
	}
}

// taskFile returns the path of a file in a task's directory, or nothing.
func taskFile(dir string, a *tandemv1.AttemptRecord, t *tandemv1.TaskRecord, name string) string {
	// None of the parts holds a character that means something to Glob.
	found, err := filepath.Glob(filepath.Join(dir, "mesos", "agent-*", "slaves", a.GetAgentId(), "frameworks", "*",
		"executors", a.GetExecutorId(), "runs", "latest", "tasks", t.GetTaskId(), name))
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[0]
}

// lastLines returns the last lines of a file, of which it reads no more than it
// needs.
func lastLines(name string, most int) []string {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	const enough = 16 << 10
	from := max(0, info.Size()-enough)
	text := make([]byte, info.Size()-from)
	n, _ := f.ReadAt(text, from)
	lines := strings.Split(strings.TrimRight(string(text[:n]), "\n"), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines[max(0, len(lines)-most):]
}
