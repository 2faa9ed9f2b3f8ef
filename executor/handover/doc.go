// Package handover is what an executor passes on to another program that takes
// its place by execve(2), in the same process: a file in memory, whose number is
// an argument of the new program, and the descriptors that the file speaks of.
//
// # The format
//
// The file is JSON of a [State]; binary parts of it are in base64, as
// encoding/json writes them. Times are durations: those of [core.State] from the
// moment at which the file was written, which is Clock on CLOCK_MONOTONIC of the
// machine, and a workload's Age up to that moment. Descriptors are numbers; a
// program has exactly those open that [State.Descriptors] lists, beside 0, 1, 2
// and the file itself.
//
// The number [Format] grows when a field is added that must be understood, or
// changes its meaning; fields that may be passed over do not change it. A program
// reads the formats that [Reads] says. The program that is to be replaced asks the
// new one before it lets it take its place, by running it with -can-adopt FORMAT:
// first with nothing to read on standard input, then with the file itself.
//
// # What it must never do
//
// It must never decide what the state means; that is for whom it belongs to. It
// never writes to a disk: the state holds what tasks keep secret.
package handover
