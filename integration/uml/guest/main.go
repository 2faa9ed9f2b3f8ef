// Guest is the first process of a guest: it sets the machine up, runs the
// job's program, reaps everything, writes down how the program ended, and
// switches the machine off.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/integration/uml"
)

const cgroups = "/sys/fs/cgroup"

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: this is the first process of a guest, started by its kernel only")
		os.Exit(2)
	}
	var job uml.Job
	data, err := os.ReadFile(os.Getenv(uml.JobVariable))
	if err == nil {
		err = json.Unmarshal(data, &job)
	}
	if job.Limit > 0 {
		time.AfterFunc(job.Limit, func() { _ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) })
	}
	var end uml.End
	if err == nil {
		end, err = perform(job)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		end.Failure = err.Error()
	}
	if err := record(filepath.Join(job.Scratch, uml.EndFile), end); err != nil {
		fmt.Fprintln(os.Stderr, "guest: cannot write down how the program ended:", err)
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func perform(job uml.Job) (uml.End, error) {
	if err := setUp(job); err != nil {
		return uml.End{}, err
	}
	out, err := openOutput()
	if err != nil {
		return uml.End{}, err
	}
	before := subgroups()
	end := uml.End{EnabledBefore: enabled()}
	pid, err := start(job, out.write)
	if err != nil {
		return end, err
	}
	end.Status, err = wait(pid)
	if err != nil {
		return end, err
	}
	end.EnabledAfter = enabled()
	end.Processes = processes()
	for _, g := range subgroups() {
		if !slices.Contains(before, g) {
			end.Cgroups = append(end.Cgroups, g)
		}
	}
	return end, out.flush()
}

func start(job uml.Job, out int) (int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir:   job.Dir,
		Env:   job.Env,
		Files: []uintptr{null.Fd(), uintptr(out), uintptr(out)},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	if job.Systemd {
		scope, err := unix.Open(filepath.Join(cgroups, session), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, fmt.Errorf("cannot open the session's cgroup: %w", err)
		}
		defer unix.Close(scope)
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, scope
	}
	pid, err := syscall.ForkExec(job.Command[0], job.Command, attr)
	if err != nil {
		return 0, fmt.Errorf("cannot start: %w", err)
	}
	return pid, nil
}

// wait reaps every process that ends, as a first process must, until the one
// has; and then all those that have ended as well by then.
func wait(pid int) (int, error) {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("cannot wait for the program: %w", err)
		case got == pid:
			for {
				if n, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); n <= 0 && !errors.Is(err, unix.EINTR) {
					break
				}
			}
			if ws.Signaled() {
				return 128 + int(ws.Signal()), nil
			}
			return ws.ExitStatus(), nil
		}
	}
}

// processes describes all that runs beside the first process and the kernel.
func processes() []string {
	var all []string
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == 1 {
			continue
		}
		// A thread of the kernel has no command line; neither has a zombie.
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && len(line) > 0 {
			all = append(all, e.Name()+" "+strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " ")))
		}
	}
	return all
}

func subgroups() []string {
	var all []string
	_ = filepath.WalkDir(cgroups, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != cgroups {
			all = append(all, strings.TrimPrefix(path, cgroups))
		}
		return nil
	})
	return all
}

func enabled() string {
	data, _ := os.ReadFile(filepath.Join(cgroups, "cgroup.subtree_control"))
	return strings.TrimSpace(string(data))
}

func record(file string, end uml.End) error {
	data, err := json.Marshal(end)
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
