// Package spawn makes processes that are born ready to become a program, wait
// until they are told to, and then do no more than what they were told before
// they execute it.
//
// The standard library starts programs well, but it can neither hold a process
// between its birth and its program, which is when it is moved into a cgroup and
// limited, nor set resource limits, the file mode mask or no_new_privs. Others
// start their own binary once more for that, which takes a Go runtime several
// milliseconds of processor time and megabytes of memory for each process. Here
// the child makes a few dozen system calls, prepared beforehand, and needs
// nothing: it shares the parent's memory until it executes its program, as a
// child of vfork(2) does, except that the parent goes on meanwhile.
//
// # What that means
//
// A signal's handler would run in the parent's memory, on the parent's stack. So
// the child is born with all signals blocked, and gives all of them their default
// action before it lets them through. Nobody waits for it but who asked for it: a
// directory or a file that hangs holds up this child and nothing else. When the
// parent ends, the child finds its socket closed, and ends.
//
// Two things of a process belong to its memory. The kernel, when it is out of
// memory and chooses the child, kills whoever shares its memory too; and a
// changed oom_score_adj is one for all that share. Where either can come up the
// child must be given a copy ([Options].Apart), which costs a fraction of a
// millisecond.
//
// # What it must never do
//
// The child never runs Go: what it does is a list of system calls, prepared in
// memory that is the child's alone, and a few instructions of assembly that
// perform them. So it allocates nothing, takes no lock, needs no stack, and
// cannot do anything to the memory but what is on the list. There is such
// assembly for amd64 and arm64.
package spawn
