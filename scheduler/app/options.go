package app

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/mesos/detect"
	"github.com/tandem-mesos/tandem/pkg/zookeeper"
	"github.com/tandem-mesos/tandem/scheduler/artifact"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// Options are what a scheduler is told. Errors name them as flags, since that is
// how most people set them.
type Options struct {
	// Master says where the masters are: host:port[,host:port…] or
	// zk://[user:pass@]host:port[,…]/path. Required.
	Master string
	// MasterTimeout ends Run with an error when no master could be subscribed to
	// for so long after the start. 0 tries for ever.
	MasterTimeout time.Duration

	// Listen is the address, host:port, of the API, the page and the artifacts.
	// The port 0 takes any that is free.
	Listen string
	// Advertise is the address under which agents and people reach Listen from
	// elsewhere, such as http://10.0.0.7:7070. Empty means Listen, with the
	// address of the interface that leads to the masters where Listen means all
	// interfaces.
	Advertise string

	// Access says who may call the API, and how they are known.
	Access Access

	// StateDir is the directory of the scheduler's state and artifacts. It is
	// made when it is not there, and used by one scheduler at a time. Or it is
	// zk://[user:pass@]host:port[,…]/path, where several schedulers share a state,
	// of which one leads and the others stand by. Required.
	StateDir string
	// Artifacts is the directory of uploaded files. Empty means below StateDir.
	Artifacts string
	// SessionTimeout is after how long of a leader's silence another
	// scheduler takes over. It counts only where StateDir is in ZooKeeper.
	SessionTimeout time.Duration

	// NewCluster takes a state to a cluster that it does not belong to.
	NewCluster bool

	// Name is the framework's name, which Mesos's pages show.
	Name string
	// User is the user that executors run as unless a job says otherwise. Making
	// control groups takes root.
	User string
	// Roles are the roles whose resources are offered.
	Roles []string
	// Principal is who the scheduler says it is to masters and agents; with the
	// secret in SecretFile, whose last newline does not count, it proves it.
	Principal, SecretFile string
	// MesosTLS has masters and agents called over https. MesosCA holds the authorities that
	// masters and agents are verified by, and means the machine's own when it is
	// empty; MesosCert and MesosKey prove who the scheduler is.
	MesosTLS                     bool
	MesosCA, MesosCert, MesosKey string
	// Hostname is shown by Mesos's pages. Empty means that of Advertise.
	Hostname string
	// FailoverTimeout is how long the master lets tasks run while the scheduler
	// is away. After that it ends them and forgets the framework.
	FailoverTimeout time.Duration
	// Labels are the framework's, for operators.
	Labels map[string]string

	// SecretsDir is a directory with one file for each secret that jobs may name;
	// see package secret. Empty: there are none.
	SecretsDir string

	// Executor is the path of the executor's binary. Empty means beside the
	// scheduler's own.
	Executor string
	// ExecutorURI is an address that agents fetch the executor's binary from, in
	// place of this scheduler. What is behind it must never change, since agents
	// keep it. No local binary is needed then.
	ExecutorURI string

	// Core tunes the core. Roles, Executor.Command, Executor.URIs and, when it
	// is 0, Seed are filled in from the rest.
	Core core.Config

	// DebugSocket is the path of a socket on which Go's profiles are served to this
	// user; empty serves none.
	DebugSocket string
	// Reload asks for everything that is in files to be read anew; files are
	// read anew when they change, too. Nil never asks.
	Reload <-chan struct{}
	// Reread is called then for what Run knows nothing of, such as how much is
	// logged. Nil is not called.
	Reread func() error

	// Log is required.
	Log logrus.FieldLogger
	// Ready is called once, when requests are answered at the addresses, which
	// may be long before a master is subscribed to. Nil is not called.
	Ready func(Addresses)
}

// WrongOptions is the error of Run when what it was told, or a file that names
// what it was told, cannot be used. Trying again does not help.
type WrongOptions struct{ err error }

// Error has a line for each thing that is wrong.
func (w *WrongOptions) Error() string { return w.err.Error() }

// Addresses are where a scheduler is reached.
type Addresses struct {
	// Local is for this machine, such as http://127.0.0.1:7070.
	Local string
	// Advertised is for agents and people elsewhere.
	Advertised string
}

// DefaultOptions are the options of a scheduler that is told nothing else than
// its master, its state directory and its log.
func DefaultOptions() Options {
	return Options{
		Listen:          "127.0.0.1:7070",
		Name:            "tandem",
		User:            "root",
		Roles:           []string{"*"},
		FailoverTimeout: 7 * 24 * time.Hour,
		SessionTimeout:  10 * time.Second,
	}
}

