package cgroup

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The library for eBPF, github.com/cilium/ebpf, is not used for these two system
// calls: it would be a megabyte of an executor that every agent fetches.

// setDevices holds the group to rules about devices by a program of its own. The
// programs of the cgroups above are asked as well, so that it can have no more
// than they allow. The program goes with the cgroup.
func (g *Group) setDevices(rules []specs.LinuxDeviceCgroup) error {
	program, err := loadDeviceProgram(deviceProgram(rules))
	if err != nil {
		return g.refusedProgram("load", err)
	}
	defer unix.Close(program)
	dir, err := unix.Open(g.dirs[0].Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open cgroup %s: %w", g.name, err)
	}
	defer unix.Close(dir)
	if err := attachDeviceProgram(dir, program); err != nil {
		return g.refusedProgram("attach", err)
	}
	return nil
}

// refusedProgram tells a machine on which there can be no such program from one
// that does not take this one.
func (g *Group) refusedProgram(verb string, err error) error {
	var why string
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		why = "the kernel has no eBPF programs for cgroups (CONFIG_CGROUP_BPF)"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		why = fmt.Sprintf("the kernel does not let this process %s the eBPF program that it takes", verb)
	default:
		return fmt.Errorf("cannot %s the program about devices for cgroup %s: %w", verb, g.name, err)
	}
	return &UnsupportedError{Field: "devices", Version: V2, Reason: fmt.Sprintf("%s: %v", why, err)}
}

// loadDeviceProgram has the kernel check a program, and returns its descriptor.
func loadDeviceProgram(program []instruction) (int, error) {
	license := [...]byte{0} // of those who call functions of the kernel, which this does not
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(&program[0])
	pins.Pin(&license[0])
	// The beginning of union bpf_attr, as BPF_PROG_LOAD reads it.
	attributes := struct {
		kind, count           uint32
		instructions, license uint64
		logLevel, logSize     uint32
		log                   uint64
		kernelVersion, flags  uint32
	}{
		kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(program)),
		instructions: address(unsafe.Pointer(&program[0])), license: address(unsafe.Pointer(&license[0])),
	}
	return bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attributes), unsafe.Sizeof(attributes))
}

// attachDeviceProgram has the kernel ask a program about the processes of a cgroup.
// The flag is Mesos's own, too; without it the kernel would refuse a second program
// on the way up.
func attachDeviceProgram(dir, program int) error {
	attributes := struct{ target, program, kind, flags uint32 }{
		uint32(dir), uint32(program), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI,
	}
	_, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attributes), unsafe.Sizeof(attributes))
	return err
}

func address(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }

// bpf makes the system call, a few times where the kernel's verifier is interrupted
// by a signal, of which the Go runtime has many.
func bpf(command int, attributes unsafe.Pointer, size uintptr) (int, error) {
	const attempts = 10
	for attempt := 1; ; attempt++ {
		r, _, errno := syscall.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attributes), size)
		switch {
		case errno == 0:
			return int(r), nil
		case attempt == attempts || errno != unix.EAGAIN && errno != unix.EINTR:
			return -1, errno
		}
	}
}
