package fetch

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// writer makes files, directories and links below a root, for an owner.
type writer struct {
	root  *os.Root
	owner *Owner
	// mask has the bits of a mode that what an archive holds does not get.
	mask fs.FileMode
	// whole has a tar archive's entries keep their owners and sticky bits.
	whole bool
}

func (w writer) own(name string) error {
	if w.owner == nil {
		return nil
	}
	return w.root.Lchown(name, w.owner.UID, w.owner.GID)
}

// mkdirAll makes a directory and its parents, and owns those that it made.
func (w writer) mkdirAll(dir string) error {
	if dir == "." || dir == "/" {
		return nil
	}
	err := w.root.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		if err := w.mkdirAll(path.Dir(dir)); err != nil {
			return err
		}
		err = w.root.Mkdir(dir, 0o755)
	}
	switch {
	case err == nil:
		return w.own(dir)
	case errors.Is(err, fs.ErrExist):
		info, err := w.root.Stat(dir)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is in the way: it is no directory", dir)
		}
		return nil
	default:
		return err
	}
}

// put makes a file by way of another name, so that it is whole from the start.
func (w writer) put(name string, mode os.FileMode, fill func(*os.File) error) (err error) {
	random := make([]byte, 8)
	rand.Read(random)
	part := path.Join(path.Dir(name), ".fetch-"+hex.EncodeToString(random))
	f, err := w.root.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			w.root.Remove(part)
		}
	}()
	if err := fill(f); err != nil {
		return err
	}
	if err := w.own(part); err != nil {
		return err
	}
	// After the change of owner, which takes away bits of the mode.
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return w.root.Rename(part, name)
}
