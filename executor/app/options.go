package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/mesos/libprocess"
)

// Options are all that an executor is told from outside.
type Options struct {
	// What an agent says in the environment. See FromEnvironment.
	FrameworkID     string
	ExecutorID      string
	Sandbox         string
	AgentEndpoint   string
	AgentPID        string
	IP              string // LIBPROCESS_IP
	DomainSocket    string
	Token           string
	TLS             *tls.Config
	Checkpoint      bool
	RecoveryTimeout time.Duration // 0 for the default
	Backoff         time.Duration // 0 for the default
	ShutdownGrace   time.Duration // 0 for the default
	// Subtree is the path of a cgroup that the agent's operator has delegated
	// to executors, such as /tandem, for agents that give them none of their
	// own (posix isolators, and cgroup v2 with Mesos 1.11). Empty for none. The
	// scheduler may say it as well, and goes before.
	Subtree string

	// What the scheduler says in the command line.

	// Linger is how long the executor stays when it has nothing left to do.
	// One that several groups share should stay for a while.
	Linger time.Duration
	// Starting says whether TASK_STARTING is reported of every task, and not only of
	// those that do not run in a moment.
	Starting bool
	// Cache is where copies of fetched files are kept; empty for the sandbox.
	Cache string

	// Version is that of this program.
	Version string
	// Arguments and Environment are those that this program was started with, and
	// that the next one is.
	Arguments, Environment []string
	// Replace executes another program in this process, and has it read the state
	// from a descriptor. It returns only when it fails. Nil for an executor that
	// cannot be replaced.
	Replace func(program string, state int) error
	// Adopt is the state of the program whose place this one has taken; nil for a
	// start. It is closed once it has been read.
	Adopt io.ReadCloser

	// Log is required.
	Log logrus.FieldLogger
}

func (o Options) validate() error {
	switch {
	case o.Linger < 0:
		return fmt.Errorf("cannot linger for %s: the time must not be negative", o.Linger)
	case o.Cache != "" && !filepath.IsAbs(o.Cache):
		return fmt.Errorf("cannot use the cache %q: it must be an absolute path", o.Cache)
	case o.Subtree != "" && !strings.HasPrefix(o.Subtree, "/"):
		return fmt.Errorf("cannot use the cgroup %q: it must be a path such as /tandem", o.Subtree)
	case o.Log == nil:
		return errors.New("cannot run without a log")
	}
	return nil
}

// FromEnvironment reads what an agent says to its executors, from a list of
// name=value. Missing variables and malformed ones are all named at once.
func FromEnvironment(environment []string) (Options, error) {
	e := reader{values: map[string]string{}}
	for _, v := range environment {
		name, value, _ := strings.Cut(v, "=")
		e.values[name] = value
	}
	if e.values["MESOS_FRAMEWORK_ID"] == "" && e.values["MESOS_EXECUTOR_ID"] == "" {
		return Options{}, errors.New("this program is started by a Mesos agent, not by hand: " +
			"a scheduler names it as the executor of its tasks (MESOS_FRAMEWORK_ID and MESOS_EXECUTOR_ID are not set)")
	}
	o := Options{
		FrameworkID:     e.need("MESOS_FRAMEWORK_ID"),
		ExecutorID:      e.need("MESOS_EXECUTOR_ID"),
		Sandbox:         e.values["MESOS_SANDBOX"],
		AgentEndpoint:   e.values["MESOS_AGENT_ENDPOINT"],
		AgentPID:        e.values["MESOS_SLAVE_PID"],
		IP:              e.values["LIBPROCESS_IP"],
		DomainSocket:    e.values["MESOS_DOMAIN_SOCKET"],
		Token:           e.values[tokenVariable],
		Checkpoint:      e.values["MESOS_CHECKPOINT"] == "1" || e.values["MESOS_CHECKPOINT"] == "true",
		RecoveryTimeout: e.duration("MESOS_RECOVERY_TIMEOUT"),
		Backoff:         e.duration("MESOS_SUBSCRIPTION_BACKOFF_MAX"),
		ShutdownGrace:   e.duration("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"),
		Subtree:         e.values[subtreeVariable],
	}
	if o.Sandbox == "" { // Before Mesos 1.0 it had another name only.
		o.Sandbox = e.need("MESOS_DIRECTORY")
	}
	if o.DomainSocket == "" {
		e.endpoint(o.AgentEndpoint)
	} else {
		e.need("MESOS_SLAVE_PID")
	}
	o.TLS = e.tls(o.AgentEndpoint)
	return o, errors.Join(e.problems...)
}

