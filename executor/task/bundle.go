package task

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/confine"
)

// maxConfig bounds the config.json of a bundle, in bytes.
const maxConfig = 1 << 20

// bundleOf reads the config.json of a task's bundle: from the bundle when the task
// starts the first time, and from the executor's own copy later. In between the
// program may have written another, which could name another user.
func bundleOf(sandbox, dir, id string, asked confine.Spec) (*confine.Bundle, error) {
	if asked.Bundle == "" {
		return nil, nil
	}
	kept := filepath.Join(sandbox, "bundles", id+".json")
	data, err := os.ReadFile(kept)
	first := errors.Is(err, fs.ErrNotExist)
	if first {
		data, err = readConfig(dir, filepath.Join(asked.Bundle, "config.json"))
	}
	var b *confine.Bundle
	if err == nil {
		b, err = confine.ParseBundle(data)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use its bundle %s: %w", asked.Bundle, err)
	}
	if !first {
		return b, nil
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return nil, fmt.Errorf("cannot keep a copy of its bundle's config.json: %w", err)
	}
	if err := os.WriteFile(kept, data, 0o600); err != nil {
		return nil, fmt.Errorf("cannot keep a copy of its bundle's config.json: %w", errors.Join(err, os.Remove(kept)))
	}
	return b, nil
}

// readConfig reads a file below a directory, out of which no link leads it.
func readConfig(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// What is no file must not keep the executor waiting.
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("it has no config.json; let fetch bring it there, with the root file system beside it")
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("its config.json is no file")
	case info.Size() > maxConfig:
		return nil, fmt.Errorf("its config.json is %d bytes long, and may be %d", info.Size(), maxConfig)
	}
	return io.ReadAll(io.LimitReader(f, maxConfig))
}

// bundled puts what only a bundle says into a workload's spec, which has the rest.
func bundled(spec *workload.Spec, b *confine.Bundle) {
	if len(spec.Args) == 0 && spec.Shell == "" {
		spec.Args = b.Args
	}
	spec.Dir = b.Cwd
	if spec.OOMScoreAdj == nil {
		spec.OOMScoreAdj = b.Spec.Process.OOMScoreAdj
	}
}

// containerOf returns what else a bundle, which is in a directory, asks for.
func containerOf(b *confine.Bundle, dir string) confine.Container {
	container := b.Container
	container.Mounts = nil
	for _, m := range b.Container.Mounts {
		if m.Type == tmpfs {
			m.Source = tmpfs
		} else {
			m.Source = filepath.Join(dir, m.Source)
		}
		container.Mounts = append(container.Mounts, m)
	}
	return container
}

// tmpfs is the type of those mounts of a bundle that have no source in it.
const tmpfs = "tmpfs"

// userOf returns who a bundle's program is to run as.
func userOf(u specs.User) *workload.Numbers {
	n := &workload.Numbers{Name: strconv.Itoa(int(u.UID)), UID: int(u.UID), GID: int(u.GID), Groups: []int{int(u.GID)}}
	for _, g := range u.AdditionalGids {
		n.Groups = append(n.Groups, int(g))
	}
	return n
}
