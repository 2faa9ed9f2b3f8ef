// Package cli is the command line: one file for each verb. A verb turns flags
// and files into calls of a scheduler's API, or into options of app, and shows
// what comes back.
//
// The package must never hold a rule of its own about jobs, so that whoever
// uses the API can do what it does. Everything that it takes from the process
// comes through a System, so that tests run verbs in themselves.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/tandem-mesos/tandem/pkg/version"
)

// System is what a command line needs of the process that it runs in.
type System struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Getenv returns an environment variable, and whether it is set.
	Getenv func(name string) (string, bool)
	Now    func() time.Time
	// TerminalSize returns the width and height of the terminal that Stdout is,
	// or false when it is none.
	TerminalSize func() (width, height int, ok bool)
	// RawTerminal has the terminal that Stdin is pass on every key as it is, and
	// returns what undoes that. Nil when Stdin is no terminal.
	RawTerminal func() (restore func(), err error)
	// Resized tells when the terminal has changed its size, until ctx ends. It
	// goes with RawTerminal.
	Resized func(ctx context.Context) <-chan struct{}
	// Hangups begins to take SIGHUP, which would end the process, as a wish for
	// files to be read anew, until forget is called. Nil lets it end the process.
	Hangups func() (wishes <-chan struct{}, forget func())
}

// Main runs the process's command line and returns its exit status. SIGINT and
// SIGTERM end it in order; a second one ends it at once.
func Main() int {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, restore)
	return Run(ctx, os.Args[1:], System{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.LookupEnv,
		Now:    time.Now,
		TerminalSize: func() (int, int, bool) {
			width, height, err := term.GetSize(int(os.Stdout.Fd()))
			return width, height, err == nil && os.Getenv("TERM") != "dumb"
		},
		RawTerminal: rawTerminal(os.Stdin),
		Resized:     resized,
		Hangups:     hangups,
	})
}

// hangups takes SIGHUP. Those that come before the last one was heeded are one
// wish with it.
func hangups() (<-chan struct{}, func()) {
	signals, wishes, end := make(chan os.Signal, 1), make(chan struct{}, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-signals:
				select {
				case wishes <- struct{}{}:
				default:
				}
			case <-end:
				return
			}
		}
	}()
	return wishes, func() {
		signal.Stop(signals)
		close(end)
	}
}

// The exit statuses.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitRefused     = 4
	exitInterrupted = 130
)

// failure is an error with an exit status of its own.
type failure struct {
	status int
	// lines say what went wrong, each in one line.
	lines []string
	// places says that the lines begin with a place in a file, where editors
	// look for it, and not with the program's name.
	places bool
}

func (f *failure) Error() string { return strings.Join(f.lines, "\n") }

func failed(status int, format string, args ...any) error {
	return &failure{status: status, lines: []string{fmt.Sprintf(format, args...)}}
}

// Run runs a command line and returns its exit status. When ctx ends it stops
// in order.
func Run(ctx context.Context, args []string, sys System) int {
	root := newRoot(&sys)
	// Without arguments cobra would take those of the process.
	root.SetArgs(append([]string{}, args...))
	root.SetIn(sys.Stdin)
	root.SetOut(sys.Stdout)
	root.SetErr(sys.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	f := &failure{status: exitFailed}
	if !errors.As(err, &f) && ctx.Err() != nil {
		f = &failure{status: exitInterrupted}
		err = errors.New("interrupted")
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if line == "" {
			continue
		}
		if !f.places {
			line = "tandem: " + line
		}
		fmt.Fprintln(sys.Stderr, line)
	}
	return f.status
}

func newRoot(sys *System) *cobra.Command {
	root := &cobra.Command{
		Use:   "tandem",
		Short: "Run a team's workloads on Apache Mesos",
		Long: `Tandem runs a team's workloads on Apache Mesos: programs that belong together are
placed on one agent, all or nothing, each in a cgroup of its own under its own limits.

Try it here:         tandem local --wait examples/hello.yaml
On a real Mesos:     tandem scheduler --master HOST:5050
Then, anywhere:      tandem run --wait examples/hello.yaml

Every flag can also be given by an environment variable: TANDEM_ and its name in
capitals with _ for -, as in TANDEM_SCHEDULER for --scheduler.

Exit status: 0 done; 1 failed, or the job has failed; 2 wrong usage or a wrong job file;
3 the scheduler cannot be reached; 4 refused by the scheduler; 130 interrupted.`,
		Version:       version.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return fill(cmd.Flags(), sys)
		},
	}
	root.SetVersionTemplate("tandem {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return failed(exitUsage, "%s", wrongFlag(cmd, err))
	})
	root.AddCommand(
		newLocal(sys), newScheduler(sys),
		newInit(sys), newConvert(sys), newRun(sys), newValidate(sys), newStatus(sys), newList(sys), newInspect(sys), newHistory(sys), newStop(sys),
		newPlan(sys), newExplain(sys), newScale(sys), newRestart(sys), newRollback(sys), newUpdate(sys), newRunNow(sys), newReconcile(sys), newWait(sys),
		newLogs(sys), newLs(sys), newEvents(sys), newAgents(sys), newOffers(sys), newDrain(sys), newVolume(sys), newFramework(sys), newState(sys),
		newExec(sys), newExecutor(sys), newKill(sys), newSignal(sys), newStats(sys),
		newContext(sys), newToken(sys), newVersion(sys),
	)
	nicknames(root)
	completion(root)
	refuseArgs(root)
	completeArgs(root, sys)
	return root
}

// variable returns the environment variable of a flag.
func variable(flag string) string {
	return "TANDEM_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets the flags that were not given from the environment.
func fromEnvironment(flags *pflag.FlagSet, getenv func(string) (string, bool)) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || err != nil {
			return
		}
		if v, ok := getenv(variable(f.Name)); ok && v != "" {
			if setErr := flags.Set(f.Name, v); setErr != nil {
				err = failed(exitUsage, "%s: %s", variable(f.Name), wrongValue(f, v, setErr))
			}
		}
	})
	return err
}
