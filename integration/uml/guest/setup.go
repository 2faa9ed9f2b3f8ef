package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/integration/uml"
)

const (
	initScope = "init.scope"
	session   = "user.slice/session-1.scope"
)

// setUp makes a machine of what the kernel has booted into: this machine's
// files, all read only.
func setUp(job uml.Job) error {
	for _, m := range []struct{ kind, at, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""},
		{"devpts", "/dev/pts", ""},
		{"tmpfs", "/dev/shm", "mode=1777"},
		{"tmpfs", "/run", "mode=755"},
		{"tmpfs", "/tmp", "mode=1777"},
		{"tmpfs", "/var/tmp", "mode=1777"},
		{"cgroup2", cgroups, cgroupOptions(job)},
	} {
		if err := mount(m.kind, m.at, m.options, 0); err != nil {
			return err
		}
	}
	for _, dir := range job.Visible {
		if err := mount("hostfs", dir, dir, unix.MS_RDONLY); err != nil {
			return err
		}
	}
	if err := mount("hostfs", job.Scratch, job.Scratch, 0); err != nil {
		return err
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(target, filepath.Join("/dev", name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if err := unix.Sethostname([]byte("guest")); err != nil {
		return fmt.Errorf("cannot name the machine: %w", err)
	}
	if err := loopback(); err != nil {
		return fmt.Errorf("cannot bring the loopback interface up: %w", err)
	}
	if job.Systemd {
		return systemd()
	}
	return nil
}

func mount(kind, at, options string, flags uintptr) error {
	// It is there, or this is a file system that takes it.
	_ = os.MkdirAll(at, 0o755)
	err := unix.Mount(kind, at, kind, flags, options)
	if kind == "devtmpfs" && errors.Is(err, unix.EBUSY) {
		return nil // the kernel did it by itself
	}
	if err != nil {
		return fmt.Errorf("cannot mount %s at %s: %w", kind, at, err)
	}
	return nil
}

func cgroupOptions(job uml.Job) string {
	if job.LocalEvents {
		return "memory_localevents"
	}
	return ""
}

func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request); err != nil {
		return err
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// systemd makes what systemd makes at boot.
func systemd() error {
	for _, scope := range []string{initScope, session} {
		if err := os.MkdirAll(filepath.Join(cgroups, scope), 0o755); err != nil {
			return fmt.Errorf("cannot make the cgroups of systemd: %w", err)
		}
	}
	err := os.WriteFile(filepath.Join(cgroups, initScope, "cgroup.procs"), []byte("1"), 0)
	if err != nil {
		return fmt.Errorf("cannot move into %s: %w", initScope, err)
	}
	available, err := os.ReadFile(filepath.Join(cgroups, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("cannot read the controllers: %w", err)
	}
	enable := "+" + strings.Join(strings.Fields(string(available)), " +")
	if err := os.WriteFile(filepath.Join(cgroups, "cgroup.subtree_control"), []byte(enable), 0); err != nil {
		return fmt.Errorf("cannot enable the controllers: %w", err)
	}
	return nil
}
