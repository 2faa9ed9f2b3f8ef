package spawn

import _ "unsafe" // for go:linkname

// The runtime keeps these two for whoever forks by himself. They block all
// signals and let them through again, and make a growing stack a crash meanwhile.

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()
