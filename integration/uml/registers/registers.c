// ptrace(2) for a kernel that is a program, on a processor with more registers than
// that kernel has room for (see package uml). Linux wants all of them given back
// (PTRACE_SETREGSET of NT_X86_XSTATE), so that what the kernel does not know is kept
// as it is.

#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { peekText = 1, peekUser = 3, getRegset = 0x4204, setRegset = 0x4205 };

long ptrace(int request, ...) {
	va_list more;
	va_start(more, request);
	long pid = va_arg(more, long), address = va_arg(more, long), data = va_arg(more, long);
	va_end(more);
	if ((request == getRegset || request == setRegset) && address == NT_X86_XSTATE) {
		static __thread char all[32 << 10];
		struct iovec *known = (struct iovec *)data, whole = {all, sizeof all};
		long failed = syscall(SYS_ptrace, getRegset, pid, address, &whole);
		if (failed)
			return failed;
		size_t n = known->iov_len < whole.iov_len ? known->iov_len : whole.iov_len;
		if (request == getRegset) {
			memcpy(known->iov_base, all, n);
			return 0;
		}
		memcpy(all, known->iov_base, n);
		return syscall(SYS_ptrace, setRegset, pid, address, &whole);
	}
	if (request >= peekText && request <= peekUser) {
		// The C library returns the word where the kernel stores it.
		long word, failed = syscall(SYS_ptrace, request, pid, address, &word);
		if (failed)
			return failed;
		errno = 0;
		return word;
	}
	return syscall(SYS_ptrace, request, pid, address, data);
}
