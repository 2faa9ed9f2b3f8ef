// Package spawn makes processes that make a list of system calls, prepared
// beforehand, and then become a program.
//
// The standard library starts programs well, but it can set neither resource limits,
// nor the file mode mask or no_new_privs, and it cannot have a process move itself
// into its cgroups. Others start their own binary once more for that, which takes a Go
// runtime several milliseconds of processor time and megabytes of memory for each
// process. Here the child makes a few dozen system calls and needs nothing: it is a
// child of vfork(2), which shares the parent's memory until it executes its program,
// and the thread that has made it waits for that.
//
// # What that means
//
// A signal's handler would run in the parent's memory, on the parent's stack. So
// the child is born with all signals blocked, and gives all of them their default
// action before it lets them through. The thread waits in the kernel, as in any
// system call that takes its time, and nobody else waits with it: a
// directory or a file that hangs holds up this child and nothing else. When the
// parent is killed before the program runs, the child goes on to run it.
//
// The child shares the parent's table of descriptors as well, and not a copy, which
// would take the longer the more the parent has open. Its first system call is to take
// a copy of the lowest ones, up to the last that it needs.
//
// A process that is no vfork's child may not change its oom_score_adj alone while it
// shares its memory, and the kernel, when it is out of memory, would kill whoever
// shares the memory of the one that it chooses. It never chooses a vfork's child; but
// one that cannot be chosen, in a cgroup with too little memory for it, could be
// stuck there. Where that can come up the child must be given a copy of the memory
// ([Options].Apart), which costs a fraction of a millisecond.
//
// # What it must never do
//
// The child never runs Go: what it does is a list of system calls, prepared in
// memory that is the child's alone, and a few instructions of assembly that
// perform them. So it allocates nothing, takes no lock, needs no stack, and
// cannot do anything to the memory but what is on the list. There is such
// assembly for amd64 and arm64.
package spawn
