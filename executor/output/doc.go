// Package output is where what a workload writes to its standard output and
// error goes: one file that the workload writes by itself, or a bounded number
// of files of a bounded size that the executor writes for it.
//
// # Straight to the file
//
// [Open] gives a file that becomes the workload's own descriptor. Nothing of the
// executor stands between the two: it costs nothing, and goes on while the
// executor is stopped. The file grows without bound.
//
// # Rotated
//
// [Keeper.Open] gives a pipe, and writes what comes out of it to name, which it
// renames to name.1 when it is full, name.1 to name.2 and so on, as logrotate
// does for Mesos's own logger module. A new file is begun at the end of a line
// where one fits; the files one after the other, the oldest first, are what the
// workload wrote, byte for byte.
//
// A workload that writes faster than the disk takes it waits at its own pipe. All
// streams of an executor share a few buffers and as many threads, in turn. What
// the disk does not take, because it is full, is dropped and counted: the file
// says so where it is missing, and the end of the stream says how much it was.
// The workload never waits for room on a disk.
//
// # The executor's own log
//
// [Journal] stands before it, so that the executor does not wait for it either.
//
// # What it must never do
//
// It never follows a link and never opens anything but a regular file: the
// directory may belong to the workload's user. It never waits for a process that
// holds the pipe longer than the workload lives.
package output
