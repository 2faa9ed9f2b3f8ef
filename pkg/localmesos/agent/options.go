package agent

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/clock"
	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// Isolation says how executors are kept apart.
type Isolation int

const (
	// IsolationAuto uses cgroups where the machine and the user allow it, and
	// otherwise none, which the agent logs once.
	IsolationAuto Isolation = iota
	// IsolationCgroups insists on cgroups.
	IsolationCgroups
	// IsolationNone leaves executors without limits, as a real agent's posix
	// isolators do.
	IsolationNone
)

// Options are what an Agent is made of. Names in parentheses are a real
// agent's flags, whose defaults hold here too unless said otherwise.
type Options struct {
	// Master is whom the agent registers with.
	Master link.Master
	// Schema codes messages; agents of one process had better share one. Nil
	// means one of the agent's own.
	Schema *wire.Schema

	// Listen is the address to listen on; port 0 means any. The default is
	// 127.0.0.1:0. (--ip, --port)
	Listen string
	// Hostname is the name that offers carry; the default is the address's
	// IP. (--hostname)
	Hostname string
	// Version is the version of Mesos that the agent claims; the default is
	// 1.12.0, which is what it is compared with.
	Version string
	// WorkDir gets the sandboxes and the fetcher's cache. It is made if it
	// is not there, and never removed. (--work_dir)
	WorkDir string

	// Recovery says whether what is needed to go on is kept in WorkDir, and what
	// to do with what a former process has kept there (--recover). Lenient passes
	// over what of it cannot be read (--no-strict). Reconfiguration says how the
	// agent may have changed meanwhile; one that has changed more is refused.
	Recovery        Recovery
	Lenient         bool
	Reconfiguration Reconfiguration

	// Resources and Attributes in the text form of Mesos, such as
	// "cpus:8;mem:8192;disk:20000;ports:[31000-32000]" and "rack:r1;zone:a".
	// What Resources leaves out is found out from the machine. (--resources,
	// --attributes)
	Resources  string
	Attributes string
	// Domain says where the agent is. (--domain)
	Domain *mesos.DomainInfo
	// Disks are what the agent has beside the disk of its work directory:
	// resources whose source is of type PATH or MOUNT. The roots must be there. (the
	// JSON form of --resources)
	Disks []mesos.Resource

	// Fake, if set, makes the agent play all executors instead of starting
	// them.
	Fake *Fake

	// Isolation chooses between cgroups and none. (--isolation)
	Isolation Isolation
	// CgroupsRoot is the cgroup below which those of the containers are. Two
	// agents had better not share one. (--cgroups_root, default mesos)
	CgroupsRoot string
	// CgroupsEnableCFS bounds a container's CPU time by its request.
	// (--cgroups_enable_cfs)
	CgroupsEnableCFS bool

	// ExecutorDomainSocket is the path of a Unix domain socket for executors;
	// empty means none. (--http_executor_domain_sockets,
	// --domain_socket_location)
	ExecutorDomainSocket string
	// ExecutorSecret makes executors authenticate, with a token that it signs;
	// empty means that they need not. (--authenticate_http_executors,
	// --jwt_secret_key)
	ExecutorSecret []byte

	// OperatorCredentials are the secrets of the principals that operators may
	// authenticate as, wherever AuthenticateReadonly (what only looks) or
	// AuthenticateReadwrite (the v1 API) wants them to. Executors have nothing to
	// do with them. (--http_credentials, --authenticate_http_readonly,
	// --authenticate_http_readwrite)
	OperatorCredentials                         map[string]string
	AuthenticateReadonly, AuthenticateReadwrite bool
	// ACLs say what principals may do and see, by the rules that acl.Parse reads;
	// nil lets everybody do everything. (--acls)
	ACLs *acl.Rules

	// ExecutorRegistrationTimeout is how long an executor may take from its
	// launch to its subscription. (default 1 minute)
	ExecutorRegistrationTimeout time.Duration
	// ExecutorReregistrationTimeout is how long executors may take to come
	// back when the agent has restarted. (default 2 seconds)
	ExecutorReregistrationTimeout time.Duration
	// ExecutorShutdownGracePeriod is the time from SHUTDOWN to SIGKILL.
	// (default 5 seconds)
	ExecutorShutdownGracePeriod time.Duration
	// RecoveryTimeout is how long executors wait for a restarted agent.
	// (default 15 minutes)
	RecoveryTimeout time.Duration
	// GCDelay is how long sandboxes stay when nothing is left of their
	// executors, unless the disk fills up. (--gc_delay, default 1 week)
	GCDelay time.Duration
	// EnforceDiskQuota ends executors whose sandbox or whose persistent volumes
	// take more of the disk than was asked for, which is measured every
	// DiskQuotaInterval (15 seconds) without a file system's help.
	// (--isolation=disk/du with --enforce_container_disk_quota,
	// --container_disk_watch_interval)
	EnforceDiskQuota  bool
	DiskQuotaInterval time.Duration
	// DiskUsage tells, from 0 to 1, how much of the disk that the work directory
	// lies on is used; nil means what the machine says. The fuller it is, the
	// less of GCDelay remains, and none at nine tenths.
	DiskUsage func() (float64, error)
	// FetcherCacheBytes bounds the cache for URIs that ask for it; it is emptied
	// when the agent starts. (--fetcher_cache_size, default 2 GB)
	FetcherCacheBytes int64
	// FrameworksHome is where URIs begin that are relative paths; empty means
	// that there are none. (--frameworks_home)
	FrameworksHome string
	// FetcherStallTimeout ends a download that receives nothing.
	// (default 1 minute)
	FetcherStallTimeout time.Duration

	// Wrap, if set, gets each listener once it is made, and returns the one to
	// serve on.
	Wrap func(net.Listener) net.Listener
	// Clock tells the time; nil means the real one.
	Clock clock.Clock
	// Logger takes what an operator should know; nil discards it.
	Logger logrus.FieldLogger
}

