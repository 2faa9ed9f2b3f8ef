package spawn

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Capabilities are sets of bits, by the kernel's numbers.
type Capabilities struct {
	Bounding, Effective, Permitted, Inheritable, Ambient uint64
}

// View is what a program sees of the machine that others do not. It takes
// privileges; without them Start fails with EPERM.
type View struct {
	// Namespaces are those of its own: unix.CLONE_NEWPID, CLONE_NEWNS,
	// CLONE_NEWIPC and CLONE_NEWUTS. With CLONE_NEWPID it is number 1 there, and
	// the kernel lets it ignore signals that it has no handler for, but for those
	// that cannot be caught.
	Namespaces uintptr
	// ReadonlyRoot leaves it only Dir and the mounts to write to. It takes
	// CLONE_NEWNS, and Linux 5.12.
	ReadonlyRoot bool
	// Readonly are mount points that are read-only for it, before Mounts are made.
	// They take CLONE_NEWNS, and Linux 5.12.
	Readonly []string
	// Mounts are of tmpfs, and take CLONE_NEWNS.
	Mounts []Mount
}

// Mount is an empty file system in memory.
type Mount struct {
	Target string
	Flags  uintptr
	Data   string
}

// view makes the namespaces that a process can make for itself, and arranges the
// mounts in them.
func (s *script) view(v View, dir string) error {
	if own := v.Namespaces &^ unix.CLONE_NEWPID; own != 0 {
		s.add(StepNamespaces, 0, ruleMust, unix.SYS_UNSHARE, own)
	}
	if v.Namespaces&unix.CLONE_NEWNS == 0 {
		return nil
	}
	all := append([]string{"/", dir, "tmpfs", "proc", "/proc"}, v.Readonly...)
	for _, m := range v.Mounts {
		all = append(all, m.Target, m.Data)
	}
	at := map[string]uintptr{}
	for _, text := range all {
		p, err := syscall.BytePtrFromString(text)
		if err != nil {
			return fmt.Errorf("cannot use the mount %q: %w", text, err)
		}
		s.keep = append(s.keep, p)
		at[text] = address(p)
	}
	// What the machine unmounts goes from here as well; nothing goes back.
	s.add(StepNamespaces, 0, ruleMust, unix.SYS_MOUNT, 0, at["/"], 0, unix.MS_REC|unix.MS_SLAVE)
	const size = 32 // MOUNT_ATTR_SIZE_VER0
	change := &[2]unix.MountAttr{{Attr_set: unix.MOUNT_ATTR_RDONLY}, {Attr_clr: unix.MOUNT_ATTR_RDONLY}}
	s.keep = append(s.keep, change)
	if v.ReadonlyRoot {
		s.add(StepReadonly, 0, ruleMust, unix.SYS_MOUNT, at[dir], at[dir], 0, unix.MS_BIND)
		s.add(StepReadonly, 0, ruleMust, unix.SYS_MOUNT_SETATTR, here, at["/"], unix.AT_RECURSIVE, address(&change[0]), size)
		s.add(StepReadonly, 0, ruleMust, unix.SYS_MOUNT_SETATTR, here, at[dir], 0, address(&change[1]), size)
	}
	for _, point := range v.Readonly {
		s.add(StepReadonly, 0, ruleMust, unix.SYS_MOUNT_SETATTR, here, at[point], 0, address(&change[0]), size)
	}
	for i, m := range v.Mounts {
		s.add(StepMount, i, ruleMust, unix.SYS_MOUNT, at["tmpfs"], at[m.Target], at["tmpfs"], m.Flags, at[m.Data])
	}
	if v.Namespaces&unix.CLONE_NEWPID != 0 {
		s.add(StepNamespaces, 0, ruleMust, unix.SYS_MOUNT, at["proc"], at["/proc"], at["proc"], unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC)
	}
	return nil
}

// bound takes capabilities from what any program can have from here on. It takes
// one of them itself, and comes before the change of the user.
func (s *script) bound(c *Capabilities) {
	if c == nil {
		return
	}
	for n := uintptr(0); n < 64; n++ {
		has, _, errno := syscall.RawSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_READ, n, 0)
		if errno != 0 {
			break // the kernel has no more
		}
		if has == 1 && c.Bounding&(1<<n) == 0 {
			s.add(StepCapabilities, 0, ruleMust, unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, n)
		}
	}
	// A change from root to another user would take all.
	s.add(StepCapabilities, 0, ruleMust, unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
}

// empower gives the process its other sets.
func (s *script) empower(c *Capabilities) {
	if c == nil {
		return
	}
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := new([2]unix.CapUserData)
	for i := range data {
		shift := 32 * i
		data[i] = unix.CapUserData{Effective: uint32(c.Effective >> shift), Permitted: uint32(c.Permitted >> shift), Inheritable: uint32(c.Inheritable >> shift)}
	}
	s.keep = append(s.keep, header, data)
	s.add(StepCapabilities, 0, ruleMust, unix.SYS_CAPSET, address(header), address(&data[0]))
	// Linux before 4.3 has no such set, and refuses to empty it.
	s.add(StepCapabilities, 0, ruleAny, unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
	for n := uintptr(0); n < 64; n++ {
		if c.Ambient&(1<<n) != 0 {
			s.add(StepCapabilities, 0, ruleMust, unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, n)
		}
	}
}
