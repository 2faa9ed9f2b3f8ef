// Package confine holds what a workload's process may be confined to beside its
// cgroup: resource limits, capabilities, namespaces, a root that it cannot write
// to. The shapes and names are those of the OCI runtime specification, of which
// it has the part that a program can have with and without a root file system of
// its own; job files, task settings and the executor share it.
//
// It only describes and checks. It must never make a system call: what a kernel
// has, and whether the executor may, is found out where the process is made.
package confine
