// Package native plays the executors that come with Mesos, without a program of
// theirs: the command executor, which runs one task that brings no executor, and
// the default executor, which runs task groups in nested containers.
//
// An executor here is a state machine. What happens is a call of its methods;
// what it does are calls of its [World]. Both take place in one goroutine, the
// agent's, and none of them waits. The states, the texts and their order are
// those of src/launcher/executor.cpp, src/launcher/default_executor.cpp and
// src/checks in the Mesos sources; the lines of its log are theirs, too, with the
// places in the source that they come from.
//
// The package must never read a clock, start a process or a goroutine, or know
// how an agent decides.
package native
