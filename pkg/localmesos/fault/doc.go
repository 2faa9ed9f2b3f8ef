// Package fault plays what can go wrong between the parts of a Mesos: messages
// between master and agents that are lost, late, doubled or overtaken
// ([Network]), and connections that break or are slow ([Connections]).
//
// The package must never decide by itself that something goes wrong: without a
// rule everything arrives, at once, once, and in order.
package fault
