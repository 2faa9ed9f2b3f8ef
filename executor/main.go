// Command tandem-executor runs task groups on a Mesos agent: each task in a
// cgroup of its own, under its own limits. An agent starts it as the executor
// of a scheduler's tasks.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/app"
	"github.com/tandem-mesos/tandem/executor/footprint"
	"github.com/tandem-mesos/tandem/executor/guard"
	"github.com/tandem-mesos/tandem/executor/output"
	"github.com/tandem-mesos/tandem/executor/spawn"
	"github.com/tandem-mesos/tandem/pkg/version"
)

func main() { os.Exit(run()) }

func run() int {
	if os.Args[0] == guard.Name {
		name(guard.Name)
		footprint.Rest()
		return guard.Run()
	}
	flags := flag.NewFlagSet("tandem-executor", flag.ExitOnError)
	linger := flags.Duration("linger", time.Second, "how long to stay when no task is left; longer for an executor that is shared")
	cache := flags.String("cache", "", "`directory` for copies of fetched files (default: in the sandbox)")
	starting := flags.Bool("starting", false, "report TASK_STARTING for every task, not only for those that do not run at once")
	subtree := flags.String("cgroup", "", "`path` of a cgroup that is delegated to executors, such as /tandem, for agents that give them none (default: TANDEM_CGROUP of the environment)")
	verbose := flags.Bool("verbose", false, "log more")
	showVersion := flags.Bool("version", false, "print the version and exit")
	adopt := flags.Int("adopt", 0, "`descriptor` of the state of the executor that this one has replaced")
	canAdopt := flags.Int("can-adopt", 0, "say whether a state of this `format` can be read, and the one on standard input if there is one")
	_ = flags.Parse(os.Args[1:]) // It exits on errors.
	if *showVersion {
		fmt.Println("tandem-executor", version.Version)
		return 0
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "tandem-executor: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	if *canAdopt != 0 {
		_, err := app.FromEnvironment(os.Environ())
		if err == nil {
			err = app.CanAdopt(*canAdopt, os.Stdin)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	// Neither a logger of the agent's that has died nor one that has stopped
	// reading may end or hold up the executor.
	signal.Ignore(syscall.SIGPIPE)
	journal := output.NewJournal(os.Stderr)
	defer journal.Close()
	log := logrus.New()
	log.SetOutput(journal)
	log.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true, TimestampFormat: "2006-01-02T15:04:05.000Z07:00"})
	if *verbose {
		log.SetLevel(logrus.DebugLevel)
	}
	environment := os.Environ()
	options, err := app.FromEnvironment(environment)
	if err != nil {
		fmt.Fprintf(os.Stderr, "tandem-executor: %v\n", err)
		return 2
	}
	if err := forget(options.Token != ""); err != nil {
		log.WithError(err).Error("Cannot hide the authentication token")
		return 1
	}
	options.Linger, options.Cache, options.Starting = *linger, *cache, *starting
	if *subtree != "" {
		options.Subtree = *subtree
	}
	options.Log, options.Version = log, version.Version
	options.Arguments, options.Environment = kept(os.Args[1:]), environment
	options.Replace = func(program string, state int) error {
		journal.Flush()
		return replace(program, state, environment)
	}
	if *adopt > 0 {
		name(filepath.Base(os.Args[0]))
		syscall.CloseOnExec(*adopt)
		options.Adopt = os.NewFile(uintptr(*adopt), "state")
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := app.Run(ctx, options); err != nil {
		log.Error("Ending: " + err.Error())
		return 1
	}
	return 0
}

// forget takes what the agent said out of the environment. The kernel still
// shows the environment that the process was started with, to processes of the
// same user; with a token in it, it must not.
func forget(token bool) error {
	for _, v := range os.Environ() {
		if name, _, ok := strings.Cut(v, "="); ok && app.Secret(name) {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	if !token {
		return nil
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// name is what ps and top call the process. Executed by a descriptor it is called
// by the descriptor's number.
func name(name string) {
	// Of all files of that meaning only this may be written by a process that
	// others of its user may not look into.
	_ = os.WriteFile(fmt.Sprintf("/proc/self/task/%d/comm", os.Getpid()), []byte(name), 0)
}

// replace executes another program with this one's arguments and environment. It
// returns only when that fails.
func replace(program string, state int, environment []string) error {
	args := append([]string{os.Args[0], fmt.Sprintf("-adopt=%d", state)}, kept(os.Args[1:])...)
	// The library takes back what it has raised, and does not raise it again when
	// the kernel refuses.
	var files syscall.Rlimit
	raised := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files)
	err := spawn.Exec(program, args, environment)
	if raised == nil {
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files)
	}
	return fmt.Errorf("cannot execute the new program: %w", err)
}

// kept are the arguments that the next program gets, too.
func kept(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, "-adopt=") })
}
