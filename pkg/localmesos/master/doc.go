// Package master is an embedded Mesos master: it speaks the v1 scheduler API
// and the operator endpoints of a real one over real HTTP, and leads agents
// that it reaches through package link.
//
//	schedulers, operators ── HTTP ──> handlers ── commands ──> loop ── owns ──> core
//	                         <── event streams ── queues <──────────────────────┤
//	agents ── link.Master ── commands ──> loop          core ── link.Agent ──> agents
//
// One goroutine, the loop, owns all state (type core) and runs one command at
// a time: a call from a handler, a message from an agent, a timer. Handlers
// wait for the command's answer; agents and timers do not. What the core sends
// to frameworks and agents goes into queues, so that it never waits for
// anybody.
//
// What follows the wire of a real master is told where it is done; the rules
// come from Mesos's source (src/master) and from what a real 1.12 answered. A
// master is always the leader. Its registry (package registry) is in memory, or in
// a file, which a later process reads: it is written once after the commands that
// the loop takes together, before those are answered that have changed it.
//
// The package must never know who its frameworks are: nothing here may depend
// on a particular scheduler or executor.
package master
