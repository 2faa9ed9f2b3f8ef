package spawn

import _ "unsafe" // for go:linkname

// The runtime keeps these two for whoever makes system calls by himself, as package
// syscall does. A thread between them is one that may take its time.

//go:linkname enterSyscall runtime.entersyscall
func enterSyscall()

//go:linkname exitSyscall runtime.exitsyscall
func exitSyscall()
