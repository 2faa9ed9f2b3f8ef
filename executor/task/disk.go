package task

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// Disk returns how many bytes the task's directory takes, also to later samples; see
// [used].
func (p *Process) Disk(ctx context.Context) (uint64, error) {
	bytes, err := used(ctx, filepath.Dir(p.spec.Stdout))
	if err == nil {
		p.disk.Store(&bytes)
	}
	return bytes, err
}

// used returns how many bytes the files below a directory take on the file system
// that it is in, as du(1) counts them: a file of several names once, one with holes as
// far as it is filled, and links as links. What is not there, the directory
// itself included, takes nothing.
func used(ctx context.Context, dir string) (bytes uint64, err error) {
	var device uint64
	seen := map[uint64]bool{} // inodes of several names
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var info fs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case !ok:
			return nil
		case path == dir:
			device = stat.Dev
		case stat.Dev != device && entry.IsDir():
			return fs.SkipDir
		case !entry.IsDir() && stat.Nlink > 1:
			if seen[stat.Ino] {
				return nil
			}
			seen[stat.Ino] = true
		}
		bytes += uint64(stat.Blocks) * 512
		return nil
	})
	if err != nil {
		return bytes, fmt.Errorf("cannot look through it: %w", err)
	}
	return bytes, nil
}
