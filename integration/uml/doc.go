// Package uml runs a program on a kernel of its own: Debian's user-mode-linux,
// a real Linux 6.1 that is an ordinary program here. It boots in about two
// seconds and has cgroup v2 and nothing else, as today's distributions have, so
// whatever this machine's own cgroups are, v2 can be tested with real limits.
//
// The guest sees this machine's files and may change none of them, but for one
// directory that the caller names. It has a /tmp, /dev, /proc and /run of its
// own, a loopback interface, one processor, and no other network.
//
// A run always ends: with the program's exit status, or with an error when the
// kernel panics, or when the context ends first. Nothing of it stays.
//
// It must never be more than a way to run something: what is tested, and what
// the tests expect, is the caller's.
package uml
