// Package secret holds the values that jobs name and must not contain: a
// directory with one file for each secret, as systemd's credentials, Kubernetes'
// mounted secrets and Docker's secrets are.
//
// A value is read when a task that needs it is launched, and goes into nothing
// but the call that launches it. The package must never keep a value, log one,
// or put one into an error.
package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MaxSize is how large a secret may be, in bytes. Linux takes no more than
// 128 KiB for one variable of a process's environment.
const MaxSize = 64 << 10

// Directory is a directory of secrets. Its methods may be called by any
// goroutine; they read the disk each time, so that a secret that was changed is
// used by the next launch.
type Directory struct{ path string }

// Open returns the directory, which must be there.
func Open(path string) (*Directory, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot use the secrets' directory: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("cannot use the secrets' directory: %s is a file, and one with a file for each secret is asked for", path)
	}
	return &Directory{path}, nil
}

// Exposed says whether everybody on this machine may read the secrets of the
// directory that have an open mode themselves, as is usual within a container
// and careless outside of one.
func (d *Directory) Exposed() bool {
	info, err := os.Stat(d.path)
	return err == nil && info.Mode().Perm()&0o007 != 0
}

// Names returns the names of the secrets that are there, in order.
func (d *Directory) Names() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("cannot list the secrets: %w", err)
	}
	var names []string
	for _, e := range entries {
		// Kubernetes mounts secrets as links to files in a hidden directory.
		if info, err := os.Stat(filepath.Join(d.path, e.Name())); err != nil || !info.Mode().IsRegular() || !named(e.Name()) {
			continue
		}
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}

// named reports whether a file can be a secret's.
func named(name string) bool {
	return name != "" && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, "/\x00")
}

// Value reads a secret. The last newline of its file, which editors add, does
// not count.
func (d *Directory) Value(name string) ([]byte, error) {
	if !named(name) {
		return nil, fmt.Errorf("secret %q cannot be the name of a file", name)
	}
	f, err := os.Open(filepath.Join(d.path, name))
	if err != nil {
		return nil, fmt.Errorf("cannot read secret %s: %w", name, reason(err))
	}
	defer f.Close()
	value, err := io.ReadAll(io.LimitReader(f, MaxSize+2))
	if err != nil {
		return nil, fmt.Errorf("cannot read secret %s: %w", name, reason(err))
	}
	if cut, ok := bytes.CutSuffix(value, []byte("\n")); ok {
		value = bytes.TrimSuffix(cut, []byte("\r"))
	}
	switch {
	case len(value) > MaxSize:
		return nil, fmt.Errorf("cannot use secret %s: it is larger than %d bytes", name, MaxSize)
	case bytes.IndexByte(value, 0) >= 0:
		return nil, fmt.Errorf("cannot use secret %s: it holds a zero byte, which no environment can", name)
	}
	return value, nil
}

// reason leaves out where on the scheduler's machine a secret is, for the text
// reaches everybody who may look at the job.
func reason(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
