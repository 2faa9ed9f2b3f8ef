package master

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// metrics counts what /metrics/snapshot shows.
type metrics struct {
	messages                                 map[string]int // calls and messages received, by name
	states                                   map[mesos.TaskState]int
	registrations, reregistrations           int
	validStatusUpdates, invalidStatusUpdates int
}

func (m *metrics) init() {
	m.messages = make(map[string]int)
	m.states = make(map[mesos.TaskState]int)
}
