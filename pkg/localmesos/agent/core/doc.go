// Package core decides what an agent does: which executors run, what each is
// told, which status updates go to the master and when they are repeated.
//
// It is pure. Every event of the agent is one method of [Core]; what follows
// from it is a list of effects, in the order in which they have to happen, that
// [Core.Effects] hands out. Time is an argument, and identifiers come from the
// functions in [Config].
//
// The rules are those of a real agent (src/slave/slave.cpp and
// src/slave/task_status_update_manager.cpp in the Mesos sources); message texts
// travel on the wire and are exact.
//
// The package must never read a clock, start a goroutine, or know of sockets,
// processes and cgroups.
package core
