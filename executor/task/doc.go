// Package task is what one task of Mesos is on this machine: a directory in
// the sandbox, files, a user, an environment and limits; and the workload that
// is run with them.
//
// The translations (environment, limits, what to fetch) are pure; [Tasks]
// performs them. It decides nothing: package core does.
//
// # The sandbox
//
//	$MESOS_SANDBOX/stdout, stderr            the executor's own
//	$MESOS_SANDBOX/tasks/<task ID>/          the task's working directory, its user's
//	$MESOS_SANDBOX/tasks/<task ID>/stdout, stderr
//	$MESOS_SANDBOX/runtime/                  an OCI runtime's, while it starts a task
//	$MESOS_SANDBOX/cache/                    copies of fetched files, for later tasks
package task
