// Package container runs one executor in a container of its own: a process and
// all that comes of it, in a cgroup laid out as a real agent lays it out, with
// limits that can be changed, until the whole is destroyed and removed.
//
// On cgroup v1 the container is the directory <root>/<container> in the cpu,
// cpuacct, memory, pids and freezer hierarchies; in the others the process
// stays where the agent is. On v2 it is <root>/<container>, which has the
// limits, with the process in its child leaf. Without cgroups, as under a real
// agent's posix isolators, the container is the process's session, and there
// are no limits.
//
// A real agent puts a process of its own (mesos-containerizer launch) between
// itself and the executor, usually in a pid namespace. There is none here; what
// can be seen from outside is the same: the wait status that is reported is the
// executor's, and nothing outlives the container.
//
// The package must never know of frameworks and tasks, and never write outside
// the cgroups that it made.
package container