// tokenVariable holds what proves to the agent who the executor is.
const tokenVariable = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN"

// subtreeVariable names a delegated subtree. An operator sets it for the executors of an
// agent, by --executor_environment_variables.
const subtreeVariable = "TANDEM_CGROUP"

// Secret says whether an environment variable is between the agent and its
// executor, and no business of anybody else's.
func Secret(name string) bool {
	return strings.HasPrefix(name, "MESOS_") || strings.HasPrefix(name, "LIBPROCESS_")
}

// reader reads an environment and collects what is wrong with it.
type reader struct {
	values   map[string]string
	problems []error
}

func (e *reader) problem(format string, args ...any) {
	e.problems = append(e.problems, fmt.Errorf(format, args...))
}

func (e *reader) need(name string) string {
	value := e.values[name]
	if value == "" {
		e.problem("the agent's environment has no %s", name)
	}
	return value
}

func (e *reader) duration(name string) time.Duration {
	text := e.values[name]
	if text == "" {
		return 0
	}
	d, err := parseDuration(text)
	if err != nil {
		e.problem("cannot read %s: %w", name, err)
	}
	return d
}

func (e *reader) endpoint(address string) {
	if address == "" {
		e.need("MESOS_AGENT_ENDPOINT")
		return
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		e.problem("cannot read MESOS_AGENT_ENDPOINT: %w", err)
	}
}

// tls reads libprocess's settings, as far as a client needs them. Without
// LIBPROCESS_SSL_VERIFY_SERVER_CERT libprocess verifies nothing, and neither can
// an executor, which may have no certificate to verify by.
func (e *reader) tls(endpoint string) *tls.Config {
	on := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			value := strings.ToLower(e.values[name])
			return value == "1" || value == "true" || value == "yes"
		})
	}
	if !on("LIBPROCESS_SSL_ENABLED") {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	config.InsecureSkipVerify = !on("LIBPROCESS_SSL_VERIFY_SERVER_CERT", "LIBPROCESS_SSL_VERIFY_CERT", "LIBPROCESS_SSL_REQUIRE_CERT")
	if host, _, err := net.SplitHostPort(endpoint); err == nil {
		config.ServerName = host
	}
	config.RootCAs = e.authorities()
	cert, key := e.values["LIBPROCESS_SSL_CERT_FILE"], e.values["LIBPROCESS_SSL_KEY_FILE"]
	if cert != "" && key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			e.problem("cannot read LIBPROCESS_SSL_CERT_FILE and LIBPROCESS_SSL_KEY_FILE: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return libprocess.Client(config)
}

// authorities reads those whom libprocess believes about certificates, or
// returns nil for those of the machine. In a directory of them, other files lie
// as well.
func (e *reader) authorities() *x509.CertPool {
	file, dir := e.values["LIBPROCESS_SSL_CA_FILE"], e.values["LIBPROCESS_SSL_CA_DIR"]
	if file == "" && dir == "" {
		return nil
	}
	pool := x509.NewCertPool()
	if file != "" {
		pem, err := os.ReadFile(file)
		switch {
		case err != nil:
			e.problem("cannot read LIBPROCESS_SSL_CA_FILE: %w", err)
		case !pool.AppendCertsFromPEM(pem):
			e.problem("cannot read LIBPROCESS_SSL_CA_FILE: %s has no certificate", file)
		}
	}
	if dir != "" {
		entries, err := os.ReadDir(dir)
		if err != nil {
			e.problem("cannot read LIBPROCESS_SSL_CA_DIR: %w", err)
		}
		for _, entry := range entries {
			if pem, err := os.ReadFile(filepath.Join(dir, entry.Name())); err == nil {
				pool.AppendCertsFromPEM(pem)
			}
		}
	}
	return pool
}
