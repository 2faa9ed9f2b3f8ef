// Package core decides. It holds the groups and tasks of one executor, the
// updates that its agent has not acknowledged, and every timer; for each input
// it says what is to be sent, started, signalled, killed and checked.
//
// It is pure: Step depends on the core's state, the given time and the input
// only, so that every race between an exit, a kill, a failing health check and
// a lost agent can be played as a script. It must never read a clock, draw a
// random number (the caller gives it UUIDs), do input or output, or start a
// goroutine; it imports none of net, os, sync and log.
//
// # What it promises
//
//   - Every task that it is told of ends with exactly one terminal update,
//     unless the executor itself is ended first.
//   - An update leaves the outbox only when the agent has acknowledged it; one
//     that is sent again keeps its UUID, and a task's updates keep their order.
//   - A task is among the unacknowledged tasks from the moment that its launch
//     is decoded until the first of its updates is acknowledged.
//   - After TASK_KILLING there is no TASK_RUNNING, after a terminal update
//     nothing.
//   - Whatever was started is waited for, and whatever was asked to end and
//     does not is killed.
//
// # The life of a task
//
//	queued ─> fetching ─> waiting ─> starting ─> running ─> ended
//
// A queued task waits for its turn to be begun: of a large group only a few
// are begun at once, so that the first is running long before the last is
// begun. A waiting task has all its files and waits for the tasks that its place
// in the group's life puts before it. TASK_STARTING is sent when a task has left
// the queue and does not run soon. A running task whose settings say so is resting
// when its workload has ended that should not have, and then starting once more:
// it stays TASK_RUNNING, healthy=false until it runs again. Any phase can go
// straight to ended, except starting: a start that is under way is waited for, and
// what it started is then killed.
//
// # The life of a group
//
// Its init tasks run one after the other, in the group's order; then its
// sidecars and mains are started together; when the last main has ended the
// sidecars are stopped; when everything has ended the poststop tasks run one
// after the other. When an essential task ends in any state but TASK_FINISHED,
// the group's inits and mains are killed, and the rest follows as above. A task
// without TaskSettings is an essential main: this is then exactly the policy of
// Mesos's own default executor.
//
// A scheduler that kills the mains gets its sidecars stopped and its poststop
// tasks run; one that kills every task gets every task killed at once.
package core
