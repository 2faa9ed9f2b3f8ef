// Package sandbox makes the directories that executors run in, with a real
// agent's layout (src/slave/paths.hpp):
//
//	<work dir>/slaves/<agent>/frameworks/<framework>/executors/<executor>/runs/<container>
//
// where runs/latest is a link to the newest container. It also finds the user
// that an executor runs as.
//
// The package must never follow a path that an executor could have changed: it
// makes an executor's sandbox before the executor exists, and never leaves it
// when it makes one in it.
package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Path names one run of an executor.
type Path struct {
	WorkDir, Agent, Framework, Executor, Container string
}

func (p Path) runs() string {
	return filepath.Join(p.WorkDir, "slaves", p.Agent, "frameworks", p.Framework, "executors", p.Executor, "runs")
}

// Dir is the sandbox itself.
func (p Path) Dir() string { return filepath.Join(p.runs(), p.Container) }

// Latest is the link to the executor's newest sandbox.
func (p Path) Latest() string { return filepath.Join(p.runs(), "latest") }

// Virtual is the name that the files endpoints have for the newest sandbox,
// which does not tell the work directory.
func (p Path) Virtual() string {
	return filepath.Join("/frameworks", p.Framework, "executors", p.Executor, "runs", "latest")
}

// Remove removes a sandbox and, when it was the last, the directories of its
// executor and its framework.
func Remove(p Path) error {
	if err := os.RemoveAll(p.Dir()); err != nil {
		return fmt.Errorf("cannot remove a sandbox: %w", err)
	}
	if target, err := os.Readlink(p.Latest()); err == nil && target == p.Dir() {
		if err := os.Remove(p.Latest()); err != nil {
			return fmt.Errorf("cannot remove a sandbox: %w", err)
		}
	}
	executor := filepath.Dir(p.runs())
	for _, dir := range []string{p.runs(), executor, filepath.Dir(executor), filepath.Dir(filepath.Dir(executor))} {
		if os.Remove(dir) != nil {
			break // something else is in it
		}
	}
	return nil
}

// Owner is who a sandbox belongs to.
type Owner struct {
	Name     string
	UID, GID uint32
	// Credential is what to run as; nil if that is who the agent runs as.
	Credential *syscall.Credential
}

