package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tandem-mesos/tandem/scheduler/app"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/heap"
)

func newScheduler(sys *System) *cobra.Command {
	opt := app.DefaultOptions()
	opt.StateDir = "tandem-state"
	var config string
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
  tokens: /etc/tandem/web.tokens
  rules: /etc/tandem/web.rules.yaml

What the command line says goes before the environment, and that before the file.

Certificates, tokens, rules and the secret are read anew when their files change, and at a
SIGHUP; then the log level of the config file, too, and the audit log's file is opened anew.`,
		Example: `  tandem scheduler --master 127.0.0.1:5050
  tandem scheduler --master zk://10.0.0.1:2181,10.0.0.2:2181/mesos --role web --listen 0.0.0.0:7070 --tokens web.tokens --rules rules.yaml
  tandem scheduler --config /etc/tandem/web.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := changed(cmd.Flags())
			if config != "" {
				if err := fromFile(cmd.Flags(), config); err != nil {
					return err
				}
			}
			if opt.Master == "" {
				return failed(exitUsage, "no master is given; name one with --master HOST:PORT or TANDEM_MASTER, or try `tandem local`")
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
			if config != "" {
				opt.Reread = func() error { return reread(sys, cmd.Flags(), given, config, logger) }
			}
			if sys.Hangups != nil {
				wishes, forget := sys.Hangups()
				defer forget()
				opt.Reload = wishes
			}
			defer heap.Bound()()
			err = app.Run(cmd.Context(), opt)
			var wrong *app.WrongOptions
			if errors.As(err, &wrong) {
				return failed(exitUsage, "%s", wrong)
			}
			return err
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
	f.StringVar(&opt.SecretFile, "secret-file", "", "a `file` with the secret that proves the principal")
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
	f.BoolVar(&opt.MesosTLS, "mesos-tls", false, "call masters and agents over https")
	f.StringVar(&opt.MesosCA, "mesos-ca", "", "a `file` with the authorities of masters and agents (default: the machine's)")
	f.StringVar(&opt.MesosCert, "mesos-cert", "", "a `file` with the certificate that is shown to masters and agents")
	f.StringVar(&opt.MesosKey, "mesos-key", "", "a `file` with the key of --mesos-cert")
	f.StringVar(&opt.DebugSocket, "debug-socket", "", "a `path` for a socket on which Go's profiles are served to this user (default: none)")
	accessFlags(f, &opt.Access)
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

// changed are the names of the flags that have been given.
func changed(flags *pflag.FlagSet) map[string]bool {
	given := map[string]bool{}
	flags.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	return given
}

// reread reads a config file again while the scheduler runs: the log level holds
// at once, and the log says what else has changed and does not.
func reread(sys *System, running *pflag.FlagSet, given map[string]bool, config string, log *logrus.Logger) error {
	fresh := newScheduler(sys).Flags()
	for name := range given {
		fresh.Lookup(name).Changed = true
	}
	if err := fromFile(fresh, config); err != nil {
		return err
	}
	var err error
	fresh.VisitAll(func(f *pflag.Flag) {
		now := running.Lookup(f.Name)
		if given[f.Name] || now == nil || now.Value.String() == f.Value.String() {
			return
		}
		if f.Name != "log-level" {
			log.Warnf("%s: %s has changed, which takes effect at the next start", config, f.Name)
			return
		}
		var level logrus.Level
		if level, err = logrus.ParseLevel(f.Value.String()); err != nil {
			err = fmt.Errorf("%s: log-level: %q is not error, warning, info or debug", config, f.Value)
			return
		}
		log.SetLevel(level)
		err = now.Value.Set(f.Value.String())
	})
	return err
}

// accessFlags say who may call the API.
func accessFlags(f *pflag.FlagSet, a *app.Access) {
	f.StringVar(&a.Cert, "tls-cert", "", "a `file` with the certificate that has the API speak https")
	f.StringVar(&a.Key, "tls-key", "", "a `file` with the key of --tls-cert")
	f.StringVar(&a.ClientCA, "client-ca", "", "a `file` with the authorities of client certificates, which prove who a caller is")
	f.StringVar(&a.Tokens, "tokens", "", "a `file` with the hashes of tokens, which prove who a caller is; tandem token makes them")
	f.StringVar(&a.Issuer, "oidc-issuer", "", "the `URL` of the OIDC issuer whose ID tokens prove who a caller is")
	f.StringVar(&a.Audience, "oidc-audience", "", "the client `ID` that ID tokens must be meant for")
	f.StringVar(&a.NameClaim, "oidc-name-claim", "", "the `claim` that names the caller (default: email)")
	f.StringVar(&a.GroupsClaim, "oidc-groups-claim", "", "the `claim` with the caller's groups (default: groups)")
	f.StringVar(&a.Rules, "rules", "", "a `file` that says what callers may do")
	f.StringVar(&a.PeerCA, "peer-ca", "", "with a shared --state: a `file` with the authorities of the other schedulers' certificates (default: the machine's)")
	f.BoolVar(&a.AllowAnonymous, "allow-anonymous", false, "let anybody who can connect to --listen do everything")
	f.Float64Var(&a.RateLimit, "rate-limit", 100, "how many `requests` one client may make in a second; -1: any")
	f.IntVar(&a.MaxConnections, "max-connections", 20_000, "how many `connections` may be open")
	f.StringVar(&a.AuditLog, "audit-log", "", "a `file` that records every write (default: the log)")
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
