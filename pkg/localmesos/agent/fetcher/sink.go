package fetcher

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// sink writes into a sandbox, and nowhere else: names that lead out of it, or
// through a link that does, are refused.
type sink struct {
	root *os.Root
	dir  string
	own  func(path string) error
}

func (s sink) owned(name string) error {
	if s.own == nil {
		return nil
	}
	return s.own(filepath.Join(s.dir, name))
}

// mkdirAll makes a directory and its parents; "." is there already.
func (s sink) mkdirAll(name string) error {
	if name == "." {
		return nil
	}
	at := ""
	for step := range strings.SplitSeq(path.Clean(name), "/") {
		at = path.Join(at, step)
		err := s.root.Mkdir(at, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.owned(at); err != nil {
			return err
		}
	}
	return nil
}

// create opens a new file; one that exists is replaced.
func (s sink) create(name string, mode fs.FileMode) (*os.File, error) {
	if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := s.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := s.owned(name); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// write fills a new file.
func (s sink) write(name string, mode fs.FileMode, r io.Reader) error {
	f, err := s.create(name, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

func copyFile(source, name string, mode fs.FileMode, s sink) error {
	r, err := os.Open(source)
	if err != nil {
		return err
	}
	defer r.Close()
	return s.write(name, mode, r)
}