// Create makes the sandbox for a user and returns its owner. An empty name is
// the agent's own user. The error has the words of a real agent, which go into
// the tasks' updates.
func Create(p Path, name string) (Owner, error) {
	dir := p.Dir()
	fail := func(err error) (Owner, error) {
		//lint:ignore ST1005 the words of a real agent, which travel on the wire
		return Owner{}, fmt.Errorf("Failed to create executor directory '%s': %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(err)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		return fail(err)
	}
	owner, err := lookup(name)
	if err == nil && owner.Credential != nil {
		err = os.Chown(dir, int(owner.UID), int(owner.GID))
		if err != nil {
			//lint:ignore ST1005 the words of a real agent, which travel on the wire
			err = errors.New("Operation not permitted")
		}
	}
	if err != nil {
		_ = os.Remove(dir) // as far as possible, as by a real agent
		//lint:ignore ST1005 the words of a real agent, which travel on the wire
		return fail(fmt.Errorf("Failed to chown directory to '%s': %w", name, err))
	}
	if err := os.Remove(p.Latest()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	if err := os.Symlink(dir, p.Latest()); err != nil {
		return fail(err)
	}
	return owner, nil
}

// OwnerOf returns whom a sandbox belongs to that was made for a user.
func OwnerOf(name string) (Owner, error) { return lookup(name) }

func lookup(name string) (Owner, error) {
	own := Owner{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	if name == "" {
		return own, nil
	}
	own.Name = name
	u, err := user.Lookup(name)
	if err != nil {
		//lint:ignore ST1005 the words of a real agent, which travel on the wire
		return Owner{}, fmt.Errorf("No such user '%s'", name)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return Owner{}, fmt.Errorf("cannot read the user ID of %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return Owner{}, fmt.Errorf("cannot read the group ID of %s: %w", name, err)
	}
	if uint32(uid) == own.UID {
		return own, nil
	}
	owner := Owner{Name: name, UID: uint32(uid), GID: uint32(gid)}
	owner.Credential = &syscall.Credential{Uid: owner.UID, Gid: owner.GID, Groups: groups(u, owner.GID)}
	return owner, nil
}

// Nested makes the sandbox of a nested container within an executor's, with the
// link by which its task is found, for a user or, if name is empty, for the
// executor's. The error has the words of a real agent.
func Nested(executor string, container, task, name string, of Owner) (dir string, owner Owner, err error) {
	dir = filepath.Join(executor, "containers", container)
	fail := func(err error) (string, Owner, error) {
		//lint:ignore ST1005 the words of a real agent, which travel on the wire
		return "", Owner{}, fmt.Errorf("Failed to create nested sandbox '%s': %w", dir, err)
	}
	owner = of
	if name != "" {
		if owner, err = lookup(name); err != nil {
			//lint:ignore ST1005 the words of a real agent, which travel on the wire
			return fail(fmt.Errorf("Failed to chown directory to '%s': %w", name, err))
		}
	}
	root, err := os.OpenRoot(executor)
	if err != nil {
		return fail(err)
	}
	defer root.Close()
	inside := filepath.Join("containers", container)
	if err := root.MkdirAll("containers", 0o755); err != nil {
		return fail(err)
	}
	if err := root.Mkdir(inside, 0o750); err != nil {
		return fail(err)
	}
	if owner.Credential != nil {
		if err := root.Lchown(inside, int(owner.UID), int(owner.GID)); err != nil {
			return fail(err)
		}
	}
	if task == "" {
		return dir, owner, nil
	}
	if err := root.MkdirAll("tasks", 0o755); err != nil {
		return fail(err)
	}
	if err := root.Symlink(dir, filepath.Join("tasks", task)); err != nil && !errors.Is(err, fs.ErrExist) {
		return fail(err)
	}
	return dir, owner, nil
}

// Standalone makes the sandbox of a container that belongs to no executor, for a
// user or, if name is empty, for the agent's own. The error has the words of a
// real agent.
func Standalone(workDir, container, name string) (dir string, owner Owner, err error) {
	dir = filepath.Join(workDir, "containers", container)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", Owner{}, err
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		return "", Owner{}, err
	}
	owner, err = lookup(name)
	if err == nil && owner.Credential != nil {
		err = os.Chown(dir, int(owner.UID), int(owner.GID))
	}
	if err != nil {
		//lint:ignore ST1005 the words of a real agent, which travel on the wire
		return "", Owner{}, fmt.Errorf("Failed to chown directory to '%s': %w", name, err)
	}
	return dir, owner, nil
}

// groups are a user's supplementary groups; a user whose groups cannot be told
// has the main one only.
func groups(u *user.User, main uint32) []uint32 {
	ids, err := u.GroupIds()
	if err != nil {
		return []uint32{main}
	}
	all := []uint32{main}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil && !slices.Contains(all, uint32(n)) {
			all = append(all, uint32(n))
		}
	}
	return all
}

// Logs opens the sandbox's stdout and stderr for an owner.
func Logs(dir string, o Owner) (stdout, stderr *os.File, err error) {
	open := func(name string) (*os.File, error) {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0o644)
		if err != nil {
			return nil, fmt.Errorf("cannot open %s of a sandbox: %w", name, err)
		}
		if o.Credential != nil {
			if err := f.Chown(int(o.UID), int(o.GID)); err != nil {
				return nil, errors.Join(fmt.Errorf("cannot give %s of a sandbox to %s: %w", name, o.Name, err), f.Close())
			}
		}
		return f, nil
	}
	if stdout, err = open("stdout"); err != nil {
		return nil, nil, err
	}
	if stderr, err = open("stderr"); err != nil {
		return nil, nil, errors.Join(err, stdout.Close())
	}
	return stdout, stderr, nil
}
