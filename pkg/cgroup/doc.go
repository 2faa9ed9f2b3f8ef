// Package cgroup makes, limits, watches, empties and removes Linux control
// groups, with one vocabulary over cgroup v1 and v2.
//
// Three layers, each usable without the next:
//
//   - What the machine has: [ParseHost] and [ParseMembership] turn
//     /proc/<pid>/mountinfo and /proc/<pid>/cgroup into a [Host] and the cgroups
//     that a process is in. [Values] turns an OCI runtime-spec LinuxResources
//     into the files to write and their contents, and for devices on v2 into an
//     eBPF program. All of these are pure.
//   - A [Group]: one cgroup, which on v1 is a directory in each of several
//     hierarchies and on v2 a single directory. It is created, entered, limited,
//     measured, killed and removed as one thing.
//   - A [Container]: the cgroup that a Mesos agent gave to an executor, and the
//     only place below which the executor may make cgroups for its tasks.
//
// # What it must never do
//
// A Group writes no file outside its own directories, and a Container none of
// the agent's own. There are two exceptions, both to keep limits whole: on v2 a
// Container adds children in the one shape that an agent can recover from, and on
// v1 before kernel 5.11 memory.use_hierarchy is turned on above the first child,
// which would escape from the container's limit otherwise. On v1 nothing is made
// in a hierarchy in which the agent did not place the executor, because nobody
// would clean up there.
//
// # The library beneath
//
// github.com/containerd/cgroups/v3 parses /proc/<pid>/cgroup. Its conversion of
// limits, its attaching, freezing, killing and deletion are not used; where this
// package does one of these itself, a comment says why. Its package for v2, whose
// statistics would do, takes a library for eBPF along, which is a megabyte of an
// executor that every agent fetches.
package cgroup
