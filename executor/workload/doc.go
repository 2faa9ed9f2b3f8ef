// Package workload runs one program of a task: it starts the process tree in
// a cgroup of its own, watches it, ends it, and cleans up after it.
//
// A [Launcher] starts workloads; each is a [Process], whose [Exit] comes exactly
// once, when nothing of the workload is left: no process, no cgroup.
//
// # The way into the cgroup
//
// The first instruction of a workload already runs in its cgroup, under its
// limits. These are set first. The process that is to become it (see package spawn) is
// born into the cgroup (v2) or moves itself there (v1), takes on the resource limits,
// the user and the rest, and executes the program. Whatever goes wrong on that way is
// an error of [Launcher.Start], never an exit status. The executor itself never enters
// a workload's cgroup.
//
// # Children
//
// Exits are noticed through pidfds (see package ready), so that a workload costs
// neither a thread nor a goroutine. The process is made a subreaper: what a workload
// leaves behind becomes a child of the executor and is reaped here. Children that other
// code of the program has started are left to that code, as long as they stay in the
// program's own session. Where there are no cgroups, the processes of a workload
// are those of its session, and those adopted ones that have its mark
// in their environment; the kernel ends the first of them with the executor, and a guard
// (see package guard) what those have started.
//
// # What it must never do
//
// It never passes the executor's environment on, never lets a workload inherit
// a file descriptor but 0, 1 and 2, never touches another workload's processes,
// and never reports an exit while the workload's cgroup still counts against the
// container.
package workload
