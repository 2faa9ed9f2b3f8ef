// Package resource is exact arithmetic on Mesos resources.
//
// Scalars are whole thousandths, as a real Mesos compares and sums them
// (src/common/values.cpp in its source), so that nothing is lost or gained by
// rounding. Two resources are of one kind, and can be added and subtracted,
// when they agree in name, type, allocation role, stack of reservations, disk,
// revocability and resource provider; persistent volumes and whole disks are
// indivisible, and shared volumes are counted.
//
// Values are immutable: every operation returns a new one, and the zero value
// is empty. The order of resources is the order in which they came, for it
// shows in the messages of a real Mesos; what becomes empty gives its place to
// the last one, as there.
//
// The package must never decide who gets what: it only computes.
package resource
