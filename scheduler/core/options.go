package core

import (
	"errors"
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Config is what a Core is told once. Every field but Roles and Executor has a
// default, which its zero value stands for.
type Config struct {
	// Roles are the roles that the framework subscribes with. Offers for others
	// are declined.
	Roles []string
	// Artifacts is where agents fetch what people uploaded beside their jobs,
	// such as http://10.0.0.7:7070/artifacts/.
	Artifacts string
	// Executor is the program that carries every group.
	Executor Executor
	// Principal is the framework's, which reservations and volumes have to name;
	// empty when it has none.
	Principal string
	// AgentsTLS says that agents speak TLS. A master says http of all of them.
	AgentsTLS bool

	// Seed makes the jitter. Two cores with the same seed, configuration,
	// snapshot and inputs give the same effects.
	Seed uint64

	// Refuse is for how long an agent whose offer is not used is not offered
	// again, unless offers are revived or more becomes free on it. Each call
	// gets up to a tenth more, so that frameworks do not move in step.
	// Default: 1h.
	Refuse time.Duration
	// ReviveInterval is the least time between two calls of REVIVE.
	// Default: 1s.
	ReviveInterval time.Duration
	// ReconcileInterval is the time between two reconciliations of all tasks.
	// Default: 10m.
	ReconcileInterval time.Duration
	// ReconcileBatch is how many tasks one call of RECONCILE names, and
	// ReconcilePace the time between two such calls where the first one is not
	// answered. Defaults: 1000 and 100ms.
	ReconcileBatch int
	ReconcilePace  time.Duration
	// AnswerTimeout is how long the master may take to answer for a task that
	// was launched or asked for, before it is asked again. It doubles with
	// every question, up to ReconcileInterval. Default: 30s.
	AnswerTimeout time.Duration
	// KillRetry is how long after the end of a task's grace period a kill that
	// brought no end is sent again. It doubles with every retry, up to 5m.
	// Default: 10s.
	KillRetry time.Duration
	// CallRetry is the wait before a failed call is made again. Default: 1s.
	CallRetry time.Duration
	// KeepAttempts is how many ended attempts of each instance are kept for
	// readers. Default: 3.
	KeepAttempts int
	// StrayTasks is what happens to tasks of this framework that run and that
	// no record knows. Default: KillStrays.
	StrayTasks StrayPolicy
}

// Executor describes the program that is sent to agents.
type Executor struct {
	// Command is what the agent's shell runs in the sandbox, such as
	// "exec ./tandem-executor". Required.
	Command string
	// URIs are fetched into the sandbox before, the first of them the program.
	URIs []mesos.CommandInfo_URI
	// SHA256 is that of the program, in hexadecimal digits. Without it running
	// executors are not replaced by the program.
	SHA256 string
	// User is the user that the executor runs as. Empty means the framework's.
	User string
	// Environment is added to what the agent sets.
	Environment map[string]string
	// Resources are those of jobs whose executor names none. Default: cpus 0.1,
	// mem 32, disk 16.
	Resources *tandemv1.Resources
}

// StrayPolicy is what happens to tasks of this framework that run and that no
// record knows, for instance after a store was lost.
type StrayPolicy int

// The policies.
const (
	// KillStrays ends them, for nobody asked for them.
	KillStrays StrayPolicy = iota
	// LeaveStrays leaves them running and says so.
	LeaveStrays
)

// Bounds of Mesos (src/master/validation.cpp).
const (
	minExecutorCPUs = 0.01
	minExecutorMem  = 32
)

func (c *Config) withDefaults() Config {
	d := *c
	def := func(v *time.Duration, to time.Duration) {
		if *v == 0 {
			*v = to
		}
	}
	def(&d.Refuse, time.Hour)
	def(&d.ReviveInterval, time.Second)
	def(&d.ReconcileInterval, 10*time.Minute)
	def(&d.ReconcilePace, 100*time.Millisecond)
	def(&d.AnswerTimeout, 30*time.Second)
	def(&d.KillRetry, 10*time.Second)
	def(&d.CallRetry, time.Second)
	if d.ReconcileBatch == 0 {
		d.ReconcileBatch = 1000
	}
	if d.KeepAttempts == 0 {
		d.KeepAttempts = 3
	}
	if d.Executor.Resources == nil {
		d.Executor.Resources = &tandemv1.Resources{Cpus: 0.1, Mem: 32, Disk: 16}
	}
	return d
}

// Validate says all that is wrong with the configuration, or returns nil.
func (c *Config) Validate() error {
	d := c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(d.Roles) == 0 {
		bad("no role is given")
	}
	if d.Executor.Command == "" {
		bad("the executor has no command")
	}
	if r := d.Executor.Resources; r.Cpus < minExecutorCPUs || r.Mem < minExecutorMem || r.Disk <= 0 {
		bad("the executor's resources (cpus %v, mem %v, disk %v) are too small: Mesos wants at least cpus %v, mem %v and some disk",
			r.Cpus, r.Mem, r.Disk, minExecutorCPUs, minExecutorMem)
	}
	for _, v := range []struct {
		name string
		d    time.Duration
	}{
		{"Refuse", d.Refuse}, {"ReviveInterval", d.ReviveInterval}, {"ReconcileInterval", d.ReconcileInterval},
		{"ReconcilePace", d.ReconcilePace}, {"AnswerTimeout", d.AnswerTimeout}, {"KillRetry", d.KillRetry},
		{"CallRetry", d.CallRetry},
	} {
		if v.d < 0 {
			bad("%s is negative: %s", v.name, v.d)
		}
	}
	if d.ReconcileBatch < 0 {
		bad("ReconcileBatch is negative: %d", d.ReconcileBatch)
	}
	if d.KeepAttempts < 0 {
		bad("KeepAttempts is negative: %d", d.KeepAttempts)
	}
	return errors.Join(errs...)
}
