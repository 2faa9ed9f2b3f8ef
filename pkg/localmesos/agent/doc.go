// Package agent is a Mesos agent that lives in the calling process: it speaks
// the real v1 executor API and the real operator endpoints over HTTP, fetches
// and starts real executors, and limits them with real cgroups. It has no
// opinion on who its master is: that is a [link.Master].
//
//	       link.Master                        link.Agent
//	            ▲                                 │
//	            │ effects                 inputs  ▼
//	┌───────────┴─────────────────────────────────────────┐
//	│ loop   one goroutine, owns core.Core                 │
//	└──┬──────────────────────────────────▲──────────────▲─┘
//	   │ Launch, Limit, Destroy           │ exits        │ calls
//	   ▼                                  │              │
//	worker  one per container ────────────┘      http  executor API, operator
//	   │ sandbox, fetch, container                     endpoints, files
//
// Everything that decides is in core, which is pure; every other part carries
// out what it is told, and reports.
//
// The executors that come with Mesos are played within the agent (native): only
// the processes of their tasks are real, and one that stands for the executor's.
//
// An agent with [Fake] in its options starts no process at all.
//
// # What differs from a real agent
//
// Containers have no pid or mount namespace, and no image.
//
// The package must never know what a scheduler or an executor is for.
package agent
