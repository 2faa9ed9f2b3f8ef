package cli

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tandem-mesos/tandem/scheduler/app"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

func newScheduler(sys *System) *cobra.Command {
	opt := app.DefaultOptions()
	opt.StateDir = "tandem-state"
	var config, secretFile string
	var labels []string
	var log logFlags
	cmd := &cobra.Command{
		Use:   "scheduler --master HOST:PORT",
		Short: "Run a team's scheduler on a Mesos",
		Long: `Runs a scheduler until it is interrupted. Its tasks run on meanwhile: started again with the
same --state, it takes them up where it left them.

Agents fetch the executor from this scheduler, and browsers come to it from Mesos's page of
frameworks: on a cluster give it an address that both reach, with --listen and, where others
see this machine under another name, --advertise.

A config file holds the same names as the flags, as YAML:

  master: [10.0.0.1:5050, 10.0.0.2:5050]
  role: web
  listen: 0.0.0.0:7070

What the command line says goes before the environment, and that before the file.`,
		Example: `  tandem scheduler --master 127.0.0.1:5050
  tandem scheduler --master zk://10.0.0.1:2181,10.0.0.2:2181/mesos --role web --listen 0.0.0.0:7070
  tandem scheduler --config /etc/tandem/web.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config != "" {
				if err := fromFile(cmd.Flags(), config); err != nil {
					return err
				}
			}
			if opt.Master == "" {
				return failed(exitUsage, "no master is given; name one with --master HOST:PORT or TANDEM_MASTER, or try `tandem local`")
			}
			if err := readSecret(&opt, secretFile); err != nil {
				return err
			}
			var err error
			if opt.Labels, err = parseLabels(labels); err != nil {
				return err
			}
			logger, err := log.logger(sys.Stderr)
			if err != nil {
				return err
			}
			opt.Log = logger
			return app.Run(cmd.Context(), opt)
		},
	}
	f := cmd.Flags()
	f.StringVar(&config, "config", "", "a `file` with the flags' names as keys")
	f.Var((*list)(&opt.Master), "master", "`addresses` of the masters, host:port[,host:port...], or zk://host:port[,...]/path")
	f.DurationVar(&opt.MasterTimeout, "master-timeout", opt.MasterTimeout, "give up when no master could be subscribed to for so long after the start; 0: never")
	f.StringVar(&opt.Name, "name", opt.Name, "the framework's name, as Mesos shows it")
	f.StringVar(&opt.User, "user", opt.User, "the `user` that executors and workloads run as unless a job names one")
	f.StringSliceVar(&opt.Roles, "role", opt.Roles, "the `roles` whose resources are offered")
	f.StringVar(&opt.Principal, "principal", opt.Principal, "who the scheduler says it is")
	f.StringVar(&secretFile, "secret-file", "", "a `file` with the secret that proves the principal")
	f.StringVar(&opt.Hostname, "hostname", opt.Hostname, "the `host` that Mesos shows (default: that of --advertise)")
	f.StringSliceVar(&labels, "label", nil, "`labels` of the framework, name=value")
	f.DurationVar(&opt.FailoverTimeout, "failover-timeout", opt.FailoverTimeout, "how long the master lets tasks run while no scheduler is there")
	f.StringVar(&opt.Listen, "listen", opt.Listen, "the `address` of the API, the page and what agents fetch")
	f.StringVar(&opt.Advertise, "advertise", opt.Advertise, "the `URL` at which agents and browsers reach --listen")
	f.StringVar(&opt.StateDir, "state", opt.StateDir, "the `directory` that holds what must not be lost; or zk://[user:pass@]host:port[,...]/path, which several schedulers share")
	f.BoolVar(&opt.NewCluster, "new-cluster", false, "take a --state of another cluster over, and start everything anew on this one")
	f.StringVar(&opt.Artifacts, "artifacts", opt.Artifacts, "the `directory` of uploaded files (default: below --state)")
	f.DurationVar(&opt.SessionTimeout, "session-timeout", opt.SessionTimeout, "with a shared --state: how long a leader may be silent before another takes over")
	f.StringVar(&opt.Executor, "executor", opt.Executor, "the executor's `file` (default: tandem-executor beside this program)")
	f.StringVar(&opt.ExecutorURI, "executor-uri", opt.ExecutorURI, "a `URL` that agents fetch the executor from, in place of this scheduler")
	secretsFlag(f, &opt.SecretsDir)
	f.Var((*strays)(&opt.Core.StrayTasks), "stray-tasks", "what becomes of running tasks of this framework that nobody asks for, as after a lost state; `kill|leave`")
	log.flags(f)
	return cmd
}

// strays is a core.StrayPolicy as a flag.
type strays core.StrayPolicy

// String, Set and Type make strays a flag's value.
func (s *strays) String() string {
	if core.StrayPolicy(*s) == core.LeaveStrays {
		return "leave"
	}
	return "kill"
}

// Set takes kill or leave.
func (s *strays) Set(text string) error {
	switch text {
	case "kill":
		*s = strays(core.KillStrays)
	case "leave":
		*s = strays(core.LeaveStrays)
	default:
		return errors.New("it is kill or leave")
	}
	return nil
}

// Type names what the flag takes, for the help.
func (s *strays) Type() string { return "policy" }

func secretsFlag(f *pflag.FlagSet, dir *string) {
	f.StringVar(dir, "secrets-dir", "", "a `directory` with one file for each secret that jobs may name")
}

// list is a flag that may be given several times and whose values are joined by
// commas, for what is parsed as a whole later.
type list string

// String, Set and Type make list a flag's value.
func (l *list) String() string { return string(*l) }

// Set adds a value.
func (l *list) Set(s string) error {
	if *l != "" {
		s = string(*l) + "," + s
	}
	*l = list(s)
	return nil
}

// Type names what the flag takes, for the help.
func (l *list) Type() string { return "list" }

// readSecret reads the secret of the principal from its file, whose last
// newline does not count.
func readSecret(opt *app.Options, name string) error {
	if name == "" {
		return nil
	}
	f, err := openFile(name)
	if err != nil {
		return err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return failed(exitUsage, "cannot read %s: %s", name, causeOf(err))
	}
	opt.Secret = strings.TrimRight(string(content), "\r\n")
	if opt.Secret == "" {
		return failed(exitUsage, "--secret-file: %s is empty", name)
	}
	return nil
}

func parseLabels(labels []string) (map[string]string, error) {
	m := map[string]string{}
	for _, l := range labels {
		name, value, ok := strings.Cut(l, "=")
		if !ok || name == "" {
			return nil, failed(exitUsage, "--label: %q is not of the form name=value", l)
		}
		m[name] = value
	}
	return m, nil
}

// logFlags say what is logged and how.
type logFlags struct{ level, format string }

func (l *logFlags) flags(f *pflag.FlagSet) {
	f.StringVar(&l.level, "log-level", "info", "the least `level` that is logged: error, warning, info or debug")
	f.StringVar(&l.format, "log-format", "text", "the log's `format`: text or json")
}

func (l *logFlags) logger(w io.Writer) (*logrus.Logger, error) {
	log := logrus.New()
	log.SetOutput(w)
	level, err := logrus.ParseLevel(l.level)
	if err != nil || !slices.Contains([]string{"error", "warning", "warn", "info", "debug"}, l.level) {
		return nil, failed(exitUsage, "--log-level: %q is not error, warning, info or debug", l.level)
	}
	log.SetLevel(level)
	switch l.format {
	case "text":
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, DisableColors: w != io.Writer(os.Stderr)})
	case "json":
		log.SetFormatter(&logrus.JSONFormatter{})
	default:
		return nil, failed(exitUsage, "--log-format: %q is not text or json", l.format)
	}
	return log, nil
}
