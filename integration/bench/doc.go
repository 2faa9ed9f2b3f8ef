// Package bench measures the executor against what nobody can do without. All
// sides of a comparison run in turns within one run, on the same machine at the
// same time, and what is reported is their ratio beside the times:
//
//   - the executor itself, its own process in a container of its own, driven over
//     HTTP by an agent API that does nothing but write down when things happened;
//   - the null executor, which speaks the same protocol, runs nothing, and is in a
//     container as well;
//   - the bare loop, a process that makes the same system calls for each task
//     and speaks no protocol.
//
// Where TANDEM_TEST_MASTER names a real Mesos, executor and null executor are
// compared there as well, through its master and agent.
//
// The workloads are two static programs of a few instructions each, so that
// nothing of what is measured is theirs. Where n tasks are measured, times are
// medians over the rounds; give `-benchtime 10x` for ten of them.
//
// Nothing here asserts a time.
package bench
