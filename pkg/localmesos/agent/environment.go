package agent

import (
	"slices"
	"strconv"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// environment is what an executor is started with, sorted by name: what a real
// agent gives (executorEnvironment in src/slave/slave.cpp), then the command's
// own variables. Nothing of the agent's own environment is handed on.
func (a *Agent) environment(l core.Launch, dir string) []string {
	grace := a.options.ExecutorShutdownGracePeriod
	if p := l.Executor.ShutdownGracePeriod; p != nil {
		grace = time.Duration(p.Nanoseconds)
	}
	address := a.Address()
	vars := map[string]string{
		"LIBPROCESS_IP":                        a.ip,
		"LIBPROCESS_PORT":                      "0",
		"MESOS_AGENT_ENDPOINT":                 address,
		"MESOS_CHECKPOINT":                     strconv.Itoa(btoi(l.Checkpoint)),
		"MESOS_DIRECTORY":                      dir,
		"MESOS_EXECUTOR_ID":                    l.Executor.ExecutorID.Value,
		"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": core.FormatDuration(grace),
		"MESOS_FRAMEWORK_ID":                   l.Framework.ID.Value,
		"MESOS_HTTP_COMMAND_EXECUTOR":          "0",
		"MESOS_SANDBOX":                        dir,
		"MESOS_SLAVE_ID":                       l.Agent.Value,
		"MESOS_SLAVE_PID":                      a.pid(),
		"PATH":                                 defaultPath,
	}
	if path := a.options.ExecutorDomainSocket; path != "" {
		vars["MESOS_DOMAIN_SOCKET"] = path
	}
	if len(a.options.ExecutorSecret) > 0 {
		vars["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"] = a.token(l)
	}
	if l.Checkpoint {
		vars["MESOS_RECOVERY_TIMEOUT"] = core.FormatDuration(a.options.RecoveryTimeout)
		vars["MESOS_SUBSCRIPTION_BACKOFF_MAX"] = core.FormatDuration(a.options.ExecutorReregistrationTimeout)
	}
	if e := l.Executor.Command.GetEnvironment(); e != nil {
		for _, v := range e.Variables {
			if v.GetType() == mesos.Environment_Variable_VALUE {
				vars[v.Name] = v.GetValue()
			}
		}
	}
	env := make([]string, 0, len(vars))
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// defaultPath is where programs are looked for.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
