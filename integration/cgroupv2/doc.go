// Package cgroupv2 runs tests and programs of this module on a kernel with
// cgroup v2, whatever this machine's own cgroups are. It holds no copies of
// tests: what is run there are the packages' own, which look for themselves
// which cgroups they meet.
package cgroupv2