// validate says all that is wrong, one line each, and returns what it has parsed.
func (o *Options) validate() (masters detect.Masters, shared *zookeeper.URL, advertised *url.URL, err error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if masters, err = detect.Parse(o.Master); err != nil {
		bad("--master: %w", err)
	}
	if !isAddress(o.Listen) {
		bad("--listen: %q is not an address of the form host:port", o.Listen)
	}
	if o.Advertise != "" {
		advertised, err = url.Parse(o.Advertise)
		if err != nil || (advertised.Scheme != "http" && advertised.Scheme != "https") || advertised.Host == "" || strings.Trim(advertised.Path, "/") != "" {
			bad("--advertise: %q is not an address of the form http://host:port", o.Advertise)
		} else {
			advertised.Path = ""
		}
	}
	if o.ExecutorURI != "" {
		if u, err := url.Parse(o.ExecutorURI); err != nil || u.Scheme == "" && !path.IsAbs(u.Path) {
			bad("--executor-uri: %q is not an address that agents could fetch", o.ExecutorURI)
		}
	}
	if o.ExecutorURI != "" && o.Executor != "" {
		bad("--executor and --executor-uri exclude each other")
	}
	switch {
	case o.StateDir == "":
		bad("--state: no directory for the state is given")
	case strings.HasPrefix(o.StateDir, zookeeper.Scheme):
		u, err := parseShared(o.StateDir)
		if err != nil {
			bad("--state: %w", err)
		}
		shared = &u
		if o.Artifacts == "" {
			bad("--artifacts: no directory for uploaded files is given, which --state in ZooKeeper has no room for")
		}
		if o.SessionTimeout < time.Second {
			bad("--session-timeout: %s is too short for a leader to be heard of; give a second at least", o.SessionTimeout)
		}
	}
	if o.Name == "" {
		bad("--name: the framework needs a name")
	}
	if len(o.Roles) == 0 || slices.Contains(o.Roles, "") {
		bad("--role: no role, or an empty one, is given; * is the role of everybody")
	}
	if !o.MesosTLS && (o.MesosCA != "" || o.MesosCert != "" || o.MesosKey != "") {
		bad("--mesos-ca, --mesos-cert, --mesos-key: they are for https with masters and agents; add --mesos-tls")
	}
	if o.SecretFile != "" && o.Principal == "" {
		bad("--secret-file: a secret proves who a principal is; name it with --principal")
	}
	if strings.Contains(o.Principal, ":") && o.SecretFile != "" {
		bad("--principal: %q has a colon in it, which cannot be sent with a secret", o.Principal)
	}
	errs = append(errs, o.Access.validate(o.Listen, advertised))
	if o.FailoverTimeout <= 0 {
		bad("--failover-timeout: %s would have every task ended whenever the scheduler restarts", o.FailoverTimeout)
	}
	if o.MasterTimeout < 0 {
		bad("--master-timeout: %s is negative", o.MasterTimeout)
	}
	if o.Log == nil {
		bad("Log is missing")
	}
	return masters, shared, advertised, errors.Join(errs...)
}

// framework is who the scheduler is to Mesos.
func (o *Options) framework(advertised *url.URL) mesos.FrameworkInfo {
	checkpoint, timeout := true, o.FailoverTimeout.Seconds()
	page, hostname := advertised.String()+"/", o.Hostname
	if hostname == "" {
		hostname = advertised.Hostname()
	}
	info := mesos.FrameworkInfo{
		User:            o.User,
		Name:            o.Name,
		Roles:           o.Roles,
		Checkpoint:      &checkpoint,
		FailoverTimeout: &timeout,
		WebUiURL:        &page,
		Hostname:        &hostname,
		Capabilities: []mesos.FrameworkInfo_Capability{
			{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE},
			{Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE},
			{Type: mesos.FrameworkInfo_Capability_TASK_KILLING_STATE},
			{Type: mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT},
		},
	}
	if o.Principal != "" {
		info.Principal = &o.Principal
	}
	if len(o.Labels) > 0 {
		info.Labels = &mesos.Labels{}
		for _, key := range slices.Sorted(maps.Keys(o.Labels)) {
			value := o.Labels[key]
			info.Labels.Labels = append(info.Labels.Labels, mesos.Label{Key: key, Value: &value})
		}
	}
	return info
}

// coreConfig is what the core is told, with the address that agents fetch the
// executor from.
func (o *Options) coreConfig(executor, digest, artifacts string, seed uint64) core.Config {
	yes, no, name := true, false, artifact.ExecutorName
	c := o.Core
	c.Roles, c.Artifacts, c.Principal, c.AgentsTLS = o.Roles, artifacts, o.Principal, o.MesosTLS
	if c.Seed == 0 {
		c.Seed = seed
	}
	// The agent runs it by a shell, which need not stay.
	c.Executor.Command = "exec ./" + artifact.ExecutorName
	c.Executor.SHA256 = digest
	c.Executor.URIs = []mesos.CommandInfo_URI{{
		Value: executor, Executable: &yes, Extract: &no, Cache: &yes, OutputFile: &name,
	}}
	return c
}
