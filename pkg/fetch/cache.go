package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// cached returns the source's copy in the cache, open at its beginning, and
// brings it there first if it is missing. Of several requests at once, in this
// process or others, one does and the rest wait.
//
// The cache is a flat directory: a copy is named by the SHA-256 of the request's
// URI and SHA256, one on its way by that and ".part", which is also the lock.
func (r Request) cached(ctx context.Context, src source) (*os.File, error) {
	if err := os.MkdirAll(r.Cache, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the cache: %w", err)
	}
	key := sha256.Sum256([]byte(r.URI + "\n" + r.SHA256))
	copied := filepath.Join(r.Cache, hex.EncodeToString(key[:]))
	if src.url == nil && r.Owner != nil {
		// Whoever asked first had the right to read it; this one must too.
		f, err := openFile(src.path, r.Owner)
		if err != nil {
			return nil, err
		}
		f.Close()
	}
	for {
		f, err := os.Open(copied)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		if err := r.fill(ctx, src, copied); err != nil {
			return nil, err
		}
	}
}

// fill makes the copy, or waits until somebody else has tried to.
func (r Request) fill(ctx context.Context, src source, copied string) error {
	part, err := os.OpenFile(copied+".part", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write to the cache: %w", err)
	}
	defer part.Close()
	if err := lock(ctx, part); err != nil {
		return fmt.Errorf("cannot lock the cache: %w", err)
	}
	// The file that is locked may have become the copy, or be gone, meanwhile.
	mine, err := part.Stat()
	if err != nil {
		return err
	}
	if named, err := os.Stat(part.Name()); err != nil || !os.SameFile(mine, named) {
		return nil
	}
	if err := part.Truncate(0); err != nil {
		return err
	}
	if err := r.read(ctx, src, part); err != nil {
		os.Remove(part.Name())
		return err
	}
	return os.Rename(part.Name(), copied)
}

// lock waits for an exclusive lock, or until ctx ends.
func lock(ctx context.Context, f *os.File) error {
	done := make(chan error, 1)
	go func() { done <- unix.Flock(int(f.Fd()), unix.LOCK_EX) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		// The wait cannot be broken off; whoever gets the lock in the end lets
		// go of it by closing the last descriptor.
		return ctx.Err()
	}
}
