// Package conform replays what a real Mesos was recorded to answer, against
// localmesos, and says where the two differ.
//
// A recording is a scenario: the requests that a scheduler, executors and an
// operator made, in order, and every answer and event that they got. The player
// starts a cluster as the scenario's flags say, makes the same requests in the
// same order, each once everything recorded before it has arrived, and compares
// what comes with what came: status codes, headers, events and their order,
// states, reasons, sources, message texts, and times where something waits.
//
// Time is the recording's: a virtual clock that stands still but for the steps
// from one recorded line to the next. So a wait of a minute takes no time, and
// offers are made when they were made.
//
// What may differ between two runs of one and the same Mesos is named in one
// place, normal.go. Whatever else differs is a difference, listed with its
// reason in testdata/differences.txt or a failure of the test.
//
// The package must never know how localmesos works inside, only its options,
// and must never make a difference disappear that a framework could see.
package conform
