// Package localmesos is a Mesos in the calling process: one master and any
// number of agents that speak the real HTTP APIs on loopback addresses, start
// real executors, and limit them with real cgroups where the machine allows
// it. It is up in milliseconds and leaves nothing behind.
//
// It is for whoever writes a Mesos framework, in any language, and wants to
// test it against something that answers as Mesos does:
//
//	cluster, err := localmesos.Start(ctx, localmesos.Options{Agents: 3})
//	if err != nil { ... }
//	defer cluster.Stop(context.Background())
//	// now point your scheduler at cluster.URL() + "/api/v1/scheduler"
//
// What is told about Mesos 1.11 holds here; docs/localmesos.md lists the
// differences. Faults can be played: an agent can [agent.Agent.Crash] and
// Recover, or Unregister; [Cluster.Network] loses, delays and doubles messages,
// [Cluster.MasterConnections] break, and [Cluster.Advance] makes long waits short.
// Agents that run nothing ([agent.Fake]) come by the thousand.
//
// # What it must never do
//
// It knows of no framework, not even of the one in whose repository it lives:
// what passes here has to pass on a real Mesos.
package localmesos