// parsed are the options that have another form within the agent.
type parsed struct {
	resources  []mesos.Resource
	attributes []mesos.Attribute
}

// validate fills in defaults and refuses what cannot work.
func (o *Options) validate() (parsed, error) {
	if o.Master == nil {
		return parsed{}, errors.New("no master is given")
	}
	if o.WorkDir == "" {
		return parsed{}, errors.New("no work directory is given")
	}
	dir, err := filepath.Abs(o.WorkDir)
	if err != nil {
		return parsed{}, fmt.Errorf("cannot use work directory %q: %w", o.WorkDir, err)
	}
	o.WorkDir = dir
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil || net.ParseIP(host) == nil {
		return parsed{}, fmt.Errorf("listen address %q is not of the form IP:PORT", o.Listen)
	}
	if o.Hostname == "" {
		o.Hostname = host
	}
	if o.Version == "" {
		o.Version = "1.12.0"
	}
	if o.CgroupsRoot == "" {
		o.CgroupsRoot = "mesos"
	}
	if err := wire.CheckOperators(o.OperatorCredentials, o.AuthenticateReadonly, o.AuthenticateReadwrite); err != nil {
		return parsed{}, err
	}
	if o.DiskUsage == nil {
		o.DiskUsage = func() (float64, error) { return diskUsage(dir) }
	}
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Logger == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		o.Logger = silent
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		usual time.Duration
	}{
		{"executor registration timeout", &o.ExecutorRegistrationTimeout, time.Minute},
		{"executor reregistration timeout", &o.ExecutorReregistrationTimeout, 2 * time.Second},
		{"executor shutdown grace period", &o.ExecutorShutdownGracePeriod, 5 * time.Second},
		{"recovery timeout", &o.RecoveryTimeout, 15 * time.Minute},
		{"GC delay", &o.GCDelay, 7 * 24 * time.Hour},
		{"disk quota interval", &o.DiskQuotaInterval, 15 * time.Second},
		{"fetcher stall timeout", &o.FetcherStallTimeout, time.Minute},
	} {
		if *d.value < 0 {
			return parsed{}, fmt.Errorf("the %s is negative: %v", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if o.FetcherCacheBytes < 0 {
		return parsed{}, fmt.Errorf("the size of the fetcher's cache is negative: %d", o.FetcherCacheBytes)
	}
	if o.FetcherCacheBytes == 0 {
		o.FetcherCacheBytes = 2 << 30
	}
	var p parsed
	if p.resources, err = parseResources(o.Resources); err != nil {
		return parsed{}, fmt.Errorf("cannot read resources %q: %w", o.Resources, err)
	}
	if p.attributes, err = parseAttributes(o.Attributes); err != nil {
		return parsed{}, fmt.Errorf("cannot read attributes %q: %w", o.Attributes, err)
	}
	return p, nil
}
